"""When the observer recorded: what lies between is a gap."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('console', '0006_alerts'),
    ]

    operations = [
        migrations.CreateModel(
            name='Observed',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('since', models.DateTimeField()),
                ('until', models.DateTimeField(db_index=True)),
            ],
        ),
    ]
