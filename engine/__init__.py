"""Statehouse's engine: stateful processors over Kafka topics, with Kafka Streams' own answers."""
