"""Names of Channels groups. The observer and jobs send to them, sockets join them."""

from __future__ import annotations

import hashlib

OVERVIEW = "overview"
JOBS = "jobs"
# Channels allows 99 characters in a group's name, applications may have 200.
_NAME_MAX = 90


def of_application(application: str) -> str:
    """Return the group that hears of one application."""
    if len(application) > _NAME_MAX:
        application = "long." + hashlib.sha256(application.encode()).hexdigest()
    return f"app.{application}"
