"""The job engine's own tables and functions."""

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run procrastinate's schema through the bare driver: it holds signs that SQLAlchemy would read as blanks."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(SchemaManager.get_schema())
