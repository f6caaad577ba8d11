"""The console as a Django application, and the system checks that belong to it."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Error, Tags, register


class ConsoleConfig(AppConfig):
    """Registers the checks; holds nothing."""

    name = "console"
    verbose_name = "Statehouse console"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks that `check --deploy` runs."""
        register(check_deployment, Tags.security, deploy=True)


def check_deployment(**_kwargs: Any) -> list[Error]:
    """Refuse what Django's own checks let pass: a plain origin, no engine token."""
    problems = []
    plain = [origin for origin in settings.ALLOWED_ORIGINS if not origin.startswith("https://")]
    if plain:
        problems.append(
            Error(
                f"STATEHOUSE_ALLOWED_ORIGINS has origins without TLS: {', '.join(plain)}.",
                hint="Serve the console over https and list only https:// origins.",
                id="statehouse.E001",
            ),
        )
    if not settings.ENGINE_TOKEN_FILE:
        problems.append(
            Error(
                "ENGINE_TOKEN_FILE is not set, so no engine will answer the console.",
                hint="Point it at the file given to the engines with --token-file.",
                id="statehouse.E002",
            ),
        )
    return problems
