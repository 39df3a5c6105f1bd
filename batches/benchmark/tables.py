"""The engine's tables here: emptied, kept aside and put back between rounds."""

from collections.abc import Sequence

from django.core.management.color import no_style
from django.db import connection, models, transaction

from batches.models import (
    AnswerLength,
    BatchItem,
    BatchJob,
    Event,
    HourlyUsage,
    ItemAttempt,
    ItemRequest,
    JobShare,
    JobTally,
    OpenItem,
    Run,
    StrayLine,
)
from batches.services.bulk import is_postgres

Models = Sequence[type[models.Model]]
# In an order in which rows can be put back.
ENGINE: Models = (
    Run,
    BatchJob,
    JobShare,
    BatchItem,
    OpenItem,
    ItemRequest,
    Event,
    ItemAttempt,
    JobTally,
    StrayLine,
    HourlyUsage,
    AnswerLength,
)


def empty(more: Models = ()) -> None:
    """Delete all rows of the engine, and of these models."""
    tables = [model._meta.db_table for model in (*ENGINE, *more)]
    statements = connection.ops.sql_flush(
        no_style(), tables, allow_cascade=is_postgres()
    )
    connection.ops.execute_sql_flush(statements)


def keep(name: str) -> None:
    """Copy the engine's rows aside under a name; later copies replace earlier ones."""
    with transaction.atomic(), connection.cursor() as cursor:
        for model in ENGINE:
            table = model._meta.db_table
            cursor.execute(f"DROP TABLE IF EXISTS {name}_{table}")
            cursor.execute(f"CREATE TABLE {name}_{table} AS SELECT * FROM {table}")  # noqa: S608


def put_back(name: str, more: Models = ()) -> None:
    """Replace the engine's rows by those kept; empties these models too."""
    empty(more)
    with transaction.atomic(), connection.cursor() as cursor:
        for model in ENGINE:
            table = model._meta.db_table
            cursor.execute(f"INSERT INTO {table} SELECT * FROM {name}_{table}")  # noqa: S608
    settle()


def settle() -> None:
    """Let what was written come to rest, so that it is not paid for by what follows."""
    with connection.cursor() as cursor:
        if not is_postgres():
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute(
            "SELECT rolsuper OR pg_has_role(oid, 'pg_checkpoint', 'MEMBER') "
            "FROM pg_roles WHERE rolname = current_user"
        )
        if cursor.fetchone()[0]:
            cursor.execute("CHECKPOINT")
