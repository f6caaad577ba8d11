"""The phases of a restore, with when each was first seen."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('console', '0007_observed'),
    ]

    operations = [
        migrations.AddField(
            model_name='restore',
            name='phases',
            field=models.JSONField(default=list),
        ),
    ]
