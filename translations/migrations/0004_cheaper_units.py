"""Units and versions come by the ten thousand: no constraint and index twice over.

The unique constraint of a unit begins with its kind of content, so an index on that
alone serves nobody; and long texts are compressed with lz4 where PostgreSQL has it.
"""

import django.db.models.deletion
from django.db import migrations, models

COLUMNS = ("text", "segments", "findings")


def knows_lz4(schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return False
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'lz4' = ANY(enumvals) FROM pg_settings "
            "WHERE name = 'default_toast_compression'"
        )
        return cursor.fetchone()[0]


def set_compression(schema_editor, method):
    if knows_lz4(schema_editor):
        for column in COLUMNS:
            schema_editor.execute(
                "ALTER TABLE translations_translationversion "
                f"ALTER COLUMN {column} SET COMPRESSION {method}"
            )


class Migration(migrations.Migration):
    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("translations", "0003_halves_of_parts"),
    ]

    operations = [
        migrations.AlterField(
            model_name="translation",
            name="content_type",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="contenttypes.contenttype",
                verbose_name="kind of content",
            ),
        ),
        migrations.RunPython(
            lambda apps, schema_editor: set_compression(schema_editor, "lz4"),
            lambda apps, schema_editor: set_compression(schema_editor, "default"),
        ),
    ]
