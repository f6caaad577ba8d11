"""Random keys, values and times, in the manner of the measured cases: few keys, times that crowd around the edges."""

import random

KEY_SETS = (
    ("a", "b"),
    ("a", "b", "c"),
    ("k1", "k2", "k10"),
    ("A", "Z", "a"),
    ("x", "é", "日本"),
    ("a", "aa", "ab", "b"),
)
# Not for ops on stores, whose words can't be empty.
ODD_KEYS = ("", "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
UNITS = (1, 5, 10, 30, 35, 70, 84, 1_000, 5_000, 10_000, 30_000, 150_000, 300_000)
MULTIPLES = (0, 0, 0.1, 0.5, 1, 1, 2, 4)
SHORT, LONG = (8, 40), 400


class Chances:
    """One case's source of randomness: `spans` are the durations in ms whose edges its times look for."""

    def __init__(self, seed: str, *, long: bool = False, odd: bool = False) -> None:
        self.random = random.Random(seed)
        self.long = long
        self.keys = self.random.choice(KEY_SETS)
        if odd and self.chance(0.1):
            self.keys = ODD_KEYS
        self.unit = self.random.choice(UNITS)
        self.null_keys = self.random.choice((0, 0, 0.08))
        self.null_values = self.random.choice((0, 0.08, 0.08, 0.25))
        self.empty_values = self.random.choice((0, 0, 0.05))
        self.late = self.random.choice((0.1, 0.3, 0.45))
        self.jump = self.random.choice((0.02, 0.1, 0.2))
        self.spans: list[int] = [self.unit]
        start = self.random.choice((0, 0, 0, 1, 2, 30, 200, 1_000))
        self.now = int(start * self.unit)
        self._seen = [self.now]

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def any_of(self, *choices: object) -> object:
        return self.random.choice(choices)

    def span(self, *, least: int = 0) -> int:
        """A duration of the case's scale, remembered as one whose edges matter."""
        found = max(least, int(self.unit * self.random.choice(MULTIPLES)))
        if self.chance(0.1):
            found += self.random.choice((-1, 1))
        found = max(least, found)
        self.spans.append(found)
        return found

    def key(self) -> str | None:
        return None if self.chance(self.null_keys) else self.random.choice(self.keys)

    def value(self, text: str) -> str | None:
        return None if self.chance(self.null_values) else "" if self.chance(self.empty_values) else text

    def time(self) -> int:
        """The next record's time: often new, often late by one of the spans give or take 1, sometimes far ahead."""
        if self.chance(self.late):
            found = self.earlier()
        elif self.chance(self.jump):
            found = self.now + sum(self.random.choices(self.spans, k=2)) * self.random.choice((1, 2, 10)) + self._edge()
        elif self.chance(0.3):
            found = self.now + self.random.choice(self.spans) + self._edge()
        elif self.chance(0.3):
            found = self.now
        else:
            found = self.now + self.random.randint(0, max(1, self.unit // self.random.choice((1, 5, 10))))
        found = max(0, found)
        self.now = max(self.now, found)
        self._seen.append(found)
        return found

    def count(self) -> int:
        return LONG if self.long else self.random.randint(*SHORT)

    def earlier(self) -> int:
        chosen = self.random.random()
        if chosen < 0.1:
            return 0
        if chosen < 0.45:
            return self.random.choice(self._seen[-12:]) + self._edge()
        if chosen < 0.7:
            return self.now - self.random.choice(self.spans) + self._edge()
        if chosen < 0.9:
            return self.now - sum(self.random.choices(self.spans, k=2)) + self._edge()
        return self.random.randint(max(0, self.now - 4 * max(self.spans)), self.now)

    def _edge(self) -> int:
        return self.random.choice((0, 0, 0, -1, 1))
