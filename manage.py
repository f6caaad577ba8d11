"""The command line of Statehouse: ``manage.py up`` runs everything, ``manage.py help`` lists the rest."""

import os
import sys


def main() -> None:
    """Run one command."""
    if sys.argv[1:2] == ["up"]:
        # Without Django: `up` makes the environment that the settings are read from, and stays small beside its children.
        from engine.embedded.up import main as up  # noqa: PLC0415

        sys.exit(up(sys.argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
