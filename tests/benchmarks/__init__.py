"""Benchmarks against the peers, on the embedded Kafka: `python -m tests.benchmarks count`."""
