"""Outgoing webhooks: what other programs are told of a case, each thing once and in its order."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """A line for each case and webhook, and its events."""
    op.create_table(
        "webhook_lines",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Uuid(), sa.ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
    )
    op.create_index("webhook_lines_due", "webhook_lines", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index("webhook_lines_delivered", "webhook_lines", ["webhook", "delivered_at"])
    op.create_index(
        "webhook_lines_failing",
        "webhook_lines",
        ["webhook", "failed_at"],
        postgresql_where=sa.text("failed_at IS NOT NULL"),
    )
    op.create_index("ix_webhook_lines_case_id", "webhook_lines", ["case_id"])
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("line_id", sa.Uuid(), sa.ForeignKey("webhook_lines.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("data", JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("line_id", "key", name="webhook_events_once"),
    )
    op.create_index(
        "webhook_events_waiting",
        "webhook_events",
        ["line_id", "number"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "webhook_events_given_up", "webhook_events", ["line_id"], postgresql_where=sa.text("state = 'given up'")
    )
    op.create_index(
        "webhook_events_settled", "webhook_events", ["settled_at"], postgresql_where=sa.text("settled_at IS NOT NULL")
    )
