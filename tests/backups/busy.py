"""`python -m tests.backups.busy`: backups under load, restored into a stack of their own, and checked there.

One service has its own primary on a second server, so that one instant must be taken on two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import django

from landcontracts.embedded.processes import StartFailed
from landcontracts.embedded.stack import BASE, Stack

RELOCATED = "documents"
ENGINES = ("DATABASE_URL", "REDIS_URL", "S3_ACCESS_KEY")
# The secrets that the operator keeps beside a backup.
SECRETS = ("SECRET_KEY", "JWT_SIGNING_KEY", "REFRESH_TOKEN_SECRET", "COMMAND_DIGEST_SECRET", "SEAM_MASTER_SECRETS")
LEAD_SECONDS, AFTER_SECONDS = 1.5, 0.5


def main() -> int:
    """Run all of it; the results as JSON in the last line."""
    light = {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "64"}
    os.environ |= light
    with Stack("busy", fresh=True, durable=False, quiet=True) as stack:
        os.environ.update(stack.env)
        django.setup()
        acknowledged, results = back_up_under_load(stack)
        (stack.folder / "known.json").write_text(json.dumps(acknowledged))
        for name in [name for name in stack.env if name not in SECRETS]:
            os.environ.pop(name, None)
        os.environ |= light | {"PATH": stack.env["PATH"], "HOME": stack.env.get("HOME", "/")}
        os.environ |= {name: stack.env[name] for name in SECRETS}
        with Stack("busy-restored", fresh=True, durable=False, quiet=True) as other:
            results |= restore(stack, other)
    print(json.dumps(results, ensure_ascii=False, default=str))
    return 0


def back_up_under_load(stack: Stack) -> tuple[dict[str, Any], dict[str, Any]]:
    """Back up while sales run. The writes acknowledged before the instant, and the results of the backup."""
    from apps.backups import repository
    from apps.extraction.relocation.actions import CUTOVER, PREPARE, SYNC, VERIFY
    from apps.extraction.state.initiator import Initiator
    from tests.drills import audit
    from tests.drills.people import People
    from tests.drills.steady import Stopwatch

    url = stack.start_web()
    stack.start_worker()
    initiator = Initiator("test", "pytest", "busy")
    for action in (PREPARE, SYNC, VERIFY, CUTOVER):
        action.perform(RELOCATED, initiator)
    people = People(url, 7)
    tally = Stopwatch()
    trios = people.trios(2)
    first = _one_sale(url, people, trios[:1])
    messages_per_sale = audit.messages_of([first.contract_id])[first.contract_id]
    with _Timed(url, tally, trios, people.pdf) as load:
        time.sleep(LEAD_SECONDS)  # so that sales are at every step
        stack.manage("backup")
        time.sleep(AFTER_SECONDS)
    backup = repository.newest(Path(stack.env["BACKUP_ROOT"]))
    manifest = backup.manifest
    instant = manifest.cut_at.timestamp()
    acknowledged = {
        "cut_at": manifest.cut_at.isoformat(),
        "folder": str(backup.folder),
        "messages_per_sale": messages_per_sale,
        "facts": [first._asdict(), *(fact._asdict() for fact, at in load.finished if at < instant)],
        "keys": [key for key, at in tally.acknowledged_at.items() if at < instant],
        "people": [person._asdict() for person in people.members],
        "authority": people.authority.pem(),
    }
    results = {
        "failed": tally.failures,
        "broken": load.broken,
        "pause_ms": manifest.pause_ms,
        "attempts": manifest.attempts,
        "slowest_ms": tally.slowest(instant - 1, instant + 1),
        "primaries": manifest.primaries,
        "acknowledged": len(acknowledged["keys"]),
        "later": sum(at >= instant for at in tally.acknowledged_at.values()),
        "finished": len(acknowledged["facts"]),
        "under_way": len(load.finished) + 1 - len(acknowledged["facts"]),
    }
    return acknowledged, results


def restore(stack: Stack, other: Stack) -> dict[str, Any]:
    """Restore into another stack, with the kept secrets, and check."""
    latest = json.loads((stack.folder / "known.json").read_text())["folder"]
    root = str(Path(latest).parent)
    results: dict[str, Any] = {"refused": _refused(lambda: other.manage("restore", latest, "--from", root))}
    began = time.monotonic()
    other.manage("restore", latest, "--from", root, "--replace", "--confirm", "landcontracts")
    results["restored_seconds"] = round(time.monotonic() - began, 1)
    # Before any event is delivered: the state of the instant is consistent in itself.
    results |= _in(other, stack, "check")
    other.start_web()
    other.start_worker()
    results |= _in(other, stack, "read")
    return results


def _in(other: Stack, stack: Stack, what: str) -> dict[str, Any]:
    """Run the reader in the restored stack."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.backups.reader", what, str(stack.folder / "known.json")],
        cwd=BASE,
        env=other.env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StartFailed(done.stdout[-2000:] + done.stderr[-3000:])
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _refused(act: Any) -> str:
    try:
        act()
    except StartFailed as error:
        return str(error)
    return ""


def _one_sale(url: str, people: Any, trios: list[Any]) -> Any:
    from tests.drills import audit
    from tests.drills.clients import Tally
    from tests.drills.sales import Load

    with Load(url, Tally(), trios, people.pdf) as load:
        pass
    audit.settle()
    return load.facts[0]


def _Timed(*arguments: Any) -> Any:  # noqa: N802 - a class that can be made when Django is ready
    from tests.drills.sales import Fact, Load, Trio

    class Timed(Load):
        """A load that records when each sale was finished."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.finished: list[tuple[Fact, float]] = []

        def _one(self, trio: Trio) -> Fact:
            fact = super()._one(trio)
            self.finished.append((fact, time.time()))
            return fact

    return Timed(*arguments)


if __name__ == "__main__":
    sys.exit(main())
