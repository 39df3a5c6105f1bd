from django.core.management import call_command
from django.db import migrations, models


def make_cache_table(apps, schema_editor):
    """Where rate limits are counted, unless REDIS_URL says where else.

    Named here, and not read from the settings: who takes Redis away again needs it.
    """
    call_command(
        "createcachetable",
        "batchsite_cache",
        database=schema_editor.connection.alias,
        verbosity=0,
    )


def drop_cache_table(apps, schema_editor):
    schema_editor.execute("DROP TABLE IF EXISTS batchsite_cache")


class Migration(migrations.Migration):
    dependencies = [
        ("batches", "0018_prompt_trials"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="installation",
            options={
                "permissions": [
                    ("platform_admin", "Can see and requeue everybody's requests")
                ],
                "verbose_name": "installation",
                "verbose_name_plural": "installation",
            },
        ),
        migrations.AddField(
            model_name="run",
            name="max_attempts",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="The first included; BATCH_MAX_ATTEMPTS where it is empty.",
                null=True,
                verbose_name="attempts at most",
            ),
        ),
        migrations.AddIndex(
            model_name="batchjob",
            index=models.Index(fields=["finished_at"], name="batchjob_finished"),
        ),
        migrations.RunPython(make_cache_table, drop_cache_table),
    ]
