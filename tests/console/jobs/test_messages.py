"""What a job's message holds, and how long the broker keeps it from others."""

import json

import pytest

from console import limits

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_visibility_timeout_is_longer_than_the_longest_job(settings):
    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] > limits.JOB_SECONDS_MAX
    assert settings.CELERY_ACCEPT_CONTENT == settings.CELERY_RESULT_ACCEPT_CONTENT == ["json"]


@pytest.mark.usefixtures("ordered")
def test_messages_hold_an_id_and_nothing_else(sent):
    assert "canary" not in json.dumps(sent)
    assert len(sent[0]) == 2
