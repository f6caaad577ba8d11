"""The Celery application. Workers start with ``celery -A console worker``, beat with ``celery -A console beat``.

A worker takes the queues ``statehouse`` and ``host.<this host>`` (``CELERY_TASK_QUEUES``).
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

app = Celery("statehouse")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["console.jobs", "console.alerts"])
app.autodiscover_tasks(["console.jobs"], related_name="schedules")
