"""The lock under which items go from the pool: into jobs, to answers, or to their end.

An advisory lock on PostgreSQL; on SQLite the write transaction itself.
"""

from django.db import connection

from batches.services.bulk import is_postgres

BUNDLING_LOCK = 7_301_001  # any number that nothing else in the database uses


def take_bundling_lock() -> None:
    """Keep others from taking items out of the pool until this transaction ends."""
    if is_postgres():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [BUNDLING_LOCK])
