"""A backup of two servers at work, restored beside them: every effect has its cause, nothing is lost, nothing is doubled."""

import json
import os
import subprocess
import sys

import pytest

from landcontracts.embedded.stack import BASE
from tests.drills.test_lift import ENGINES

pytestmark = pytest.mark.slow


def test_no_request_fails_and_the_restored_state_is_one_instant():
    environment = {name: value for name, value in os.environ.items() if name not in ENGINES}
    done = subprocess.run(
        [sys.executable, "-m", "tests.backups.busy"],
        cwd=BASE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    results = json.loads(done.stdout.splitlines()[-1])
    # No request failed, and sales were at every step when the instant was taken.
    assert (results["failed"], results["broken"]) == ([], [])
    assert results["under_way"] > 0
    assert results["acknowledged"] > 20
    assert results["later"] > 0
    assert results["primaries"]["documents"] == "documents"
    assert results["primaries"]["contracts"] == "default"
    # A migrated database is not empty.
    assert "--replace --confirm landcontracts" in results["refused"]
    assert results["causes"] == []
    assert results["events"] > 0
    assert (results["lost"], results["doubled"]) == ([], [])
    assert (results["sold_on"], results["sold_wrong"]) == (1, [])
    # With the kept secrets, sessions are still valid.
    assert results["signed_in"]
    # Replication is not restored: the way back is dropped, and there is one primary.
    assert results["stages"] == {"documents": "committed", "contracts": "in_process"}
