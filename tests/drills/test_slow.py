"""The drill of slow clients in its lighter form, and what its report takes for a goal."""

import copy
import json
import os
import subprocess
import sys

import pytest

from landcontracts.embedded.stack import BASE
from tests.drills.slow import LIGHT_OUTPUT, wrong
from tests.drills.test_lift import ENGINES

KINDS = {f"{name}{suffix}" for name in ("log_in", "form", "upload") for suffix in ("", "_gateway")} | {
    "seam",
    "verifications",
}
GOOD = {
    "kinds": {"log_in": {"p99_before_ms": 5.0, "p99_during_ms": 40.0, "health_ok": True}},
    "overload": {"ratio": 0.9, "shed": 1},
}


@pytest.mark.slow
def test_slow_clients_keep_nobody_waiting():
    environment = {name: value for name, value in os.environ.items() if name not in ENGINES}
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills.slow", "--light"],
        cwd=BASE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "See build/drill-slow-light.json" in done.stdout, done.stdout[-6000:] + done.stderr[-3000:]
    report = json.loads(LIGHT_OUTPUT.read_text())
    assert set(report["kinds"]) == KINDS
    for name, kind in report["kinds"].items():  # times are the whole drill's; here nothing fails and nothing hangs
        assert kind["failed"] == 0, (name, kind)
        assert kind["health_max_ms"] < 5_000, (name, kind)
    assert report["kinds"]["verifications"]["statuses"]["429"] > 0
    assert report["overload"]["shed"] > 0
    assert report["overload"]["goodput_5x"] > 0


def test_a_goal_that_is_not_reached_is_named():
    assert list(wrong(GOOD)) == []
    for path, value in (
        (("kinds", "log_in", "p99_during_ms"), 40.1),
        (("kinds", "log_in", "health_ok"), False),
        (("overload", "ratio"), 0.89),
        (("overload", "shed"), 0),
    ):
        bad = copy.deepcopy(GOOD)
        place = bad
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        assert len(list(wrong(bad))) == 1, path
