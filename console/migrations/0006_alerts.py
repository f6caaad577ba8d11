"""Alert rules, what they found, and what was sent of it."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('console', '0005_lag_by_place'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AlertRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('application', models.CharField(blank=True, max_length=200)),
                ('condition', models.CharField(max_length=20)),
                ('subject', models.CharField(blank=True, max_length=200)),
                ('threshold', models.BigIntegerField(null=True)),
                ('verdict', models.CharField(blank=True, max_length=10)),
                ('for_seconds', models.PositiveIntegerField(default=60)),
                ('webhook_url', models.CharField(blank=True, max_length=2000)),
                ('emails', models.JSONField(default=list)),
                ('enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Alert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rule_name', models.CharField(max_length=100)),
                ('application', models.CharField(max_length=200)),
                ('kind', models.CharField(max_length=10)),
                ('name', models.CharField(max_length=200)),
                ('state', models.CharField(default='pending', max_length=10)),
                ('words', models.TextField()),
                ('value', models.BigIntegerField(null=True)),
                ('since', models.DateTimeField()),
                ('fired_at', models.DateTimeField(null=True)),
                ('resolved_at', models.DateTimeField(null=True)),
                ('ending', models.CharField(blank=True, max_length=200)),
                ('rule', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='alerts', to='console.alertrule')),
            ],
        ),
        migrations.CreateModel(
            name='AlertDelivery',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('rule_name', models.CharField(max_length=100)),
                ('transition', models.CharField(max_length=10)),
                ('channel', models.CharField(max_length=10)),
                ('target', models.CharField(max_length=2000)),
                ('state', models.CharField(default='waiting', max_length=10)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('sent_at', models.DateTimeField(null=True)),
                ('error', models.CharField(blank=True, max_length=500)),
                ('alert', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='console.alert')),
            ],
            options={
                'indexes': [models.Index(fields=['state', 'due_at'], name='alert_delivery_due')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('alert__isnull', False)), fields=('alert', 'transition', 'channel', 'target'), name='alert_sent_once')],
            },
        ),
        migrations.AddIndex(
            model_name='alert',
            index=models.Index(fields=['-since'], name='alert_by_time'),
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.UniqueConstraint(condition=models.Q(('resolved_at__isnull', True)), fields=('rule', 'application', 'kind', 'name'), name='alert_open_once'),
        ),
    ]
