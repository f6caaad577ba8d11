"""The session's real parts answer, and Playwright's loop doesn't stand in the way of the others."""

import asyncio

from confluent_kafka import Consumer, Producer


def test_a_record_goes_through_the_session_kafka(kafka):
    topic = kafka.topic("fixtures", partitions=2)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(topic, key=b"k", value=b"v")
    assert producer.flush(10) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": kafka.unique("group"),
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    record = consumer.poll(20)
    consumer.close()
    assert (record.key(), record.value()) == (b"k", b"v")


def test_unique_names_differ(kafka):
    assert kafka.unique("a") != kafka.unique("a")


def test_redis_keeps_a_value(redis_url):
    import redis

    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left-behind", "1")


def test_redis_is_empty_in_the_next_test(redis_url):
    import redis

    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_chromium_draws_a_page(page):
    page.set_content("<h1>Statehouse</h1>")
    assert page.inner_text("h1") == "Statehouse"


async def test_an_async_test_runs_after_a_browser_test():
    await asyncio.sleep(0)


def test_chromium_still_answers_after_an_async_test(page):
    page.set_content("<p>again</p>")
    assert page.inner_text("p") == "again"


def test_no_loop_is_left_running_after_a_browser_test():
    assert asyncio._get_running_loop() is None
