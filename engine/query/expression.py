"""Filters over entries: a small fixed grammar, compiled to plain comparisons. Never code, no patterns, bounded in size.

    value.flights > 40 and (key startswith "U" or not value.note exists)

    or    = and { "or" and }
    and   = not { "and" not }
    not   = "not" not | "(" or ")" | test
    test  = path [ "exists" | compare literal | "in" "[" literal { "," literal } "]" ]
    compare = "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "startswith" | "endswith"
    path  = root { "." name | "[" whole number or text "]" }
    root  = "key" | "value" | "timestamp" | "partition" | "size" | "window" | "session" | "valid_from" | "valid_to"
    literal = text in quotes | number | "true" | "false" | "null"

A path alone holds where it leads to `true`. Where a path leads nowhere every comparison is false; `exists` asks for that.
Numbers compare with numbers and text with text; anything else is merely unequal. Pure functions; any thread.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.query.refusal import Refusal

ROOTS = ("key", "value", "timestamp", "partition", "size", "window", "session", "valid_from", "valid_to")
# An expression of a person is a line; these keep one of a machine from costing more than the rows that it looks at.
CHARS_MAX = 1_000
TESTS_MAX = 50
DEPTH_MAX = 20
_SHOWN_CHARS_MAX = 40

Test = Callable[[dict[str, Any]], bool]
_Steps = tuple[str | int, ...]
_MISSING = object()
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![A-Za-z0-9_])"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<sign>==|!=|<=|>=|[=<>()\[\],.]))"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_SIGNS = {"=": "=", "==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_WORDS = ("contains", "startswith", "endswith")
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}


class BadExpression(Refusal):
    """The expression is not one. `state["position"]` is the character, counted from 0, where reading it ended."""

    def __init__(self, words: str, position: int) -> None:
        super().__init__("bad-request", f"where=: {words}, at character {position + 1}", {"position": position})


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def compiled(text: str) -> Test:
    """Return the test that an expression is; raises BadExpression."""
    if len(text) > CHARS_MAX:
        raise BadExpression(f"longer than {CHARS_MAX} characters", CHARS_MAX)
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            words = "a text that does not end" if text[start] in "\"'" else f"{text[start]!r} means nothing here"
            raise BadExpression(words, start)
        kind = str(match.lastgroup)
        found.append(_Token(kind, match.group(kind), match.start(kind)))
        at = match.end()
    found.append(_Token("end", "the end", len(text)))
    return found


class _Parser:
    """Reads tokens from left to right, one function a rule of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._tests = 0

    def whole(self) -> Test:
        test = self._or(0)
        if self._peek().kind != "end":
            raise self._expected("and, or, or the end")
        return test

    def _or(self, depth: int) -> Test:
        tests = [self._and(depth)]
        while self._takes("or"):
            tests.append(self._and(depth))
        return tests[0] if len(tests) == 1 else lambda entry: any(test(entry) for test in tests)

    def _and(self, depth: int) -> Test:
        tests = [self._not(depth)]
        while self._takes("and"):
            tests.append(self._not(depth))
        return tests[0] if len(tests) == 1 else lambda entry: all(test(entry) for test in tests)

    def _not(self, depth: int) -> Test:
        if depth > DEPTH_MAX:
            raise BadExpression(f"nested deeper than {DEPTH_MAX} levels", self._peek().at)
        if self._takes("not"):
            inner = self._not(depth + 1)
            return lambda entry: not inner(entry)
        if self._takes("("):
            inner = self._or(depth + 1)
            self._demand(")")
            return inner
        return self._test()

    def _test(self) -> Test:
        self._tests += 1
        if self._tests > TESTS_MAX:
            raise BadExpression(f"more than {TESTS_MAX} comparisons", self._peek().at)
        steps = self._path()
        token = self._peek()
        if self._takes("exists"):
            return lambda entry: _found(entry, steps) is not _MISSING
        if self._takes("in"):
            return _one_of(steps, self._literals())
        if token.text in _SIGNS and token.kind == "sign":
            self._at += 1
            return _comparison(steps, _SIGNS[token.text], self._literal())
        if token.text in _WORDS and token.kind == "name":
            self._at += 1
            return _comparison(steps, token.text, self._literal())
        if token.kind in {"text", "number"}:
            raise self._expected("a comparison such as = or >")
        return lambda entry: _found(entry, steps) is True

    def _path(self) -> _Steps:
        token = self._peek()
        if token.kind != "name":
            raise self._expected(f"something of an entry ({', '.join(ROOTS)})")
        if token.text not in ROOTS:
            words = f"an entry has no {token.text[:_SHOWN_CHARS_MAX]!r}; a field of its value is value.{token.text[:_SHOWN_CHARS_MAX]}"
            raise BadExpression(words, token.at)
        self._at += 1
        steps: list[str | int] = [token.text]
        while True:
            if self._takes("."):
                name = self._next("name", "a field's name")
                steps.append(name.text)
            elif self._takes("["):
                steps.append(self._place())
                self._demand("]")
            else:
                return tuple(steps)

    def _place(self) -> str | int:
        token = self._peek()
        if token.kind == "text":
            self._at += 1
            return _unquoted(token.text)
        if token.kind == "number" and token.text.isdecimal():
            self._at += 1
            return int(token.text)
        raise self._expected("a whole number or a field's name in quotes")

    def _literals(self) -> list[Any]:
        self._demand("[")
        found = [self._literal()]
        while self._takes(","):
            found.append(self._literal())
        self._demand("]")
        return found

    def _literal(self) -> Any:
        token = self._peek()
        if token.kind == "name" and token.text in _CONSTANTS:
            self._at += 1
            return _CONSTANTS[token.text]
        if token.kind == "text":
            self._at += 1
            return _unquoted(token.text)
        if token.kind == "number":
            self._at += 1
            return int(token.text) if token.text.removeprefix("-").isdecimal() else float(token.text)
        if token.kind == "name":
            raise BadExpression(f"text stands in quotes: {token.text[:_SHOWN_CHARS_MAX]!r}", token.at)
        raise self._expected("a text in quotes, a number, true, false or null")

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _takes(self, text: str) -> bool:
        token = self._peek()
        if token.text == text and token.kind in {"name", "sign"}:
            self._at += 1
            return True
        return False

    def _demand(self, text: str) -> None:
        if not self._takes(text):
            raise self._expected(text)

    def _next(self, kind: str, what: str) -> _Token:
        token = self._peek()
        if token.kind != kind:
            raise self._expected(what)
        self._at += 1
        return token

    def _expected(self, what: str) -> BadExpression:
        token = self._peek()
        return BadExpression(f"{what} was expected, not {token.text[:_SHOWN_CHARS_MAX]}", token.at)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)


