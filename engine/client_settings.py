"""Which settings of the Kafka client a user may give, and how they reach librdkafka.

An allow-list, because some of librdkafka's settings load code (`plugin.library.paths`), run a shell
(`sasl.kerberos.kinit.cmd`) or read any file (`*.location`). The console checks the settings it is given here too.
Pure functions; any thread.
"""

from collections.abc import Mapping

from engine.errors import ConfigError

# How to reach the brokers and prove who we are. The three `.location`s name certificates of this very connection.
CONNECTION = frozenset(
    {
        "broker.address.family",
        "client.dns.lookup",
        "client.rack",
        "connections.max.idle.ms",
        "log_level",
        "metadata.max.age.ms",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.password",
        "sasl.username",
        "security.protocol",
        "socket.connection.setup.timeout.ms",
        "socket.keepalive.enable",
        "socket.nagle.disable",
        "socket.receive.buffer.bytes",
        "socket.send.buffer.bytes",
        "socket.timeout.ms",
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.certificate.pem",
        "ssl.cipher.suites",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.key.pem",
    }
)
CONSUMER = frozenset(
    {
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.wait.max.ms",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "receive.message.max.bytes",
    }
)
PRODUCER = frozenset(
    {
        "batch.num.messages",
        "batch.size",
        "compression.codec",
        "compression.level",
        "compression.type",
        "linger.ms",
        "message.max.bytes",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
    }
)
ALLOWED = CONNECTION | CONSUMER | PRODUCER
SECRETS = frozenset({"sasl.password", "ssl.key.password", "ssl.key.pem"})


def check(settings: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `settings` if each may be given; raise ConfigError, naming the first that may not."""
    for name, value in settings.items():
        if name not in ALLOWED:
            raise ConfigError(
                f"the client setting {name!r} cannot be given: it is the engine's own, unknown, or could load code or "
                f"read files. Those that can: {', '.join(sorted(ALLOWED))}"
            )
        if not isinstance(value, str | int | float | bool):
            raise ConfigError(f"the client setting {name!r} must be text or a number, not {type(value).__name__}")
    return {name: _text(value) for name, value in settings.items()}


def parse(text: str) -> dict[str, str]:
    """Read `name=value` pairs (`ENGINE_CLIENT_SETTINGS`)."""
    return check(pairs(text, "client setting"))


def pairs(text: str, what: str) -> dict[str, str]:
    """Read `name=value` pairs, one a line or separated by commas; raise ConfigError for what is none."""
    found: dict[str, str] = {}
    for part in text.replace("\n", ",").split(","):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"{what} {part.strip()!r} is no name=value pair")
        found[name.strip()] = value.strip()
    return found


def of_kind(settings: Mapping[str, str], kind: frozenset[str]) -> dict[str, str]:
    """Those of `settings` that a client of this kind takes: its own and the connection's."""
    return {name: value for name, value in settings.items() if name in CONNECTION or name in kind}


def masked(settings: Mapping[str, str]) -> dict[str, str]:
    """`settings` for people's eyes: secrets replaced."""
    return {name: "***" if name in SECRETS else value for name, value in settings.items()}


def _text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
