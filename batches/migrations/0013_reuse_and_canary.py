import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("batches", "0012_steering"),
    ]

    operations = [
        migrations.AddField(
            model_name="itemattempt",
            name="checks_failed",
            field=models.TextField(
                blank=True,
                help_text="Error-level checks that its answer did not pass, by code.",
                verbose_name="checks failed",
            ),
        ),
        migrations.AddField(
            model_name="itemattempt",
            name="reused_from",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="The attempt that its answer was taken from; nothing was sent.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="batches.itemattempt",
                verbose_name="reused from",
            ),
        ),
        migrations.AddField(
            model_name="jobshare",
            name="flagged",
            field=models.PositiveIntegerField(
                default=0,
                help_text="Of those done: how many did not pass an error-level check.",
                verbose_name="flagged",
            ),
        ),
        migrations.AddField(
            model_name="openitem",
            name="may_reuse",
            field=models.BooleanField(
                default=True,
                help_text="Whether the answer to an equal request will do for it.",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="brake",
            field=models.JSONField(
                blank=True,
                help_text="Why it was paused by itself, as services/canary.py wrote it.",
                null=True,
                verbose_name="brake",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="canary_sample",
            field=models.JSONField(
                default=list,
                help_text="Keys of the items that go out before the others.",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="canary_state",
            field=models.CharField(
                choices=[
                    ("off", "Not asked for"),
                    ("undecided", "Not decided yet"),
                    ("sampling", "A sample goes first"),
                    ("passed", "The sample passed"),
                    ("braked", "The sample did not pass"),
                    ("not_needed", "Not needed"),
                ],
                default="off",
                max_length=16,
                verbose_name="sample",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="force_refresh",
            field=models.BooleanField(
                default=False,
                help_text="Asks also what an equal request was answered before.",
                verbose_name="ask again",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="reused",
            field=models.PositiveIntegerField(
                default=0,
                help_text="Items answered from an equal one.",
                verbose_name="reused",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="saved_nanos",
            field=models.BigIntegerField(
                default=0,
                help_text="What the answers that it reused had cost.",
                verbose_name="saved (nano-dollars)",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="unsent_follow_ups",
            field=models.PositiveIntegerField(
                default=0, help_text="New items that answers without a job asked for."
            ),
        ),
        migrations.AlterField(
            model_name="event",
            name="kind",
            field=models.CharField(
                choices=[
                    ("job:created", "Created"),
                    ("job:started", "Started"),
                    ("job:progress", "Progress"),
                    ("job:completed", "Completed"),
                    ("job:failed", "Failed"),
                    ("job:cancelled", "Cancelled"),
                    ("job:retry", "Retried"),
                    ("run:collected", "Collected"),
                    ("run:waits", "Waits"),
                    ("run:spent", "Budget"),
                    ("run:reused", "Answers reused"),
                    ("run:sample", "Sample"),
                    ("run:braked", "Braked"),
                    ("batch:created", "Created"),
                    ("batch:moved", "Moved"),
                    ("batch:note", "Note"),
                ],
                max_length=32,
                verbose_name="what",
            ),
        ),
        migrations.AlterField(
            model_name="itemattempt",
            name="outcome",
            field=models.CharField(
                choices=[
                    ("applied", "Applied"),
                    ("failed", "Failed"),
                    ("returned", "Returned"),
                    ("retried", "Retried"),
                    ("split", "Split"),
                    ("cancelled", "Cancelled"),
                    ("reused", "Reused"),
                ],
                max_length=16,
                verbose_name="outcome",
            ),
        ),
        migrations.AlterField(
            model_name="jobtally",
            name="outcome",
            field=models.CharField(
                choices=[
                    ("applied", "Applied"),
                    ("failed", "Failed"),
                    ("returned", "Returned"),
                    ("retried", "Retried"),
                    ("split", "Split"),
                    ("cancelled", "Cancelled"),
                    ("reused", "Reused"),
                ],
                max_length=16,
                verbose_name="outcome",
            ),
        ),
        migrations.CreateModel(
            name="TrackRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("workload", models.CharField(max_length=64, verbose_name="workload")),
                ("model", models.CharField(max_length=100, verbose_name="model")),
                (
                    "prompt_key",
                    models.BigIntegerField(
                        default=0,
                        help_text="The prompt version; 0 for none.",
                        verbose_name="prompt",
                    ),
                ),
                (
                    "trait",
                    models.CharField(blank=True, max_length=255, verbose_name="trait"),
                ),
                (
                    "judged",
                    models.PositiveIntegerField(default=0, verbose_name="judged"),
                ),
            ],
            options={
                "verbose_name": "track record",
                "verbose_name_plural": "track records",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("workload", "model", "prompt_key", "trait"),
                        name="trackrecord_once",
                    )
                ],
            },
        ),
    ]
