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


@pytest.mark.timeout(900)
def test_data_change_homes_under_load_and_nothing_is_lost():
    # A stack of its own: its two servers are nobody else's.
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
    for name, found in services.items():
        assert (found["failed"], found["lost"], found["doubled"]) == (0, 0, 0), (name, found["complaints"])
        assert (found["events_lost"], found["events_doubled"]) == (0, 0), (name, found["complaints"])
        # What was there before was copied with what the load made, and both homes were lived in.
        assert found["rows"] >= 4_000, name
        assert found["copy_rows_s"] > 0, name
        assert found["verify_rows_s"] > 0, name
        assert found["sales"] > 0, name
        assert found["commands"] > found["sales"], name
        assert found["events"] > found["sales"], name
        verbs = [switch["verb"] for switch in found["switches"]]
        assert verbs == ["cutover", "rollback", "cutover", "rollback", "cutover"], name
        assert all(switch["pause_ms"] > 0 for switch in found["switches"]), name
        assert found["lag_ms"]["p50"] > 0, name
