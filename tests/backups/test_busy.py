"""A backup of two servers at work, restored beside them: every effect has its cause, nothing is missing, nothing is there twice."""

import json
import os
import subprocess
import sys

import pytest

from landcontracts.embedded.stack import BASE
from tests.drills.test_lift import ENGINES

pytestmark = pytest.mark.slow


@pytest.mark.timeout(400)
def test_people_do_not_notice_and_what_comes_back_is_one_instant():
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
    found = json.loads(done.stdout.splitlines()[-1])
    # Nobody's request failed, and sales were at every step when the instant was taken.
    assert (found["failed"], found["broken"]) == ([], [])
    assert found["under_way"] > 0
    assert found["acknowledged"] > 20
    assert found["later"] > 0
    assert found["homes"]["documents"] == "documents"
    assert found["homes"]["contracts"] == "default"
    # A migrated database is not empty.
    assert "--replace --confirm landcontracts" in found["refused"]
    assert found["causes"] == []
    assert found["events"] > 0
    assert (found["lost"], found["doubled"]) == ([], [])
    assert (found["sold_on"], found["sold_wrong"]) == (1, [])
    # With the secrets that were kept, who was signed in still is.
    assert found["signed_in"]
    # What was followed is followed no more: the way back is given up, and there is one home.
    assert found["stages"] == {"documents": "committed", "contracts": "in_process"}
