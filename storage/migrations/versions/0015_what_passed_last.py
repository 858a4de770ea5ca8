"""Indexes for the page of accounts: what came and went last on each, however much there is."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Indexes only."""
    op.create_index("conversations_account", "conversations", ["account", "last_in_at"])
    op.create_index(
        "outgoing_account", "outgoing", ["account", "sent_at"], postgresql_where=sa.text("sent_at IS NOT NULL")
    )
