"""The pages typed as they are, and a run that takes a service through all phases and is killed on its way. One busy stack."""

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
from tests.playbook.busy_stack import BusyStack
from tests.playbook.pages import PAGES
from tests.playbook.shell import Shell

pytestmark = pytest.mark.slow

TYPED_SERVICE, RUN_SERVICE = "notifications", "documents"
RULES = {
    "SHADOW_SHARE": "50",
    "STEPS": "30,60,100",
    "STEP_SECONDS": "6",
    "TOLERATED": "0.2",
    "SLOWER_MS": "1000",
}
RUN_OPTIONS = (
    *("--rule", "steps=40,100", "--rule", "step_seconds=600", "--rule", "tolerated_errors=0.3"),
    *("--rule", "allowed_slower_ms=1000", "--rule", "shadow_percent=50", "--compared", "5"),
)
# Enough rows to be killed in the middle of their copy.
ROWS = 100_000


def test_every_page_works_from_the_first_to_the_last(busy_stack: BusyStack):
    first, second = Administrator(busy_stack, "first@admin.example"), Administrator(busy_stack, "second@admin.example")
    shell = Shell(busy_stack.environment() | RULES | {"ADMINISTRATOR": first.email})
    for page in PAGES:
        shell.page(page, {" override ": lambda: second.confirm_override(TYPED_SERVICE)})
    shell.write()
    assert not busy_stack.failures, busy_stack.failures[:5]
    assert busy_stack.counted["requests"] > 100


def test_a_run_is_killed_on_its_way_and_the_next_one_resumes(busy_stack: BusyStack):
    move_rows.make(busy_stack.stack.owner_url, RUN_SERVICE, ROWS)
    assert f"Start it (manage.py serve {RUN_SERVICE})" in ended(start_run(busy_stack), 3)
    busy_stack.stack.start_lifted(RUN_SERVICE, busy_stack.url)

    output = ended(start_run(busy_stack), 3)
    assert "[1/6]" in output
    assert "[2/6]" in output
    assert "--decided canary" in output

    with at(start_run(busy_stack, "canary"), "[3/6]") as run:
        assert "is under way" in ended(start_run(busy_stack, "canary"), 1)
        ended(busy_stack.manage(RUN_SERVICE, "canary", "roll-back", "--reason", "a person's"), 0)
        assert "rolled back" in ended(run, 3)
    assert "--decided canary-again" in ended(start_run(busy_stack, "canary"), 3)

    with at(start_run(busy_stack, "canary-again"), "[3/6]") as run:
        run.send_signal(signal.SIGINT)
        assert "Run this again" in ended(run, 130)
    with at(start_run(busy_stack), "[3/6]") as run:
        run.kill()
        ended(run, -signal.SIGKILL)
    with at(start_run(busy_stack), "[3/6]") as run:
        ended(busy_stack.manage(RUN_SERVICE, "canary", "promote", "--reason", "a person's"), 0)
        ended(busy_stack.manage(RUN_SERVICE, "canary", "promote", "--reason", "a person's"), 0)
        wait_for(run, "  start ")
        run.kill()
        assert "  copy  " not in ended(run, -signal.SIGKILL)
    assert canaries(busy_stack) == ["rolled_back", "promoted"]

    output = answered(busy_stack, "n", 3)
    assert "rows compared, none differs" in output
    assert "expected pause" in output
    assert "Left as it is" in output
    assert "--decided cutover" in ended(start_run(busy_stack), 3)
    output = ended(start_run(busy_stack, "cutover,commit"), 3)
    assert "writes waited" in output
    assert "--decided decommission" in output
    assert "committed" in ended(busy_stack.manage(RUN_SERVICE), 0)
    assert not busy_stack.failures, busy_stack.failures[:5]


def start_run(busy_stack: BusyStack, decided: str = "") -> Popen[str]:
    return busy_stack.manage(RUN_SERVICE, "run", *RUN_OPTIONS, *(("--decided", decided) if decided else ()))


def answered(busy_stack: BusyStack, answer: str, status: int) -> str:
    """A run at a terminal, with an answer to its first question; its output."""
    ours, theirs = os.openpty()
    process = Popen(
        [sys.executable, "manage.py", "extraction", RUN_SERVICE, "run", *RUN_OPTIONS],
        cwd=BASE,
        env=busy_stack.environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = ""
    with os.fdopen(ours, "r+b", buffering=0) as terminal, suppress(OSError):  # raised when the other end is closed
        while data := terminal.read(4096):
            output += data.decode(errors="replace")
            if answer and "[y/N]" in output:
                terminal.write(f"{answer}\n".encode())
                answer = ""
    assert process.wait(60) == status, output
    return output


def ended(process: Popen[str], status: int) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == status, output
    return output


@contextmanager
def at(process: Popen[str], words: str) -> Iterator[Popen[str]]:
    """A run that has just printed the words."""
    try:
        wait_for(process, words)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def wait_for(process: Popen[str], words: str) -> None:
    printed = []
    for line in process.stdout:
        printed.append(line)
        if words in line:
            return
    raise AssertionError(f"it never prints {words}: {''.join(printed)}")


def canaries(busy_stack: BusyStack) -> list[str]:
    with psycopg.connect(busy_stack.stack.owner_url) as owner:
        query = "SELECT state FROM extraction_canarydeployment WHERE service = %s ORDER BY started_at"
        return [state for (state,) in owner.execute(query, [RUN_SERVICE]).fetchall()]
