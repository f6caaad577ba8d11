"""What runs under chaos: two sub-topologies in one transaction after the other, a store in each, an output."""

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
