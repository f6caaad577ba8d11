"""A broker made up as logs, and a producer of it whose transactions happen whole or not at all."""

CHANGELOG = "shop-counts-changelog"
DEAD = "dead-letters"


class Broker:
    """The logs by input place, the changelogs by partition, what was written, and the committed offsets."""

    def __init__(self, places):
        self.logs = {place: [] for place in places}
        self.changelogs = {partition: [] for _, partition in places}
        self.output = []
        self.dead = []
        self.committed = dict.fromkeys(self.logs, 0)


class Transaction:
    """The producer of one instance and its transaction in one: what it sends is in the logs once it commits."""

    required = True

    def __init__(self, broker):
        self.broker = broker
        self.transaction = self
        self.forget()

    def forget(self):
        self.output, self.dead, self.acks, self.offsets = [], [], [], []
        self.changelogs = {partition: [] for partition in self.broker.changelogs}

    @property
    def is_open(self):
        return bool(self.output or self.dead or self.offsets or any(self.changelogs.values()))

    def poll(self):
        pass

    def partitions_of(self, _topic):
        return len(self.broker.changelogs)

    def send(self, topic, keys, values, timestamps, *_, **__):
        assert len(timestamps) == len(keys)
        written = self.dead if topic == DEAD else self.output
        written += zip(keys, values, strict=True)

    def send_changelog(self, topic, partition, records, acked, _headers=None):
        assert topic == CHANGELOG
        self.changelogs[partition] += records
        self.acks.append((acked, len(self.broker.changelogs[partition]) + len(self.changelogs[partition]) - 1))

    def send_offsets(self, offsets, _group):
        self.offsets += offsets

    def commit(self):
        self.broker.output += self.output
        self.broker.dead += self.dead
        for partition, records in self.changelogs.items():
            # Each log that it wrote ends with a marker, as on a real broker.
            self.broker.changelogs[partition] += records + [None] * bool(records)
        for place in self.offsets:
            assert place.offset >= self.broker.committed[place.topic, place.partition]
            self.broker.committed[place.topic, place.partition] = place.offset
        for acked, offset in self.acks:
            acked(offset)
        self.forget()

    def abort(self):
        self.forget()
        return True