def _found(entry: dict[str, Any], steps: _Steps) -> Any:
    """What a path leads to, or _MISSING. A root that its entry does not have is null there and counts as missing."""
    here: Any = entry.get(str(steps[0]))
    if here is None and steps[0] != "value":
        return _MISSING
    for step in steps[1:]:
        if isinstance(here, dict):
            here = here.get(step, _MISSING) if isinstance(step, str) else _MISSING
        elif isinstance(here, list | tuple) and isinstance(step, int):
            here = here[step] if step < len(here) else _MISSING
        else:
            return _MISSING
    return here


def _comparison(steps: _Steps, sign: str, wanted: Any) -> Test:
    compare = _COMPARISONS[sign]

    def test(entry: dict[str, Any]) -> bool:
        found = _found(entry, steps)
        return found is not _MISSING and compare(found, wanted)

    return test


def _one_of(steps: _Steps, wanted: list[Any]) -> Test:
    def test(entry: dict[str, Any]) -> bool:
        found = _found(entry, steps)
        return found is not _MISSING and any(_equal(found, each) for each in wanted)

    return test


def _equal(found: Any, wanted: Any) -> bool:
    # In Python true is 1.
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _comparable(found: Any, wanted: Any) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return False
    both_numbers = isinstance(found, int | float) and isinstance(wanted, int | float)
    return both_numbers or (isinstance(found, str) and isinstance(wanted, str))


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, str):
        return isinstance(wanted, str) and wanted in found
    if isinstance(found, list | tuple):
        return any(_equal(each, wanted) for each in found)
    return isinstance(found, dict) and isinstance(wanted, str) and wanted in found


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": _equal,
    "!=": lambda found, wanted: not _equal(found, wanted),
    "<": lambda found, wanted: _comparable(found, wanted) and found < wanted,
    "<=": lambda found, wanted: _comparable(found, wanted) and found <= wanted,
    ">": lambda found, wanted: _comparable(found, wanted) and found > wanted,
    ">=": lambda found, wanted: _comparable(found, wanted) and found >= wanted,
    "contains": _contains,
    "startswith": lambda found, wanted: isinstance(found, str) and isinstance(wanted, str) and found.startswith(wanted),
    "endswith": lambda found, wanted: isinstance(found, str) and isinstance(wanted, str) and found.endswith(wanted),
}
