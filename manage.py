#!/usr/bin/env python
"""Django's command line."""

import os
import sys


def main() -> None:
    """Run a management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "landcontracts.settings")
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # a command is over before anybody asks what it has counted
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        if sys.argv[1:2] == ["serve"]:
            from landcontracts.alone import environment

            environment.narrow(sys.argv[2:])
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a variable is missing or wrong: said, without a traceback
        sys.exit(f"manage.py: {error}")


if __name__ == "__main__":
    main()
