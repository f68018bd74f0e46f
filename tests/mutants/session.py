"""The mutants of one target and their results, kept from run to run.

A session belongs to the sources that it mutates: other sources, another session. A result belongs to tests. A mutant
that survived is tried again when any test of its target has changed, one that was noticed when the test that noticed
it has. A mutant whose tests took too long counts as noticed, and is tried again in the next run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.commands import init
from cosmic_ray.plugins import get_distributor
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkItem, WorkResult

from landcontracts.embedded.stack import BASE
from tests.mutants.targets import TARGETS, files, tests

FOLDER = BASE / "build" / "mutants"
# A mutant that makes the tests so many times slower than they were is noticed; a burst of load is not a mutant.
SLOWER, AT_LEAST_SECONDS = 4.0, 60.0
# The line in which pytest names the test that has failed.
NOTICED_BY = re.compile(r"^(?:FAILED|ERROR) ([\w/.]+\.py)", re.MULTILINE)
# Operators that change a rule. Cosmic Ray's others mutate types, or give one mutant ten times.
OPERATORS = (
    *(
        "AddNot",
        "ReplaceAndWithOr",
        "ReplaceOrWithAnd",
        "ReplaceTrueWithFalse",
        "ReplaceFalseWithTrue",
        "NumberReplacer",
    ),
    *("ReplaceUnaryOperator_Delete_Not", "ExceptionReplacer", "RemoveDecorator", "ZeroIterationForLoop"),
    *("ReplaceContinueWithBreak", "ReplaceBreakWithContinue"),
    *("ReplaceComparisonOperator_Eq_NotEq", "ReplaceComparisonOperator_NotEq_Eq"),
    *("ReplaceComparisonOperator_Lt_LtE", "ReplaceComparisonOperator_Lt_GtE", "ReplaceComparisonOperator_LtE_Lt"),
    *("ReplaceComparisonOperator_LtE_Gt", "ReplaceComparisonOperator_Gt_GtE", "ReplaceComparisonOperator_Gt_LtE"),
    *("ReplaceComparisonOperator_GtE_Gt", "ReplaceComparisonOperator_GtE_Lt"),
    *("ReplaceComparisonOperator_Is_IsNot", "ReplaceComparisonOperator_IsNot_Is"),
    *("ReplaceBinaryOperator_Add_Sub", "ReplaceBinaryOperator_Sub_Add"),
)
WANTED = frozenset(f"core/{name}" for name in OPERATORS)


class Mutant(NamedTuple):
    """A mutant that was not noticed: its file and function, and the changed line before and after."""

    place: str
    before: str
    after: str

    @property
    def name(self) -> str:
        """As `tests/mutants.md` names it."""
        return f"| `{self.place}` | `{self.before}` | `{self.after}` |"


class Session:
    """The mutants of one target, with the results so far."""

    def __init__(self, name: str, tree: Path) -> None:
        self.name = name
        modules = files(TARGETS[name], tree)
        database = FOLDER / f"{name}-{_digest(tree, modules)}.sqlite"
        self._database, self._tested = database, database.with_suffix(".json")
        self._tests = {str(file): _digest(tree, [file]) for file in tests(TARGETS[name], tree)}
        with self._open() as session:
            if not session.num_work_items:
                init(modules, session, {})
            items = [item for item in session.work_items if item.mutations[0].operator_name in WANTED]
        self.items = sorted(items, key=_position)
        self.chosen: set[str] = set()

    def _open(self) -> contextlib.AbstractContextManager[WorkDB]:
        manager: contextlib.AbstractContextManager[WorkDB] = use_db(str(self._database), WorkDB.Mode.create)
        return manager

    def execute(self, chosen: list[WorkItem]) -> bool:
        """Test what has no valid result yet, and keep each result at once. False when the tests fail as it is."""
        self.chosen = {item.job_id for item in chosen}
        # Cosmic Ray forbids compiled files. Each mutant is seconds younger than the one before, so none is mistaken for another.
        command = ("env", "-u", "PYTHONDONTWRITEBYTECODE", sys.executable, "-m", "tests.mutants.run_tests", self.name)
        with self._open() as session:
            tested = json.loads(self._tested.read_text()) if self._tested.exists() else {}
            changed = {file for file in {*tested, *self._tests} if tested.get(file) != self._tests.get(file)}
            valid = {job for job, result in session.results if _is_valid(result, changed)}
            # Results that are no longer valid would look so when the new digests are noted.
            stale = [job for job, _ in session.results if job not in valid]
            for job in stale:
                session.set_result(job, WorkResult(WorkerOutcome.SKIPPED))
            self._tested.write_text(json.dumps(self._tests, indent=1, sort_keys=True))
            pending = [item for item in chosen if item.job_id not in valid]
            if not pending:
                return True
            started = time.monotonic()
            if subprocess.run(command, check=False).returncode:
                return False

            def keep(job_id: str, result: WorkResult) -> None:
                session.set_result(job_id, result)
                outcome = result.worker_outcome if result.test_outcome is None else result.test_outcome
                print(f"{self.name}: {session.num_results} results, {outcome.value}", flush=True)

            timeout_seconds = max(AT_LEAST_SECONDS, SLOWER * (time.monotonic() - started))
            get_distributor("local")(pending, shlex.join(command), timeout_seconds, {}, on_task_complete=keep)
        return True

    def results(self) -> list[WorkResult]:
        """Of the chosen mutants that could be made: Cosmic Ray cannot replace an exception with a dot in its name."""
        with self._open() as session:
            return [result for job, result in session.results if job in self.chosen and _is_made(result)]

    def survivors(self) -> set[Mutant]:
        """The chosen mutants that were not noticed."""
        definitions = {item.job_id: item.mutations[0].definition_name for item in self.items}
        with self._open() as session:
            return {
                mutant_of(result.diff or "", definitions[job])
                for job, result in session.results
                if job in self.chosen and _is_made(result) and not result.is_killed
            }


def mutant_of(diff: str, definition: str | None) -> Mutant:
    """The mutant that Cosmic Ray shows as a diff, in a function or, with None, in none."""
    lines = diff.splitlines()
    (file,) = (line.removeprefix("+++ b/") for line in lines if line.startswith("+++ "))
    before = " ".join(line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---"))
    after = " ".join(line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++"))
    return Mutant(f"{file}::{definition}" if definition else file, before, after)


def _digest(tree: Path, names: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update((tree / name).read_bytes())
    return digest.hexdigest()[:12]


def _position(item: WorkItem) -> tuple[str, tuple[int, int], str, int]:
    mutation = item.mutations[0]
    return str(mutation.module_path), mutation.start_pos, mutation.operator_name, mutation.occurrence


def _is_made(result: WorkResult) -> bool:
    return result.worker_outcome is WorkerOutcome.NORMAL


def _is_valid(result: WorkResult, changed: set[str]) -> bool:
    """Whether a result still holds although these files of the tests have changed."""
    if not _is_made(result):
        return False
    if not result.is_killed:
        return not changed
    noticed_by = NOTICED_BY.search(result.output or "")
    return noticed_by is not None and noticed_by[1] not in changed
