"""Have PostgreSQL compress long texts with lz4, at a quarter of the price of its own.

Values that are there stay as they are. A server that was built without lz4 keeps to
its default.
"""

from django.db import migrations

COLUMNS = (
    ("batches_itemrequest", "body"),
    ("batches_itemrequest", "context"),
    ("batches_itemattempt", "answer"),
    ("batches_itemattempt", "raw_line"),
)


def knows_lz4(schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return False
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'lz4' = ANY(enumvals) FROM pg_settings "
            "WHERE name = 'default_toast_compression'"
        )
        return cursor.fetchone()[0]


def set_lz4(apps, schema_editor):
    if knows_lz4(schema_editor):
        for table, column in COLUMNS:
            schema_editor.execute(
                f"ALTER TABLE {table} ALTER COLUMN {column} SET COMPRESSION lz4"
            )


def reset(apps, schema_editor):
    if knows_lz4(schema_editor):
        for table, column in COLUMNS:
            schema_editor.execute(
                f"ALTER TABLE {table} ALTER COLUMN {column} SET COMPRESSION default"
            )


class Migration(migrations.Migration):
    dependencies = [("batches", "0013_reuse_and_canary")]

    operations = [migrations.RunPython(set_lz4, reset)]
