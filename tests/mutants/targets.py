"""What is mutated, and which tests have to notice."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from landcontracts.topology import SERVICES


class Target(NamedTuple):
    """Modules by path below the tree, and pytest's arguments."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


def _app(name: str, *further: str) -> Target:
    return Target(
        (f"apps/{name}/logic", f"apps/{name}/service.py", f"apps/{name}/handlers.py"), (f"apps/{name}", *further)
    )


RELOCATION = "apps/extraction/relocation"
TARGETS: dict[str, Target] = {
    **{service: _app(service) for service in SERVICES},
    "authentication": _app("authentication", "tests/flags"),
    "documents": Target(
        ("apps/documents/service.py",),
        tuple(f"apps/documents/tests/test_{name}.py" for name in ("contract", "lifetime")),
    ),
    "documents_logic": Target(
        ("apps/documents/logic",),
        tuple(
            f"apps/documents/tests/test_{name}.py"
            for name in ("filenames", "file_probe", "active_content", "probes", "content")
        ),
    ),
    "datasync": Target(("apps/datasync/service.py",), ("apps/datasync",)),
    "sync_worker": Target(
        ("apps/datasync/logic/sync_worker.py",),
        ("tests/moves/test_sync_worker.py", "tests/moves/test_successor.py", "tests/moves/test_copying.py"),
    ),
    "verification_worker": Target(
        ("apps/datasync/logic/verification_worker.py",),
        ("tests/moves/test_verification_worker.py", "tests/moves/test_verify.py"),
    ),
    "commands": Target(
        ("apps/core/seam/server/commands.py", "apps/core/seam/server/retries.py"),
        (
            "tests/seam/test_command_log.py",
            "tests/seam/test_retries.py",
            "tests/seam/test_commands.py",
            "tests/tracing/test_spans.py",
        ),
    ),
    "relay": Target(("apps/core/seam/events/relay.py",), ("tests/seam/test_relay.py",)),
    "signing": Target(("apps/core/seam/signing.py",), ("tests/seam/test_signing.py",)),
    "action": Target(
        ("apps/extraction/state/action.py", "apps/extraction/state/epochs.py", f"{RELOCATION}/actions.py"),
        ("apps/extraction/tests/test_actions.py", "tests/moves/test_action.py"),
    ),
    "preconditions": Target(
        (f"{RELOCATION}/preconditions.py",), ("tests/moves/test_preconditions.py", "tests/moves/test_delays.py")
    ),
    "synchronisation": Target((f"{RELOCATION}/synchronisation.py",), ("tests/moves/test_synchronisation.py",)),
    "switch": Target(
        tuple(f"{RELOCATION}/{module}.py" for module in ("access", "cutover", "procedures", "recovery")),
        ("tests/moves/test_switch.py", "tests/moves/test_recovery.py"),
    ),
    "rehearsal": Target(
        (f"{RELOCATION}/rehearsal.py", f"{RELOCATION}/baseline.py"), ("tests/moves/test_rehearsal.py",)
    ),
}


def files(target: Target, tree: Path) -> list[Path]:
    """The files of a target, relative to the tree."""
    found: list[Path] = []
    for name in target.modules:
        path = tree / name
        if path.is_dir():
            found += [file for file in sorted(path.rglob("*.py")) if file.name != "__init__.py"]
        elif path.exists():
            found.append(path)
    return [file.relative_to(tree) for file in found]


def tests(target: Target, tree: Path) -> list[Path]:
    """The files of a target's tests, with the helpers that they share; relative to the tree."""
    found = [*tree.glob("conftest.py"), tree / "tests/world.py"]
    for name in target.tests:
        path = tree / name
        found += [file for file in sorted(path.rglob("*.py")) if "tests" in file.parts] if path.is_dir() else [path]
    return [file.relative_to(tree) for file in found]
