"""How a person wants to be addressed: tú or usted, on every channel."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Null: nobody has shown it yet, and the company's own treatment is used."""
    op.add_column("people", sa.Column("treatment", sa.Text(), nullable=True))
