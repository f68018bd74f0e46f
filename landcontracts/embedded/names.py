"""The names that the pages of `migrations_playbook` use, as a shell sets them, for the stack that is running."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

# What an operator decides; a value in the environment is kept.
DECIDED = {
    "SHADOW_SHARE": "10",
    "STEPS": "1,5,25,50,100",
    "STEP_SECONDS": "300",
    "TOLERATED": "0.01",
    "SLOWER_MS": "25",
    "ADMINISTRATOR": "admin@landcontracts.example",
}


def assignments(service: str, environment: Mapping[str, str], folder: Path) -> str:
    """Lines of `NAME=value`. They are not exported: `SERVICE` in the environment would narrow the platform to it.

    Raises: KeyError for a service that has no address.
    """
    address = json.loads(environment["SEAM_AWAY"])[service]
    values = {
        "SERVICE": service,
        "ADDRESS": address,
        "BIND": address.removeprefix("http://"),
        "PLATFORM": environment["SEAM_HOME"],
        "LOGS": str(folder / "logs"),
        **{name: os.environ.get(name, value) for name, value in DECIDED.items()},
    }
    return "\n".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
