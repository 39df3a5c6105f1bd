import django.db.models.deletion
from django.db import migrations, models

import translations.spans


class Migration(migrations.Migration):
    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("translations", "0009_cheaper_versions"),
    ]

    operations = [
        migrations.CreateModel(
            name="CoverageCount",
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
                (
                    "counts_pretended",
                    models.BooleanField(
                        help_text="Whether the sandbox's texts count, as they do while it is in use."
                    ),
                ),
                ("languages", translations.spans.JSONText(default=list)),
                ("cursor", models.CharField(blank=True, default="", max_length=255)),
                ("lines", translations.spans.JSONText(default=list)),
                ("begun_at", models.DateTimeField()),
                ("counted_at", models.DateTimeField(null=True)),
                (
                    "content_type",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="contenttypes.contenttype",
                    ),
                ),
            ],
            options={
                "verbose_name": "count of coverage",
                "verbose_name_plural": "counts of coverage",
            },
        ),
    ]
