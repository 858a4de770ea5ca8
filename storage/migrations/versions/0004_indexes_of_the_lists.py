"""Indexes for what is looked at all day: the managers' figures of a period, and the conversations that agents have."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Without them each look reads a whole table, however short the period is."""
    op.create_index(
        "outgoing_measured",
        "outgoing",
        ["created_at"],
        postgresql_where=sa.text("kind IN ('ack', 'answer', 'receipt')"),
    )
    op.create_index(
        "conversations_first_human",
        "conversations",
        ["first_human_at"],
        postgresql_where=sa.text("first_human_at IS NOT NULL"),
    )
    op.create_index("conversations_taken", "conversations", ["speaker"], postgresql_where=sa.text("speaker <> 'bot'"))
    op.create_index("cases_solved", "cases", ["solved_at"], postgresql_where=sa.text("solved_at IS NOT NULL"))
