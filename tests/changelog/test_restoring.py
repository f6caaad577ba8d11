"""One store on its way to its changelog's end."""

from engine.changelog.restore import Restoring
from engine.stores.contract import ChangelogColumns


class Store:
    def __init__(self):
        self.told = []

    def restore(self, _records, position, *, current):
        self.told.append((position, current))


def test_only_at_the_end_the_store_is_told_that_it_is_current():
    store = Store()
    restoring = Restoring("0_0", "counts", "changelog", 0, store, 0, 10, "new owner")
    for position in (4, 9, 10):
        restoring.apply(ChangelogColumns([b"k"], [b"v"], [1]), position)
    assert store.told == [(4, False), (9, False), (10, True)]
