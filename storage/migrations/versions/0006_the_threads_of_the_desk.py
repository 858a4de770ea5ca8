"""Where a conversation is shown to agents outside the console: a card with a thread, on an account of ours."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """One thread for a conversation on each account that has a place for agents."""
    op.create_table(
        "desk_threads",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("conversation_id", sa.Uuid(), sa.ForeignKey("conversations.id"), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=True),
        sa.Column("seen", sa.Text(), nullable=True),
        sa.Column("through", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("told", JSONB(), nullable=False, server_default="[]"),
        sa.Column("acts", JSONB(), nullable=False, server_default="[]"),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("conversation_id", "account", name="desk_threads_once"),
    )
    op.create_index(
        "desk_threads_name", "desk_threads", ["account", "thread"], postgresql_where=sa.text("thread IS NOT NULL")
    )
    op.create_index("desk_threads_active", "desk_threads", ["account"], postgresql_where=sa.text("active"))
