"""The drill in its lighter form: services out and back under load, killed and hung. All seven are `make drill-lift`'s."""

import json
import os
import subprocess
import sys

import pytest

from apps.core.postgres.migrate_service import prepare
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, SyncStatus
from landcontracts.embedded.stack import BASE
from tests.drills.__main__ import LIGHT_OUTPUT
from tests.drills.sales import COPIED_SERVICE, COPIED_TABLE
from tests.world import World

pytestmark = pytest.mark.slow

ENGINES = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "REDIS_URL",
    "S3_ACCESS_KEY",
    "SEAM_AWAY",
    "SEAM_HOME",
    "WEB_URL",
    "PUBLIC_URL",
    "SERVICE_DATABASE_URLS",
    "CONTROL_URLS",
    "REPLICATION_URLS",
    "PG_BIN",
    "BACKUP_ROOT",
)
# One that stores files and one that all others ask; all seven are `make drill-lift`'s.
LIFTED = ("documents", "contracts")
STEPS = {
    "in process",
    "apart",
    "shadow",
    "5 %",
    "5 %, kill -9",
    "50 %",
    "100 %",
    "100 %, kill -9",
    "100 %, hung",
    "0 %",
}


def test_services_are_lifted_out_and_back_under_load_without_a_failed_request():
    # A stack of its own: what it kills and hangs is not what other tests use.
    environment = {name: value for name, value in os.environ.items() if name not in ENGINES}
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills", "--light", *LIFTED],
        cwd=BASE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    services = json.loads(LIGHT_OUTPUT.read_text())["services"]
    assert set(services) == set(LIFTED)
    for name, result in services.items():
        assert (result["failed"], result["lost"], result["doubled"]) == (0, 0, 0), (name, result["complaints"])
        assert result["compared"] > 0, name
        assert result["mismatched"] == 0, name
        assert result["sales"] > 0, name
        assert {step["step"] for step in result["steps"]} >= STEPS
    assert sum(result["answered_at_home"] for result in services.values()) > 0


def test_the_copies_that_an_administrator_makes_meanwhile_can_be_made():
    """Only the whole drill lifts datasync out; a copy that is refused would fail it after half an hour."""
    prepare(COPIED_SERVICE)
    here = World("in_process")
    sync = call(DATASYNC).start(ctx=here.ctx(), source_table=COPIED_TABLE, target_service=COPIED_SERVICE)
    assert call(DATASYNC).cancel(ctx=here.ctx(), sync_id=sync.sync_id).status is SyncStatus.CANCELLED
