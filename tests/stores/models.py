"""Plain-Python models of the store kinds: dicts and lists, written from the rules and not from the code under test.

Each keeps its uncommitted state beside the committed one, so that a rollback is an assignment.
"""

from __future__ import annotations

import copy
from typing import ClassVar


class Model:
    """Commit, roll back, and the fold of the changelog."""

    def __init__(self):
        self.now = self.fresh()
        self.saved = copy.deepcopy(self.now)

    def commit(self):
        self.saved = copy.deepcopy(self.now)

    def rollback(self):
        self.now = copy.deepcopy(self.saved)


class KeyValueModel(Model):
    def fresh(self):
        return {}

    def put(self, key, value):
        if value is None:
            self.now.pop(key, None)
        else:
            self.now[key] = value

    def rows(self, low=None, high=None, prefix=b""):
        return [
            (key, self.now[key])
            for key in sorted(self.now)
            if (low is None or key >= low) and (high is None or key <= high) and key.startswith(prefix)
        ]


class WindowModel(Model):
    """{(key, start): value} and the observed time. `interval` and `memory` choose the rule by which a put is refused."""

    def __init__(self, retention, interval, *, memory):
        self.retention, self.interval, self.memory = retention, interval, memory
        super().__init__()

    def fresh(self):
        return {"rows": {}, "observed": -1, "dropped": 0}

    def put(self, key, start, value):
        state = self.now
        state["observed"] = max(state["observed"], start)
        horizon = state["observed"] - self.retention
        if start <= horizon if self.memory else start // self.interval < int(horizon / self.interval):
            state["dropped"] += 1
        elif value is None:
            state["rows"].pop((key, start), None)
        else:
            state["rows"][key, start] = value

    def visible(self):
        oldest = self.now["observed"] - self.retention
        return {row: value for row, value in self.now["rows"].items() if row[1] > oldest}

    def order(self, row):
        key, start = row
        if self.memory:
            return (start, key)
        return (start // self.interval, key + start.to_bytes(8) + bytes(4))

    def rows(self, time_from, time_to, low=None, high=None):
        found = [
            (*row, value)
            for row, value in self.visible().items()
            if time_from <= row[1] <= time_to and (low is None or row[0] >= low) and (high is None or row[0] <= high)
        ]
        return sorted(found, key=lambda row: self.order(row[:2]))


class SessionModel(Model):
    """{(key, start, end): value} and the observed time."""

    def __init__(self, retention, interval, *, memory):
        self.retention, self.interval, self.memory = retention, interval, memory
        super().__init__()

    def fresh(self):
        return {"rows": {}, "observed": -1, "dropped": 0}

    def put(self, key, start, end, value):
        state = self.now
        state["observed"] = max(state["observed"], end)
        horizon = state["observed"] - self.retention
        if end <= horizon if self.memory else end // self.interval < int(horizon / self.interval):
            state["dropped"] += 1
        elif value is None:
            state["rows"].pop((key, start, end), None)
        else:
            state["rows"][key, start, end] = value

    def remove(self, key, start, end):
        if not self.memory:
            self.now["observed"] = max(self.now["observed"], end)
        self.now["rows"].pop((key, start, end), None)

    def order(self, row):
        key, start, end = row
        if self.memory:
            return (end, key, -start)
        return (end // self.interval, key + end.to_bytes(8) + start.to_bytes(8))

    def find(self, low, high, earliest_end, latest_start):
        oldest = self.now["observed"] - self.retention
        found = [
            (*row, value)
            for row, value in self.now["rows"].items()
            if row[2] > oldest
            and row[2] >= earliest_end
            and row[1] <= latest_start
            and (low is None or row[0] >= low)
            and (high is None or row[0] <= high)
        ]
        return sorted(found, key=lambda row: self.order(row[:3]))


class VersionedModel(Model):
    """{key: {timestamp: value or None}}: exact as long as no tombstone ever hits the latest version's timestamp."""

    NOT_PUT: ClassVar[int] = -(2**63)

    def __init__(self, history):
        self.history = history
        super().__init__()

    def fresh(self):
        return {"keys": {}, "observed": -1}

    def put(self, key, value, timestamp):
        state = self.now
        if timestamp < state["observed"] - self.history:
            return self.NOT_PUT
        state["observed"] = max(state["observed"], timestamp)
        versions = state["keys"].setdefault(key, {})
        versions[timestamp] = value
        later = [at for at in versions if at > timestamp]
        return min(later) if later else -1

    def latest(self, key):
        versions = self.now["keys"].get(key, {})
        if not versions or versions[max(versions)] is None:
            return None
        return versions[max(versions)], max(versions)

    def as_of(self, key, time):
        versions = self.now["keys"].get(key, {})
        valid = [at for at in versions if at <= time]
        if not valid:
            return None
        at = max(valid)
        if versions[at] is None:
            return None
        if time < self.now["observed"] - self.history and at != max(versions):
            return None
        return versions[at], at


class LruModel(Model):
    """A list of [key, value], the one used longest ago first."""

    def __init__(self, bound):
        self.bound = bound
        super().__init__()

    def fresh(self):
        return []

    def get(self, key):
        for row in self.now:
            if row[0] == key:
                self.now.remove(row)
                self.now.append(row)
                return row[1]
        return None

    def put(self, key, value):
        self.now = [row for row in self.now if row[0] != key]
        if value is not None:
            self.now = [*self.now, [key, value]][-self.bound :]
