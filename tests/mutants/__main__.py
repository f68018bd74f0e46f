"""`python -m tests.mutants contracts --sample 30`: mutate the rules of a target, run its narrow tests, and report the survivors.

Cosmic Ray makes the mutants and keeps the session in `build/mutants/`, so that a run that was interrupted goes on. It works on a copy of
the tree. When only tests have changed, the survivors alone are tested again. A survivor is accepted when `tests/mutants.md` names it with a reason. Exit status 1 for one that is not named, or when a tenth
or more survive.
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
from cosmic_ray.work_item import WorkItem, WorkResult

from landcontracts.embedded.stack import BASE
from tests.mutants.targets import TARGETS, files, tests
from tests.tree import copy_tree

FOLDER = BASE / "build" / "mutants"
PAGE = BASE / "tests" / "mutants.md"
# A mutant that makes the tests so many times slower than they were is noticed.
SLOWER = 4.0
ALLOWED = 0.1
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
    """Parse, run, report."""
    parser = argparse.ArgumentParser(prog="tests.mutants")
    parser.add_argument("app", choices=TARGETS)
    parser.add_argument("--sample", type=int, default=0, help="so many, chosen by --seed; default: all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tree = _tree(options.app)
    modules = files(TARGETS[options.app], tree)
    database = FOLDER / f"{options.app}-{_digest(tree, modules)}.sqlite"
    with contextlib.chdir(tree), use_db(str(database), WorkDB.Mode.create) as session:
        # Cosmic Ray forbids compiled files. Each mutant is seconds younger than the one before, so none is mistaken for another.
        command = ("env", "-u", "PYTHONDONTWRITEBYTECODE", sys.executable, "-m", "tests.mutants.run_tests", options.app)
        if not session.num_work_items:
            init(modules, session, {})
        chosen = _choose(session, options.sample, options.seed)
        started = time.monotonic()
        if subprocess.run(command, check=False).returncode:
            print("the tests fail without any mutant")
            return 2
        tested = database.with_suffix(".tests")
        digest = _digest(tree, tests(TARGETS[options.app], tree))
        if not tested.exists():
            tested.write_text(digest)
        timeout_seconds = SLOWER * (time.monotonic() - started)
        survivors_again = tested.read_text() != digest
        _execute(session, chosen, shlex.join(command), timeout_seconds, survivors_again=survivors_again)
        tested.write_text(digest)
        return _report(options.app, session, {item.job_id for item in chosen})


def _tree(app: str) -> Path:
    """A copy of the tree as git knows it, changed files included."""
    tree = FOLDER / f"{app}-tree"
    shutil.rmtree(tree, ignore_errors=True)
    copy_tree(tree)
    return tree


def _digest(tree: Path, names: list[Path]) -> str:
    """Of the files' content: a session belongs to sources, and its survivors to tests."""
    digest = hashlib.sha256()
    for name in names:
        digest.update((tree / name).read_bytes())
    return digest.hexdigest()[:12]


def _choose(session: WorkDB, sample: int, seed: int) -> list[WorkItem]:
    """The work to be done: all of it, or a sample, in an order that stays."""
    items = sorted((item for item in session.work_items if item.mutations[0].operator_name in WANTED), key=_place)
    return items if not sample else random.Random(seed).sample(items, min(sample, len(items)))


def _execute(
    session: WorkDB, chosen: list[WorkItem], command: str, timeout_seconds: float, *, survivors_again: bool
) -> None:
    """Test what has no result yet, one after the other, and keep each result at once.

    A survivor of older tests may be noticed by newer ones, so it is tested again where they changed.
    """
    done = {job for job, result in session.results if result.is_killed or not survivors_again}
    pending = [item for item in chosen if item.job_id not in done]

    def keep(job_id: str, result: WorkResult) -> None:
        session.set_result(job_id, result)
        outcome = result.test_outcome.value if result.test_outcome is not None else result.worker_outcome.value
        print(f"{session.num_results} results: {outcome}", flush=True)

    get_distributor("local")(pending, command, timeout_seconds, {}, on_task_complete=keep)


def _place(item: WorkItem) -> tuple[str, tuple[int, int], str, int]:
    mutation = item.mutations[0]
    return str(mutation.module_path), mutation.start_pos, mutation.operator_name, mutation.occurrence


def _report(app: str, session: WorkDB, chosen: set[str]) -> int:
    results = {job: result for job, result in session.results if job in chosen}
    survivors = sorted(
        {mutant for job, result in results.items() if not result.is_killed for mutant in _mutants(result.diff or "")}
    )
    count = sum(not result.is_killed for result in results.values())
    named = PAGE.read_text() if PAGE.exists() else ""
    unnamed = [mutant for mutant in survivors if mutant.name not in named]
    share = count / max(len(results), 1)
    for mutant in unnamed:
        print(mutant.name)
    print(
        f"{app}: {len(results)} mutants, {count} survived ({share:.1%}), {len(unnamed)} of them are not named in tests/mutants.md"
    )
    return int(bool(unnamed) or share >= ALLOWED)


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
