#!/usr/bin/env python
"""Django's command line."""

import os
import sys


def main() -> None:
    """Run a management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "landcontracts.settings")
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # a command is over before anybody asks what it has counted
    if sys.argv[1:2] == ["serve"] and len(sys.argv) > 2 and not sys.argv[2].startswith("-"):
        os.environ["SERVICE"] = sys.argv[2]  # before the settings are read: nothing but this service is loaded
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a variable is missing or wrong: said, without a traceback
        sys.exit(f"manage.py: {error}")


if __name__ == "__main__":
    main()
