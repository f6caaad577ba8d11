"""Filter expressions: what they mean, and where they say that they mean nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.query.expression import BadExpression, compiled

ENTRY = {
    "key": "UA",
    "value": {
        "flights": 43,
        "delay": {"worst": [93, 71]},
        "note": None,
        "ok": True,
        "big": 2**60,
        "a-b": 1,
        "s": 'x"y',
    },
    "timestamp": 1_700,
    "partition": 3,
    "size": 61,
    "window": {"start": 5, "end": 9},
    "session": None,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('key = "UA"', True),
        ("key == 'U'", False),
        ("value.flights > 42 and value.flights <= 43", True),
        ("value.flights > 43 or partition = 3", True),
        ("not value.flights > 43", True),
        ("not (key = 'UA' and partition = 3)", False),
        ("value.delay.worst[0] = 93", True),
        ("value.delay.worst[9] = 93", False),
        ("value.delay.worst contains 71", True),
        ("value['a-b'] = 1", True),
        ("value.a-b = 1", True),
        ("value contains 'ok'", True),
        ("key startswith 'U' and key endswith 'A' and key contains 'UA'", True),
        ("key in ['DL', 'UA']", True),
        ("partition in [1, 2]", False),
        ("value.note = null", True),
        ("value.note exists", True),
        ("value.none exists", False),
        ("value.none != 5", False),
        ("value.flights != '43'", True),
        ("value.flights = 43.0", True),
        ("value.ok", True),
        ("value.flights", False),
        ("value.ok = 1", False),
        ("value.ok > 0", False),
        ("key > 5", False),
        (f"value.big = {2**60}", True),
        (f"value.big = {2**60 + 1}", False),
        ("window.start < 6", True),
        ("session exists", False),
        ("value.s = 'x\"y'", True),
        ('value.s = "x\\"y"', True),
        ("value.flights > -1e1", True),
    ],
)
def test_what_an_expression_means(text, holds):
    assert compiled(text)(ENTRY) is holds


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 0, "expected"),
        ("flights > 4", 0, "value.flights"),
        ("value.flights >", 15, "expected"),
        ("value.flights > many", 16, "quotes"),
        ("key = 'U", 6, "does not end"),
        ("key = 'U' key", 10, "and, or"),
        ("(key = 'U'", 10, ")"),
        ("key $ 4", 4, "means nothing"),
        ("key 4", 4, "comparison"),
        ("value[1.5] = 1", 6, "whole number"),
        ("value. = 1", 7, "field"),
        ("key in 'U'", 7, "["),
        ("__import__('os')", 0, "entry has no"),
        ("key = 4abc", 6, "means nothing"),
        ("key = 1 and " * 50 + "key = 1", 600, "more than 50"),
        ("not " * 22 + "value.ok", 84, "deeper"),
        ("key = '" + "x" * 1_000 + "'", 1_000, "longer"),
    ],
)
def test_an_error_says_where_and_what_to_write(text, position, says):
    with pytest.raises(BadExpression) as raised:
        compiled(text)
    assert raised.value.state == {"position": position}
    assert says in raised.value.message
    assert f"at character {position + 1}" in raised.value.message


@given(st.text(alphabet="kevalu.y[]()'\" =!<>and or not 019-\\", max_size=60))
def test_any_text_is_an_expression_or_says_where_it_is_not(text):
    try:
        test = compiled(text)
    except BadExpression as error:
        position = error.state["position"]
    else:
        assert test(ENTRY) in {True, False}
        position = 0
    assert 0 <= position <= len(text)
