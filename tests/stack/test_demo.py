"""`make demo`: a whole sale on a stack of its own, twice, and exactly the documented report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BASE = Path(__file__).resolve().parent.parent.parent
KEYS = {
    "contract": {"id", "number", "status", "history"},
    "documents": {"id", "type", "size", "sha256"},
    "signatures": {"id", "signer", "algorithm", "verdict"},
    "stages": {"name", "status", "planned_date", "actual_date"},
    "steps": {"name", "ms"},
}


def test_the_demonstration_plays_a_whole_sale_and_reports_it():
    report = BASE / "build" / "demo.json"
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    for _ in range(2):
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "landcontracts.embedded", "demo"]
        done = subprocess.run(command, cwd=BASE, env=bare, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(report.read_text())
    assert set(result) == {*KEYS, "notifications", "services", "refused"}
    for part in ("documents", "signatures", "stages", "steps"):
        assert all(set(row) == KEYS[part] for row in result[part]), part
    assert set(result["contract"]) == KEYS["contract"]
    assert all(set(entry) == {"status", "at", "by"} for entry in result["contract"]["history"])
    assert result["contract"]["status"] == "completed"
    assert {row["verdict"] for row in result["signatures"]} == {"PASSED"}
    assert len({row["algorithm"] for row in result["signatures"]}) >= 2
    assert [row["verdict"] for row in result["refused"]] == ["FAILED", "FAILED"]
    assert {row["status"] for row in result["stages"]} == {"completed"}
    assert min(result["notifications"].values()) > 0
    assert set(result["services"]) == {
        "authentication", "contracts", "documents", "signatures", "workflow", "notifications", "datasync",
    }  # fmt: skip
    assert not (BASE / "var" / "demo" / "pids.json").exists()
