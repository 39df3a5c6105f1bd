from django.db import migrations, models


def to_three(apps, schema_editor):
    apps.get_model("batches", "Alert").objects.filter(severity="warning").update(
        severity="medium"
    )


def to_two(apps, schema_editor):
    apps.get_model("batches", "Alert").objects.filter(
        severity__in=("medium", "high")
    ).update(severity="warning")


class Migration(migrations.Migration):
    dependencies = [("batches", "0022_second_factor")]

    operations = [
        migrations.AlterField(
            model_name="alert",
            name="severity",
            field=models.CharField(
                choices=[
                    ("medium", "Medium"),
                    ("high", "High"),
                    ("critical", "Critical"),
                ],
                default="medium",
                max_length=16,
                verbose_name="severity",
            ),
        ),
        migrations.RunPython(to_three, to_two),
    ]
