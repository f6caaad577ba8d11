"""Reading the environment. Owned by the settings, which are its only caller.

Every helper fails loudly, with the variable's name and what to write instead: a console that starts with half its
settings misread is worse than one that does not start.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}

# SQLite serialises writers. A writer that waits this long is a bug to see, not a moment to ride out.
SQLITE_BUSY_MS = 20_000


def envstr(name: str, default: str = "") -> str:
    """Return the variable's text without surrounding blanks."""
    return os.environ.get(name, default).strip()


def envbool(name: str, *, default: bool = False) -> bool:
    """Return a switch: 1/true/yes/on or 0/false/no/off."""
    if name not in os.environ:
        return default
    text = envstr(name).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name}={text!r} is neither on nor off. Write 1 or 0.")


def envint(name: str, default: int) -> int:
    """Return a whole number."""
    text = envstr(name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={text!r} is not a whole number.") from None


def envlist(name: str, default: str = "") -> list[str]:
    """Return the comma-separated parts, blanks dropped."""
    return [part.strip() for part in envstr(name, default).split(",") if part.strip()]


def envsecret(name: str) -> str:
    """Return a secret from ``NAME`` or from the file named by ``NAME_FILE``; empty when neither is given."""
    path = envstr(f"{name}_FILE")
    if not path:
        return envstr(name)
    if envstr(name):
        raise ImproperlyConfigured(f"Both {name} and {name}_FILE are set. Keep one of them.")
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE={path!r} cannot be read: {error.strerror}.") from error
    if not secret:
        raise ImproperlyConfigured(f"{name}_FILE={path!r} is empty. Write the secret into it.")
    return secret


def envorigins(name: str, default: str) -> list[str]:
    """Return full origins (scheme, host, port): what a browser sends in ``Origin``."""
    origins = envlist(name, default)
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
            raise ImproperlyConfigured(
                f"{name}: {origin!r} is not an origin. Write scheme, host and port, such as https://console.example.com.",
            )
    return origins


def database(url: str) -> dict[str, object]:
    """Turn ``sqlite:////abs.db`` or ``postgresql://user:password@host:port/name`` into Django's dictionary."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = unquote(parts.path)[1:]
        if not path.startswith("/"):
            raise ImproperlyConfigured(
                "DATABASE_URL: a SQLite path must be absolute, with four slashes: sqlite:////data/console.db."
            )
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": path,
            "OPTIONS": {
                # IMMEDIATE takes the write lock at BEGIN, where the busy timeout applies; a lock taken later fails at once.
                "transaction_mode": "IMMEDIATE",
                "timeout": SQLITE_BUSY_MS / 1000,
                "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout={SQLITE_BUSY_MS};",
            },
        }
    if parts.scheme in {"postgresql", "postgres"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {"connect_timeout": 5},
        }
    raise ImproperlyConfigured(
        f"DATABASE_URL has the scheme {parts.scheme!r}. Use sqlite:////abs/path.db or postgresql://user:password@host/name."
    )
