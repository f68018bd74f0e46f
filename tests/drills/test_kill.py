"""The drill in its lighter form: every process killed and stopped at every step. Two hundred kills are `make drill-kill`'s."""

import json
import os
import subprocess
import sys

import pytest
from psycopg import sql

from apps.core.postgres import connections
from apps.core.postgres.migrate_service import OWNER, prepare
from apps.extraction.state.stages import SHARED
from landcontracts.embedded import postgres
from landcontracts.embedded.stack import BASE
from tests.drills.kill import LIGHT_KILLS, LIGHT_OUTPUT
from tests.drills.kill_faults import VICTIMS
from tests.drills.kill_plan import BOUNDARIES
from tests.drills.kill_watch import Watch, permitted, primary_of
from tests.drills.test_lift import ENGINES

pytestmark = pytest.mark.slow

SERVICE = "signatures"  # one that no other test moves
TABLE = sql.Identifier("public", f"{SERVICE}_command")


def test_kills_at_every_step_lose_double_and_block_nothing_and_leave_one_primary():
    # A stack of its own: what it kills and stops is not what other tests use.
    environment = {name: value for name, value in os.environ.items() if name not in ENGINES}
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills.kill", "--light"],
        cwd=BASE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    result = json.loads(LIGHT_OUTPUT.read_text())
    wrong = {name: result[name] for name in ("lost", "doubled", "two_homes", "stuck") if result[name]}
    assert not wrong, result["complaints"]
    assert result["kills"] >= LIGHT_KILLS
    assert set(result["by_step"]) >= set(BOUNDARIES)
    assert set(result["by_victim"]) == set(VICTIMS)
    assert result["looks"] > 0
    assert result["plots"] > 0
    assert result["sales"] > 0


def test_two_primaries_are_detected():
    prepare(SERVICE)
    watch = Watch(SERVICE)
    with connections.control(SERVICE) as own:
        own.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER)))
        try:
            assert not watch.both_writable()
            assert permitted(SERVICE) == [SHARED]
            assert primary_of(SERVICE) == SHARED
            own.execute(sql.SQL("GRANT INSERT ON {} TO {}").format(TABLE, sql.Identifier(postgres.APP)))
            assert watch.both_writable()
            assert permitted(SERVICE) == [SHARED, SERVICE]
            assert primary_of(SERVICE) is None
        finally:
            own.execute(sql.SQL("REVOKE INSERT ON {} FROM {}").format(TABLE, sql.Identifier(postgres.APP)))
            watch.close()
    assert primary_of(SERVICE) == SHARED
