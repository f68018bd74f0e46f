"""Pages that are typed as they stand, and a run that leads a service through them all, killed on its way. One stack with people on it."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import Popen

import psycopg
import pytest

from landcontracts.embedded.stack import BASE
from tests.drills import move_rows
from tests.playbook.administrator import Administrator
from tests.playbook.pages import PAGES
from tests.playbook.shell import Shell
from tests.playbook.town import Town

pytestmark = pytest.mark.slow

TYPED, LED = "notifications", "documents"
RULES = {
    "SHADOW_SHARE": "50",
    "STEPS": "30,60,100",
    "STEP_SECONDS": "6",
    "TOLERATED": "0.2",
    "SLOWER_MS": "1000",
}
LED_BY = (
    *("--rule", "steps=40,100", "--rule", "step_seconds=600", "--rule", "tolerated_errors=0.3"),
    *("--rule", "allowed_slower_ms=1000", "--rule", "shadow_percent=50", "--compared", "5"),
)
# Long enough to be killed in the middle of copying them.
ROWS = 100_000


@pytest.mark.timeout(900)
def test_every_page_is_true_from_the_first_to_the_last(town: Town):
    first, second = Administrator(town, "first@admin.example"), Administrator(town, "second@admin.example")
    shell = Shell(town.environment(), town.names(TYPED) | RULES | {"ADMINISTRATOR": first.email})
    for page in PAGES:
        shell.page(page, {" override ": lambda: second.confirms(TYPED)})
    shell.write()
    assert not town.failures, town.failures[:5]
    assert town.counted["requests"] > 100


@pytest.mark.timeout(900)
def test_a_run_is_killed_on_its_way_and_the_next_one_goes_on(town: Town):
    move_rows.make(town.stack.owner_url, LED, ROWS)
    assert f"Start it (manage.py serve {LED})" in ended(led(town), 3)
    town.stack.start_lifted(LED, town.url)

    asked = ended(led(town), 3)
    assert "[1/6]" in asked
    assert "[2/6]" in asked
    assert "--decided canary" in asked

    with at(led(town, "canary"), "[3/6]") as run:
        assert "is under way" in ended(led(town, "canary"), 1)
        ended(town.manage(LED, "canary", "roll-back", "--reason", "a person's"), 0)
        assert "rolled back" in ended(run, 3)
    assert "--decided canary-again" in ended(led(town, "canary"), 3)

    with at(led(town, "canary-again"), "[3/6]") as run:
        run.send_signal(signal.SIGINT)
        assert "Run this again" in ended(run, 130)
    with at(led(town), "[3/6]") as run:
        run.kill()
        ended(run, -signal.SIGKILL)
    with at(led(town), "[3/6]") as run:
        ended(town.manage(LED, "canary", "promote", "--reason", "a person's"), 0)
        ended(town.manage(LED, "canary", "promote", "--reason", "a person's"), 0)
        wait_for(run, "  start ")
        run.kill()
        assert "  copy  " not in ended(run, -signal.SIGKILL)
    assert canaries(town) == ["rolled_back", "promoted"]

    asked = answered(town, "n", 3)
    assert "rows compared, none differs" in asked
    assert "expected pause" in asked
    assert "Left as it is" in asked
    assert "--decided cutover" in ended(led(town), 3)
    asked = ended(led(town, "cutover,commit"), 3)
    assert "writes waited" in asked
    assert "--decided decommission" in asked
    assert "committed" in ended(town.manage(LED), 0)
    assert not town.failures, town.failures[:5]


def led(town: Town, decided: str = "") -> Popen[str]:
    return town.manage(LED, "run", *LED_BY, *(("--decided", decided) if decided else ()))


def answered(town: Town, answer: str, status: int) -> str:
    """A run at a terminal, whose first question is answered so."""
    ours, theirs = os.openpty()
    process = Popen(
        [sys.executable, "manage.py", "extraction", LED, "run", *LED_BY],
        cwd=BASE,
        env=town.environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = ""
    with os.fdopen(ours, "r+b", buffering=0) as terminal, suppress(OSError):  # which is the other end's being closed
        while data := terminal.read(4096):
            said += data.decode(errors="replace")
            if answer and "[y/N]" in said:
                terminal.write(f"{answer}\n".encode())
                answer = ""
    assert process.wait(60) == status, said
    return said


def ended(process: Popen[str], status: int) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == status, output
    return output


@contextmanager
def at(process: Popen[str], words: str) -> Iterator[Popen[str]]:
    """A run that has just said so."""
    try:
        wait_for(process, words)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def wait_for(process: Popen[str], words: str) -> None:
    said = []
    for line in process.stdout:
        said.append(line)
        if words in line:
            return
    raise AssertionError(f"it never says {words}: {''.join(said)}")


def canaries(town: Town) -> list[str]:
    with psycopg.connect(town.stack.owner_url) as owner:
        query = "SELECT state FROM extraction_canarydeployment WHERE service = %s ORDER BY started_at"
        return [state for (state,) in owner.execute(query, [LED]).fetchall()]
