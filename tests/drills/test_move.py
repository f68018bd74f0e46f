"""The drill in its lighter form: data leave and come back under a steady load. All six services are `make drill-move`'s."""

import json
import os
import subprocess
import sys

import pytest

from landcontracts.embedded.stack import BASE
from tests.drills.move import LIGHT_OUTPUT
from tests.drills.test_lift import ENGINES

pytestmark = pytest.mark.slow

# One with events in both directions.
MOVED = ("contracts",)


def test_data_are_relocated_under_load_and_nothing_is_lost():
    # A stack of its own: no other test uses its two servers.
    environment = {name: value for name, value in os.environ.items() if name not in ENGINES}
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills.move", "--light", *MOVED],
        cwd=BASE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    services = json.loads(LIGHT_OUTPUT.read_text())["services"]
    assert tuple(services) == MOVED
    for name, result in services.items():
        assert (result["failed"], result["lost"], result["doubled"]) == (0, 0, 0), (name, result["complaints"])
        assert (result["events_lost"], result["events_doubled"]) == (0, 0), (name, result["complaints"])
        # The earlier rows and those of the load were copied, and both databases were the primary for a while.
        assert result["rows"] >= 4_000, name
        assert result["copy_rows_s"] > 0, name
        assert result["verify_rows_s"] > 0, name
        assert result["sales"] > 0, name
        assert result["commands"] > result["sales"], name
        assert result["events"] > result["sales"], name
        verbs = [switch["verb"] for switch in result["switches"]]
        assert verbs == ["cutover", "rollback", "cutover", "rollback", "cutover"], name
        assert all(switch["pause_ms"] > 0 for switch in result["switches"]), name
        assert result["lag_ms"]["p50"] > 0, name
