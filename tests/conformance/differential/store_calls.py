"""Random ops on stores, spelled as the cases spell them: words, `~` for nothing."""

from typing import Protocol

from tests.conformance.differential.chances import Chances


class Calls(Protocol):
    """Spells one op after another."""

    def next(self) -> str: ...


class _Spelling:
    def __init__(self, chances: Chances) -> None:
        self.chances = chances
        self._values = 0

    def _value(self, nothing: float = 0.2) -> str:
        if self.chances.chance(nothing):
            return "~"
        self._values += 1
        return f"v{self._values - 1}"

    def _bound(self) -> str:
        return self.chances.random.choice((*self.chances.keys, *self.chances.keys, "~", "m"))

    def _old_time(self, steps: tuple[int, ...] = (0, 0, 0, 1, -1)) -> int:
        """A time near one that was put, or 0."""
        return max(0, self.chances.earlier() + self.chances.random.choice(steps))

    def _times(self) -> str:
        first = self._old_time()
        last = self.chances.random.choice(
            (first, first - 1, first + self.chances.unit, self.chances.now, self._old_time())
        )
        return f"{first} {max(0, last)}"


class KeyValueCalls(_Spelling):
    """Ops of a key-value store; an LRU store has no ranges."""

    def __init__(self, chances: Chances, kind: str) -> None:
        super().__init__(chances)
        self._kind = kind

    def next(self) -> str:
        rare = ("range", "rrange", "prefix", "all", "rall", "entries")
        if self._kind == "rocksdb":
            rare = rare[:-1]  # its number of entries is an estimate, and not ours
        words = ("put", "put", "put", "putifabsent", "putall", "delete", "get", *rare)
        word = self.chances.random.choice(words)
        if word in {"put", "putifabsent"}:
            return f"{word} {self._value()}"
        if word == "putall":
            return f"putall {' '.join(f'{self.chances.random.choice(self.chances.keys)} {self._value()}' for _ in range(3))}"
        if word in {"range", "rrange"}:
            return f"{word} {self._bound()} {self._bound()}"
        return f"prefix {self.chances.random.choice(self.chances.keys)}" if word == "prefix" else word


class WindowCalls(_Spelling):
    """Ops of a window store."""

    def next(self) -> str:
        if self.chances.chance(0.5):
            return f"put {self._value()} {self.chances.time()}"
        word = self.chances.random.choice(
            ("get", "fetch", "rfetch", "kfetch", "rkfetch", "fetchall", "rfetchall", "all", "rall")
        )
        if word == "get":
            return f"get {self._old_time()}"
        if word in {"all", "rall"}:
            return word
        bounds = f"{self._bound()} {self._bound()} " if "kfetch" in word else ""
        return f"{word} {bounds}{self._times()}"


class SessionCalls(_Spelling):
    """Ops of a session store."""

    def next(self) -> str:
        if self.chances.chance(0.5):
            end = self.chances.time()
            start = max(0, end - self.chances.random.choice((0, 0, 1, *self.chances.spans)))
            return f"put {self._value()} {start} {end}"
        word = self.chances.random.choice(
            ("remove", "get", "fetch", "rfetch", "kfetch", "rkfetch", "find", "find", "rfind", "kfind", "rkfind")
        )
        if word in {"remove", "get"}:
            start, end = sorted((self._old_time(), self._old_time()))
            return f"{word} {self.chances.random.choice((start, end))} {end}"
        if word in {"fetch", "rfetch"}:
            return word
        bounds = f" {self._bound()} {self._bound()}" if word.startswith(("k", "rk")) else ""
        return word + bounds + (f" {self._times()}" if "find" in word else "")


class VersionedCalls(_Spelling):
    """Ops of a versioned store."""

    def next(self) -> str:
        word = self.chances.random.choice(("put", "put", "put", "delete", "get", "asof", "asof", "versions"))
        if word == "versions":
            first, last = self._times().split()
            bounds = (self.chances.random.choice((bound, bound, "~")) for bound in (first, last))
            return f"{self.chances.random.choice(('', 'r'))}versions {' '.join(bounds)}"
        if word == "put":
            return f"put {self._value(0.25)} {self.chances.time()}"
        if word == "delete":
            return f"delete {self.chances.time()}"
        return "get" if word == "get" else f"asof {self._old_time()}"
