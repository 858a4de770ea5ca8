"""Indexes for the daily sweep, which asks of each file on the disk whether a row speaks of it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Without them each batch of files reads both tables whole."""
    op.create_index("attachments_files", "attachments", ["sha256"], postgresql_where=sa.text("sha256 IS NOT NULL"))
    op.create_index("messages_raw", "messages", ["raw_sha256"], postgresql_where=sa.text("raw_sha256 IS NOT NULL"))
