"""Delivery: reports that are faster than we are, what a provider bears, paused accounts, consent with its history."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """New columns have values that change nothing for what stands there already."""
    op.add_column("outgoing", sa.Column("as_template", sa.Boolean(), nullable=False, server_default="false"))
    op.add_column("outgoing", sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "early_reports",
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("provider_id", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("report", JSONB(), nullable=False),
    )
    op.create_index("early_reports_learned_at", "early_reports", ["learned_at"])
    op.create_table(
        "paces",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "pauses",
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("contact_point_id", sa.Uuid(), sa.ForeignKey("contact_points.id"), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
    )
    op.create_index("ix_consents_contact_point_id", "consents", ["contact_point_id"])
