"""What "copy as" gives can be pasted: the command's own parser takes it, and the URL means the same query."""

import json
import shlex
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.core.management import load_command_class
from django.test import RequestFactory
from django.urls import resolve

from console.pages import alerts, copy_as, new_job, schedules


def copies(params, kind="key-value"):
    request = RequestFactory().get("/")
    return {each["name"]: each["text"] for each in copy_as.entries(request, "flights", "counts", params, kind)}


def parsed(line):
    words = shlex.split(line)
    assert words[:4] == ["uv", "run", "manage.py", "store"]
    return vars(load_command_class("engine", "store").create_parser("manage.py", "store").parse_args(words[4:]))


@pytest.mark.parametrize(
    ("params", "kind", "expected"),
    [
        ({"limit": "50"}, "key-value", {"action": "range", "from_key": None, "limit": 50}),
        ({"limit": "50", "key": "it's $HOME"}, "key-value", {"action": "get", "key": "it's $HOME"}),
        ({"limit": "50", "key": "-5", "key_format": "int64"}, "key-value", {"action": "get", "key": "-5", "key_format": "int64"}),
        ({"limit": "20", "prefix": "U", "reverse": "true"}, "key-value", {"action": "prefix", "prefix": "U", "limit": 20, "reverse": True}),
        ({"limit": "50", "from": "A", "to": "B", "partition": "3"}, "key-value", {"action": "range", "from_key": "A", "to_key": "B", "partition": 3}),
        ({"limit": "50", "key": "JFK"}, "window", {"action": "window", "key": "JFK", "from_ms": None}),
        ({"limit": "50", "window_from": "7", "window_to": "9"}, "window", {"action": "window", "key": None, "from_ms": 7, "to_ms": 9}),
        ({"limit": "50", "key": "a", "as_of": "12"}, "versioned", {"action": "as-of", "key": "a", "time_ms": 12}),
    ],
)  # fmt: skip
def test_the_command_line_is_taken_by_the_command(params, kind, expected):
    found = parsed(copies(params, kind)["CLI"])
    assert found["store"] == "counts"
    assert found["application"] == "flights"
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "50", "to": "-B"},
        {"limit": "50", "key": '{"id": 7}', "key_format": "avro"},
        {"limit": "20", "where": "value.seats > 100", "value_format": "avro", "reverse": "true", "partition": "3"},
    ],
)
def test_what_the_engines_command_has_no_words_for_is_asked_of_the_console(params):
    words = shlex.split(copies(params)["CLI"])
    assert words[:4] == ["uv", "run", "manage.py", "entries"]
    found = vars(load_command_class("console", "entries").create_parser("manage.py", "entries").parse_args(words[4:]))
    assert (found["application"], found["store"]) == ("flights", "counts")
    assert found["limit"] == int(params["limit"])
    assert found["reverse"] == ("reverse" in params)
    asked = {name: found[f"asked_{name}"] for name in params if name not in {"limit", "reverse"}}
    assert asked == {name: value for name, value in params.items() if name not in {"limit", "reverse"}}


def test_curl_quotes_for_the_shell_and_leaves_the_token_to_the_reader():
    words = shlex.split(copies({"key": "it's; rm -rf /"})["curl"])
    assert words[:3] == ["curl", "-H", "Authorization: Bearer $STATEHOUSE_TOKEN"]
    assert len(words) == 4
    assert dict(parse_qsl(urlsplit(words[3]).query)) == {"key": "it's; rm -rf /"}


def test_the_python_text_is_python():
    compile(copies({"key": 'quote " and \\ slash'})["Python"], "copied", "exec")


@pytest.mark.parametrize("kind", new_job.KINDS)
def test_every_action_can_be_started_with_what_its_preview_gives(kind):
    """The dry run's three ways: the command's own parser takes one, the API's body is whole, Python is Python."""
    ticket = {"job": "6b1f4f2e", "kind": kind, "application": "flights", "store": "counts", "partitions": [1, 3], "arguments": {"format": "csv"} if kind == "export" else {}}  # fmt: skip
    found = {each["name"]: each["text"] for each in new_job._copies(RequestFactory().get("/"), ticket, "it's late")}
    words = shlex.split(found["CLI"])
    assert words[:5] == ["uv", "run", "manage.py", "jobs", "start"]
    taken = vars(load_command_class("console", "jobs").create_parser("manage.py", "jobs").parse_args(words[4:]))
    assert [taken[name] for name in ("kind", "application", "store", "partition", "why")] == [kind, "flights", "counts", [1, 3], "it's late"]  # fmt: skip
    curl = shlex.split(found["curl"])
    assert "Authorization: Bearer $STATEHOUSE_TOKEN" in curl
    body = json.loads(curl[curl.index("-d") + 1])
    assert (body["id"], body["dry_run"], body["partitions"]) == ("6b1f4f2e", False, [1, 3])
    compile(found["Python"], "copied", "exec")


SCHEDULE = {"id": "6b1f4f2e-0000-4000-8000-000000000000", "paused": False}


@pytest.mark.parametrize(
    ("copied", "command", "expected"),
    [
        (lambda request: schedules._actions(request, SCHEDULE), "schedules", ["pause", "delete"]),
        (lambda request: schedules._actions(request, SCHEDULE | {"paused": True}), "schedules", ["resume", "delete"]),
        (
            lambda request: [alerts._copied(request, 7, name) for name in ("test", "delete")],
            "alerts",
            ["test", "delete"],
        ),
    ],
)
def test_what_is_copied_of_an_action_is_taken_by_the_command_and_names_a_route(copied, command, expected):
    for each, action in zip(copied(RequestFactory().get("/")), expected, strict=True):
        assert each["name"] == action
        ways = {way["name"]: way["text"] for way in each["ways"]}
        words = shlex.split(ways["CLI"])
        assert words[:4] == ["uv", "run", "manage.py", command]
        taken = load_command_class("console", command).create_parser("manage.py", command).parse_args(words[4:])
        assert taken.action == action
        curl = shlex.split(ways["curl"])
        assert curl[1:3] == ["-X", "DELETE" if action == "delete" else "POST"]
        assert resolve(urlsplit(curl[-1]).path)
        compile(ways["Python"], "copied", "exec")
