"""The targets of `make mutants` name what is there, and cover every app and the rules of the seam and of a relocation."""

import pytest

from landcontracts.embedded.stack import BASE
from landcontracts.topology import SERVICES
from tests.mutants.__main__ import Mutant, _mutants
from tests.mutants.targets import TARGETS, files


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_files_and_tests(name: str):
    assert files(TARGETS[name], BASE)
    assert all((BASE / path).exists() for path in TARGETS[name].tests)


def test_every_service_is_a_target():
    assert SERVICES.keys() <= TARGETS.keys()
    assert {"commands", "relay", "signing", "relocation"} <= TARGETS.keys()


def test_a_survivor_is_named_by_its_line_before_and_after():
    diff = (
        "--- mutation diff ---\n--- a/apps/x.py\n+++ b/apps/x.py\n@@ -1,2 +1,2 @@\n-    LIMIT = 10\n+    LIMIT = 11\n"
    )
    (mutant,) = _mutants(diff)
    assert mutant == Mutant("apps/x.py", "LIMIT = 10", "LIMIT = 11")
    assert mutant.name == "| `apps/x.py` | `LIMIT = 10` | `LIMIT = 11` |"
