"""`python -m tests.mutants contracts --sample 30`: mutate the rules of targets, run their narrow tests, and report the survivors.

Cosmic Ray makes the mutants and keeps the session in `build/mutants/`, so that a run that was interrupted goes on. It works on a copy of
the tree. When only tests have changed, the survivors alone are tested again. A survivor is accepted when `tests/mutants.md` names it
with a reason. Exit status 1 for one that is not named, or when a tenth or more survive.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.commands import init
from cosmic_ray.plugins import get_distributor
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkItem, WorkResult

from landcontracts.embedded.stack import BASE
from tests.mutants.targets import TARGETS, files, tests
from tests.tree import copy_tree

FOLDER = BASE / "build" / "mutants"
PAGE = BASE / "tests" / "mutants.md"
# A mutant that makes the tests so many times slower than they were is noticed.
SLOWER = 4.0
ALLOWED = 0.1
NOT_MADE = 10
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
    """A mutant that was not noticed: its file, and the changed line before and after."""

    file: str
    before: str
    after: str

    @property
    def name(self) -> str:
        """As `tests/mutants.md` names it."""
        return f"| `{self.file}` | `{self.before}` | `{self.after}` |"


def main() -> int:
    """Parse, run, report. The exit status is that of the worst target."""
    parser = argparse.ArgumentParser(prog="tests.mutants")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="default: all")
    parser.add_argument("--sample", type=int, default=0, help="so many of all targets, chosen by --seed; default: all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tree = FOLDER / f"tree-{next(iter(options.targets), 'all')}"
    shutil.rmtree(tree, ignore_errors=True)
    copy_tree(tree)
    with contextlib.chdir(tree):
        runs = [Run(name, tree) for name in options.targets or TARGETS]
        for run, chosen in _chosen(runs, options.sample, options.seed):
            if not run.execute(chosen):
                print(f"{run.name}: the tests fail without any mutant")
                return 2
    return max(_report(run, is_sample=bool(options.sample)) for run in runs)


class Run:
    """The mutants of one target, with the results so far."""

    def __init__(self, name: str, tree: Path) -> None:
        self.name = name
        modules = files(TARGETS[name], tree)
        self.database = FOLDER / f"{name}-{_digest(tree, modules)}.sqlite"
        self.tested = self.database.with_suffix(".tests")
        self.tests = _digest(tree, tests(TARGETS[name], tree))
        with self.session() as session:
            if not session.num_work_items:
                init(modules, session, {})
            items = [item for item in session.work_items if item.mutations[0].operator_name in WANTED]
        self.items = sorted(items, key=_place)
        self.chosen: set[str] = set()

    def session(self) -> contextlib.AbstractContextManager[WorkDB]:
        """Cosmic Ray's table of mutants and results."""
        manager: contextlib.AbstractContextManager[WorkDB] = use_db(str(self.database), WorkDB.Mode.create)
        return manager

    def execute(self, chosen: list[WorkItem]) -> bool:
        """Test what has no result yet, and keep each result at once. False when the tests fail as it is.

        A survivor of older tests may be noticed by newer ones, so it is tested again where they changed.
        """
        self.chosen = {item.job_id for item in chosen}
        # Cosmic Ray forbids compiled files. Each mutant is seconds younger than the one before, so none is mistaken for another.
        command = ("env", "-u", "PYTHONDONTWRITEBYTECODE", sys.executable, "-m", "tests.mutants.run_tests", self.name)
        with self.session() as session:
            is_current = not self.tested.exists() or self.tested.read_text() == self.tests
            done = {job for job, result in session.results if _is_made(result) and (result.is_killed or is_current)}
            pending = [item for item in chosen if item.job_id not in done]
            if not pending:
                return True
            started = time.monotonic()
            if subprocess.run(command, check=False).returncode:
                return False
            if is_current:
                self.tested.write_text(self.tests)

            def keep(job_id: str, result: WorkResult) -> None:
                session.set_result(job_id, result)
                outcome = result.worker_outcome if result.test_outcome is None else result.test_outcome
                print(f"{self.name}: {session.num_results} results, {outcome.value}", flush=True)

            timeout_seconds = SLOWER * (time.monotonic() - started)
            get_distributor("local")(pending, shlex.join(command), timeout_seconds, {}, on_task_complete=keep)
            if len(chosen) == len(self.items):  # a sample leaves older survivors untried
                self.tested.write_text(self.tests)
        return True

    def results(self) -> list[WorkResult]:
        """Of the chosen mutants."""
        with self.session() as session:
            return [result for job, result in session.results if job in self.chosen]


def _chosen(runs: list[Run], sample: int, seed: int) -> Iterator[tuple[Run, list[WorkItem]]]:
    """What each target has to do: all of it, or its part of a sample."""
    every = [(run.name, item.job_id) for run in runs for item in run.items]
    drawn = set(random.Random(seed).sample(every, min(sample, len(every)))) if sample else set(every)
    for run in runs:
        if chosen := [item for item in run.items if (run.name, item.job_id) in drawn]:
            yield run, chosen


def _digest(tree: Path, names: list[Path]) -> str:
    """Of the files' content: a session belongs to sources, and its survivors to tests."""
    digest = hashlib.sha256()
    for name in names:
        digest.update((tree / name).read_bytes())
    return digest.hexdigest()[:12]


def _place(item: WorkItem) -> tuple[str, tuple[int, int], str, int]:
    mutation = item.mutations[0]
    return str(mutation.module_path), mutation.start_pos, mutation.operator_name, mutation.occurrence


def _is_made(result: WorkResult) -> bool:
    """Whether there was a mutant: Cosmic Ray cannot replace an exception with a dot in its name."""
    return result.worker_outcome is WorkerOutcome.NORMAL


def _report(run: Run, *, is_sample: bool) -> int:
    results = [result for result in run.results() if _is_made(result)]
    not_made = len(run.chosen) - len(results)
    survivors = [result for result in results if not result.is_killed]
    named = PAGE.read_text()
    unnamed = sorted(
        {mutant for result in survivors for mutant in _mutants(result.diff or "") if mutant.name not in named}
    )
    for mutant in unnamed:
        print(mutant.name)
    share = len(survivors) / max(len(results), 1)
    print(
        f"{run.name}: {len(results)} mutants, {len(survivors)} survived ({share:.1%}), {len(unnamed)} unnamed;"
        f" {not_made} could not be made"
    )
    return int(bool(unnamed) or not_made > NOT_MADE or (share >= ALLOWED and not is_sample))


def _mutants(diff: str) -> Iterator[Mutant]:
    file = before = ""
    for line in diff.splitlines():
        if line.startswith("+++ "):
            file = line.removeprefix("+++ b/")
        elif line.startswith("-") and not line.startswith("---"):
            before = line[1:].strip()
        elif line.startswith("+"):
            yield Mutant(file, before, line[1:].strip())


if __name__ == "__main__":
    sys.exit(main())
