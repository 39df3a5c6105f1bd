import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

# Until now a version was made by being put into production.
PROMOTED = "UPDATE batches_promptversion SET promoted_at = created_at"


class Migration(migrations.Migration):
    dependencies = [
        ("batches", "0017_run_templates"),
    ]

    operations = [
        migrations.CreateModel(
            name="GoldenCase",
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
                ("name", models.CharField(max_length=200, verbose_name="name")),
                ("target", models.CharField(max_length=255, verbose_name="target")),
                ("body", models.TextField(verbose_name="request")),
                ("context", models.TextField(blank=True, verbose_name="context")),
                ("reference", models.TextField(blank=True, verbose_name="reference")),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("shipped", "From a file of references"),
                            ("picked", "Picked from reviewed work"),
                        ],
                        max_length=16,
                        verbose_name="origin",
                    ),
                ),
                (
                    "digest",
                    models.CharField(
                        help_text="SHA-256 of the target and what is asked about.",
                        max_length=64,
                    ),
                ),
                (
                    "added_by",
                    models.CharField(
                        blank=True, max_length=150, verbose_name="added by"
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="added"
                    ),
                ),
            ],
            options={
                "verbose_name": "golden case",
                "verbose_name_plural": "golden set",
            },
        ),
        migrations.CreateModel(
            name="GoldenResult",
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
                ("text", models.TextField(verbose_name="answer")),
                (
                    "score",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, verbose_name="automatic checks (0–100)"
                    ),
                ),
                (
                    "errors",
                    models.TextField(
                        blank=True,
                        help_text="Error-level checks, by code.",
                        verbose_name="errors",
                    ),
                ),
                (
                    "chrf",
                    models.FloatField(
                        blank=True,
                        help_text="Likeness to the reference, 0 to 100; none without a reference.",
                        null=True,
                        verbose_name="chrF",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="at"
                    ),
                ),
            ],
            options={
                "verbose_name": "golden result",
                "verbose_name_plural": "golden results",
            },
        ),
        migrations.AlterModelOptions(
            name="promptversion",
            options={
                "permissions": [
                    (
                        "promote_promptversion",
                        "Can put prompt versions into production",
                    ),
                    ("weigh_promptversion", "Can give prompt versions subjects to try"),
                    ("try_promptversion", "Can run prompt versions on the golden set"),
                ],
                "verbose_name": "prompt version",
                "verbose_name_plural": "prompt versions",
            },
        ),
        migrations.AddField(
            model_name="promptversion",
            name="promoted_at",
            field=models.DateTimeField(
                editable=False, null=True, verbose_name="last put into production"
            ),
        ),
        migrations.AddField(
            model_name="promptversion",
            name="promoted_by",
            field=models.CharField(
                blank=True,
                default="",
                editable=False,
                help_text="Blank where it came with an installation or an upgrade.",
                max_length=150,
                verbose_name="put there by",
            ),
        ),
        migrations.AddField(
            model_name="promptversion",
            name="replaced",
            field=models.ForeignKey(
                editable=False,
                help_text="What rolling back puts into production again.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="batches.promptversion",
                verbose_name="in the place of",
            ),
        ),
        migrations.AddField(
            model_name="promptversion",
            name="slots",
            field=models.JSONField(
                default=list,
                editable=False,
                help_text="Of the 100 slots of subjects, those that it is tried on.",
                verbose_name="slots",
            ),
        ),
        migrations.AddField(
            model_name="promptversion",
            name="written_by",
            field=models.CharField(
                blank=True,
                default="",
                editable=False,
                max_length=150,
                verbose_name="written by",
            ),
        ),
        migrations.AlterField(
            model_name="promptversion",
            name="note",
            field=models.TextField(
                blank=True,
                help_text="What is different in it, and why.",
                verbose_name="note",
            ),
        ),
        migrations.AddConstraint(
            model_name="promptversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("is_production", False), ("slots", []), _connector="OR"
                ),
                name="promptversion_production_is_not_tried",
            ),
        ),
        migrations.AddConstraint(
            model_name="goldencase",
            constraint=models.UniqueConstraint(
                fields=("workload", "digest"), name="goldencase_once"
            ),
        ),
        migrations.AddField(
            model_name="goldenresult",
            name="case",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="results",
                to="batches.goldencase",
                verbose_name="case",
            ),
        ),
        migrations.AddField(
            model_name="goldenresult",
            name="item",
            field=models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="batches.batchitem",
                verbose_name="item",
            ),
        ),
        migrations.RunSQL(PROMOTED, migrations.RunSQL.noop),
    ]
