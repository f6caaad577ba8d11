"""What runs under chaos: two sub-topologies in one transaction after the other, a store in each, an output; and what fails."""

from collections import Counter

from engine import Consumed, Grouped, Materialized, Produced, serdes


def counts(builder):
    """Counts by key, written out, and counts by the value's last letter through a repartition topic."""
    records = builder.stream("in", Consumed(serdes.string, serdes.string))
    records.group_by_key().count(Materialized("by-key", serdes.string, serdes.int64)).to_stream().to(
        "out", Produced(serdes.string, serdes.int64)
    )
    records.group_by(lambda _, value: value[-1], Grouped("by-letter", serdes.string, serdes.string)).count(
        Materialized("by-letter-counts", serdes.string, serdes.int64)
    )


def passed_through(builder):
    """No store: what comes out is compared record for record."""
    builder.stream("in", Consumed(serdes.string, serdes.string)).to("out", Produced(serdes.string, serdes.string))


def forgetful(builder):
    """Counts that are kept in the process and in no store: whoever takes over begins anew."""
    seen = Counter()

    def count(key, _value):
        seen[key] += 1
        return key, str(seen[key])

    builder.stream("in", Consumed(serdes.string, serdes.string)).map(count).to(
        "out", Produced(serdes.string, serdes.string)
    )


def raises(_builder):
    """Cannot be built."""
    raise LookupError("no such topology")
