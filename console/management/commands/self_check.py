"""`manage.py self_check`: the self-check page's walk on a terminal, for when no page opens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.health import self_check
from console.health.finding import BAD, SKIPPED, WARN

if TYPE_CHECKING:
    from argparse import ArgumentParser

_STYLES = {BAD: "ERROR", WARN: "WARNING", SKIPPED: "HTTP_INFO"}
_MARK = "STATEHOUSE_SELF_CHECK"


class Command(BaseCommand):
    """Makes the checks in this process, so it works while the web part is down. Exit code 1: something is wrong."""

    help = "Walk what the console depends on, in order, and say what is wrong and what to do."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--json", action="store_true", help="JSON instead of lines")
        parser.add_argument("--data-dir", type=Path, help="the data directory of `manage.py up`")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Check and show."""
        self._as_up_would(options["data_dir"])
        found = self_check.outcome()
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            for each in found["checks"]:
                style = getattr(self.style, _STYLES.get(each["level"], "SUCCESS"))
                self.stdout.write(f"{style(each['level'].ljust(8))}{each['name'].ljust(15)}{each['words']}")
                if each["remedy"]:
                    self.stdout.write(" " * 23 + each["remedy"])
        if found["verdict"] == BAD:
            raise CommandError(found["words"])

    def _as_up_would(self, data_dir: Path | None) -> None:
        """Beside a running ``up`` start again with its addresses, unless the environment names others."""
        directory = (data_dir or Path(settings.DATA_DIR)).absolute()
        if os.environ.get(_MARK) or os.environ.get("REDIS_URL") or not (directory / "up.json").is_file():
            return
        try:
            running = json.loads((directory / "up.json").read_text(encoding="utf-8"))
            environment = {
                _MARK: "1",
                "STATEHOUSE_DATA_DIR": str(directory),
                "REDIS_URL": running["redis_url"],
                "KAFKA_BOOTSTRAP_SERVERS": running["bootstrap_servers"],
                "ENGINE_TOKEN_FILE": str(directory / "engine-token"),
            }
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(f"{directory / 'up.json'} cannot be read ({type(error).__name__})") from error
        done = subprocess.run([sys.executable, *sys.argv], env={**os.environ, **environment}, check=False)  # noqa: S603 - ourselves, as we were called
        sys.exit(done.returncode)
