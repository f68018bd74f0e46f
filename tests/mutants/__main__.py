"""`python -m tests.mutants contracts --sample 30`: mutate the rules of targets, run their narrow tests, and report the survivors.

Cosmic Ray makes the mutants, in a copy of the tree, and keeps their results in `build/mutants/`, so that a run that was
interrupted goes on. A survivor is accepted when `tests/mutants.md` names it with a reason. Exit status 1 for one that
is not named, or when a tenth or more survive.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
from collections.abc import Iterator

from cosmic_ray.work_item import WorkItem

from landcontracts.embedded.stack import BASE
from tests.mutants.session import FOLDER, Session
from tests.mutants.targets import TARGETS
from tests.tree import copy_tree

PAGE = BASE / "tests" / "mutants.md"
ALLOWED = 0.1
NOT_MADE = 10


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
        sessions = [Session(name, tree) for name in options.targets or TARGETS]
        for session, chosen in _chosen(sessions, options.sample, options.seed):
            if not session.execute(chosen):
                print(f"{session.name}: the tests fail without any mutant")
                return 2
    return max(_report(session, is_sample=bool(options.sample)) for session in sessions)


def _chosen(sessions: list[Session], sample: int, seed: int) -> Iterator[tuple[Session, list[WorkItem]]]:
    """What each target has to do: all of it, or its part of a sample."""
    every = [(session.name, item.job_id) for session in sessions for item in session.items]
    drawn = set(random.Random(seed).sample(every, min(sample, len(every)))) if sample else set(every)
    for session in sessions:
        if chosen := [item for item in session.items if (session.name, item.job_id) in drawn]:
            yield session, chosen


def _report(session: Session, *, is_sample: bool) -> int:
    results = session.results()
    not_made = len(session.chosen) - len(results)
    survived = sum(not result.is_killed for result in results)
    named = PAGE.read_text()
    unnamed = sorted(mutant for mutant in session.survivors() if mutant.name not in named)
    for mutant in unnamed:
        print(mutant.name)
    share = survived / max(len(results), 1)
    print(
        f"{session.name}: {len(results)} mutants, {survived} survived ({share:.1%}), {len(unnamed)} unnamed;"
        f" {not_made} could not be made"
    )
    return int(bool(unnamed) or not_made > NOT_MADE or (share >= ALLOWED and not is_sample))


if __name__ == "__main__":
    sys.exit(main())
