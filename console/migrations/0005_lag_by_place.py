"""Lag samples are read by partition: a chart draws a few of ten thousand."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("console", "0004_snapshots_differences_schedules")]

    operations = [
        migrations.RemoveIndex(model_name="lagsample", name="lag_by_name"),
        migrations.AddIndex(
            model_name="lagsample",
            index=models.Index(fields=["application", "kind", "name", "partition", "at"], name="lag_by_place"),
        ),
    ]
