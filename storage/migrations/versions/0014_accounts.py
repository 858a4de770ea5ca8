"""Accounts: why one rests, what its provider refuses; since when a person has a talk; words that await a proof."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0011"


def upgrade() -> None:
    """New columns have values that change nothing for what stands there already."""
    op.add_column("pauses", sa.Column("why", sa.Text(), nullable=False, server_default=""))
    op.add_column("conversations", sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("outgoing", sa.Column("awaits_proof", sa.Boolean(), nullable=False, server_default="false"))
    op.create_index("outgoing_awaiting", "outgoing", ["created_at"], postgresql_where=sa.text("awaits_proof"))
    op.create_table(
        "account_faults",
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), sa.ForeignKey("conversations.id"), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mended_at", sa.DateTime(timezone=True), nullable=True),
    )
