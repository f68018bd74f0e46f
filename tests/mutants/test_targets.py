"""The targets of `make mutants` name what is there, and cover every app and the rules of the seam and of a relocation."""

import ast
import re

import pytest
from cosmic_ray import work_item
from cosmic_ray.work_item import WorkerOutcome, WorkResult

from landcontracts.embedded.stack import BASE
from landcontracts.topology import SERVICES
from tests.mutants.__main__ import PAGE
from tests.mutants.session import Mutant, _is_valid, mutant_of
from tests.mutants.targets import RELOCATION, TARGETS, Target, files


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_files_and_tests(name: str):
    assert files(TARGETS[name], BASE)
    assert all((BASE / path).exists() for path in TARGETS[name].tests)


def test_every_service_is_a_target():
    assert SERVICES.keys() <= TARGETS.keys()
    assert {"commands", "relay", "signing"} <= TARGETS.keys()


def test_every_module_of_a_relocation_is_in_one_target():
    modules = [file for target in TARGETS.values() for file in files(target, BASE)]
    assert len(modules) == len(set(modules))
    assert set(files(Target((RELOCATION,), ()), BASE)) <= set(modules)


def test_a_survivor_is_named_by_its_function_and_its_line_before_and_after():
    diff = (
        "--- mutation diff ---\n--- a/apps/x.py\n+++ b/apps/x.py\n@@ -1,2 +1,2 @@\n-    LIMIT = 10\n+    LIMIT = 11\n"
    )
    assert mutant_of(diff, None) == Mutant("apps/x.py", "LIMIT = 10", "LIMIT = 11")
    assert mutant_of(diff, "take").name == "| `apps/x.py::take` | `LIMIT = 10` | `LIMIT = 11` |"


def test_every_named_survivor_is_still_there():
    """A row whose line is gone would excuse a change that was never looked at."""
    rows = re.findall(r"^\| `([\w/.]+\.py)(?:::(\w+))?` \| `(.+?)` \| `", (BASE / PAGE).read_text(), re.MULTILINE)
    assert rows
    for file, definition, before in rows:
        module = ast.parse(text := (BASE / file).read_text())
        scopes = (
            [node for node in ast.walk(module) if getattr(node, "name", None) == definition] if definition else [module]
        )
        sources = [
            " ".join(ast.get_source_segment(text, scope).split()) if definition else " ".join(text.split())
            for scope in scopes
        ]
        assert any(" ".join(before.split()) in source for source in sources), (file, definition, before)


def result(outcome: work_item.TestOutcome, output: str) -> WorkResult:
    return WorkResult(WorkerOutcome.NORMAL, output=output, test_outcome=outcome)


@pytest.mark.parametrize(
    ("found", "changed", "is_valid"),
    [
        (
            result(work_item.TestOutcome.KILLED, "F\nFAILED tests/test_a.py::test_it[x] - assert"),
            {"tests/test_b.py"},
            True,
        ),
        (
            result(work_item.TestOutcome.KILLED, "F\nFAILED tests/test_a.py::test_it[x] - assert"),
            {"tests/test_a.py"},
            False,
        ),
        (result(work_item.TestOutcome.KILLED, "ERROR tests/test_a.py - ImportError"), {"tests/test_a.py"}, False),
        (result(work_item.TestOutcome.KILLED, "timeout"), set(), False),
        (result(work_item.TestOutcome.SURVIVED, "7 passed"), set(), True),
        (result(work_item.TestOutcome.SURVIVED, "7 passed"), {"tests/test_b.py"}, False),
        (WorkResult(WorkerOutcome.SKIPPED), set(), False),
    ],
)
def test_a_result_holds_as_long_as_the_tests_it_comes_from(found: WorkResult, changed: set[str], is_valid: bool):
    assert _is_valid(found, changed) is is_valid
