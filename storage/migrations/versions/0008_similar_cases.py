"""Similar cases: a vector of what the customer wrote, where the database has pgvector; elsewhere no table."""

from alembic import op

from storage.similar import FUNCTIONS, prepare

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """The functions stand everywhere; without the table they do nothing."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(FUNCTIONS)  # through the bare driver: it holds signs that SQLAlchemy would read as blanks
    prepare(op.get_bind())
