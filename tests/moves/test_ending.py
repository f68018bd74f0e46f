"""A move to its end: rehearsed, committed, its old home decommissioned."""

import json
import os
import subprocess
import sys

import pytest

from landcontracts.embedded.stack import BASE
from tests.drills.test_lift import ENGINES


@pytest.mark.timeout(300)
def test_after_the_decommissioning_the_platform_reads_and_the_service_serves():
    environment = {name: value for name, value in os.environ.items() if name not in ENGINES}
    done = subprocess.run(
        [sys.executable, "-m", "tests.moves.ending"],
        cwd=BASE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "some calls are served at home still" in found["refused"]
    assert found["stage"] == "decommissioned"
    assert found["rehearsed"]["rollback"]["pause_ms"] > 0
    assert found["rehearsed"]["verify"]["differences"] == 0
    assert found["backup"] == "-rw-------"
    assert found["rows"] > 0
    assert found["old_tables"] == []
    assert (found["reads"], found["writes"]) == ("done", "refused")
    assert found["admin"] == 200
    assert found["after"] > found["before"] > 0
