"""``manage.py ensure_account``: make an account as described, or bring it to that. Safe to run at every start."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from console.access import roles
from console.access.policy import ROLES

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Takes secrets from the environment or standard input, so that they need not stand in the process list."""

    help = "Make an account (or bring it up to date) with a role, a password and an API token."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the options."""
        parser.add_argument("--username", required=True)
        parser.add_argument("--role", required=True, choices=ROLES)
        parser.add_argument("--password", help="better: STATEHOUSE_ADMIN_PASSWORD, or --password-stdin")
        parser.add_argument("--password-stdin", action="store_true")
        parser.add_argument("--token", help="better: STATEHOUSE_API_TOKEN")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it; the secrets are never printed."""
        password = options["password"] or os.environ.get("STATEHOUSE_ADMIN_PASSWORD") or None
        if options["password_stdin"]:
            password = sys.stdin.readline().rstrip("\n") or None
        token = options["token"] or os.environ.get("STATEHOUSE_API_TOKEN") or None
        try:
            user = roles.ensure_account(options["username"], options["role"], password, token)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"account {user.get_username()}: role {options['role']}")
