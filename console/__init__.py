"""The console: what people see of Statehouse, and where they act on it.

It reads what the engines report (``observe``), keeps what happened (``models``), shows it (``pages``, ``live``,
``api``) and carries out what people ask for (``jobs``). Of the engine it imports the query client, the shapes of
status and control, and the restore library, and nothing else.
"""

from console.celery import app as celery_app

__all__ = ["celery_app"]
