"""The bearer token of the query service: read from a file, or made and kept in the state directory with mode 0600."""

import os
import secrets
from pathlib import Path

from engine.errors import ConfigError

FILE_MODE = 0o600


def load_token(given: Path | None, state_dir: Path) -> str:
    """The token in `given`, or in `<state-dir>/token`, which is made if missing; raises ConfigError when unreadable."""
    path = given or state_dir / "token"
    if given is None and not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"the token file {path} cannot be read: {error.strerror}") from error
    if not token:
        raise ConfigError(f"the token file {path} is empty: put a token of at least 16 characters into it")
    return token
