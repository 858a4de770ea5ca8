"""Cases that were merged into another, and what undoes it; the joins of a person are found by an index."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """No case that stands there already is merged."""
    op.add_column("cases", sa.Column("merged_into", sa.Uuid(), sa.ForeignKey("cases.id"), nullable=True))
    op.create_index("cases_merged", "cases", ["merged_into"], postgresql_where=sa.text("merged_into IS NOT NULL"))
    op.create_table(
        "merges",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("case_id", sa.Uuid(), sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("into_id", sa.Uuid(), sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("agent_id", sa.Uuid(), sa.ForeignKey("agents.id"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("kept", JSONB(), nullable=False),
        sa.Column("notice_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_by", sa.Uuid(), sa.ForeignKey("agents.id"), nullable=True),
    )
    op.create_index(
        "merges_standing", "merges", ["case_id"], unique=True, postgresql_where=sa.text("undone_at IS NULL")
    )
    op.create_index("ix_merges_into_id", "merges", ["into_id"])
    op.create_index("audit_joins", "audit", ["object"], postgresql_where=sa.text("action = 'people joined'"))
