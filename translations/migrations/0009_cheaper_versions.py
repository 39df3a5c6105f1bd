"""A version's text is stored once: its segments say where in it they stand.

And what is JSON to us alone is text to the database, which had to read each value.
"""

import orjson
from django.db import migrations, models

import translations.spans

TABLE = "translations_translationversion"
AT_ONCE = 1_000


def _spans(text, segments):
    """As `spans.spans_of` kept them when this was written."""
    entries, end = [], 0
    for segment in segments:
        words = segment["text"]
        start = text.find(words, end)
        if start < 0:
            entries.append((segment["id"], segment["source_hash"], words))
            continue
        end = start + len(words)
        entries.append((segment["id"], segment["source_hash"], start, len(words)))
    return orjson.dumps(entries).decode() if entries else ""


def _segments(text, spans):
    found = []
    for key, source_hash, *place in orjson.loads(spans or "[]"):
        words = place[0]
        if not isinstance(words, str):
            words = text[place[0] : place[0] + place[1]]
        found.append({"id": key, "source_hash": source_hash, "text": words})
    return orjson.dumps(found).decode()


def _rewrite(apps, schema_editor, old, new, of):
    """Set the column `new` of each row by what `of` makes of its text and `old`."""
    rows = apps.get_model("translations", "TranslationVersion").objects.order_by("pk")
    last = 0
    while page := list(
        rows.filter(pk__gt=last).values_list("pk", "text", old)[:AT_ONCE]
    ):
        last = page[-1][0]
        with schema_editor.connection.cursor() as cursor:
            cursor.executemany(
                f"UPDATE {TABLE} SET {new} = %s WHERE id = %s",  # noqa: S608
                [(of(text, kept), pk) for pk, text, kept in page if kept],
            )


def keep_spans(apps, schema_editor):
    _rewrite(apps, schema_editor, "segments", "spans", _spans)


def keep_segments(apps, schema_editor):
    _rewrite(apps, schema_editor, "spans", "segments", _segments)


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
        for column in ("spans", "findings"):
            schema_editor.execute(
                f"ALTER TABLE {TABLE} ALTER COLUMN {column} SET COMPRESSION lz4"
            )


class Migration(migrations.Migration):
    dependencies = [("translations", "0008_out_of_date_and_digest")]

    operations = [
        migrations.AddField(
            model_name="translationversion",
            name="spans",
            field=models.TextField(blank=True, default=""),
        ),
        migrations.RunPython(keep_spans, keep_segments),
        migrations.RemoveField(model_name="translationversion", name="segments"),
        migrations.AlterField(
            model_name="translationversion",
            name="findings",
            field=translations.spans.JSONText(default=list, verbose_name="findings"),
        ),
        migrations.RunPython(set_lz4, migrations.RunPython.noop),
    ]
