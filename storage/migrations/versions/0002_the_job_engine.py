"""The job engine's own tables and functions, made lean for keyed wake-ups."""

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"

# A wake-up lives for milliseconds and is deleted: its history is written by us, in messages and outgoing rows. Without
# these triggers a job costs three inserts and their cascaded deletes less. The index serves the question "does another
# job hold this lock", which the engine asks for each job and for which its own index begins with the wrong column.
LEAN = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tgname FROM pg_trigger
                 WHERE tgrelid = 'procrastinate_jobs'::regclass AND tgname LIKE 'procrastinate_trigger_status_events_%'
    LOOP
        EXECUTE format('ALTER TABLE procrastinate_jobs DISABLE TRIGGER %I', name);
    END LOOP;
END $$;
CREATE INDEX acuse_jobs_lock ON procrastinate_jobs (lock) WHERE status IN ('todo', 'doing');
ALTER TABLE procrastinate_jobs SET (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 500
);
"""


def upgrade() -> None:
    """Run procrastinate's schema through the bare driver: it holds signs that SQLAlchemy would read as blanks."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(SchemaManager.get_schema())
    driver.execute(LEAN)
