"""A rehearsal on copies: it says what the relocation would take, and leaves nothing behind."""

import psycopg
import pytest
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from apps.core.postgres import connections, replication
from apps.extraction.relocation import rehearsal
from apps.extraction.relocation.rehearsal import RehearsalFailed
from apps.extraction.state import stages
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import SHARED, Pair
from tests.world import World

pytestmark = pytest.mark.usefixtures("prepared")


def left(both: Pair) -> tuple[int, int, int]:
    """Copies on either server, and slots and subscriptions of copies."""
    of_copies = "LIKE 'lc\\_rehearse\\_%'"
    queries = (
        f"SELECT count(*) FROM pg_database WHERE datname {of_copies}",
        f"SELECT count(*) FROM pg_replication_slots WHERE database {of_copies}",
        f"SELECT count(*) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname {of_copies}",
    )
    return tuple(sum(side.execute(query).fetchone()[0] for side in (both.shared, both.own)) for query in queries)


def abandon(service: str, both: Pair) -> str:
    """A copy that a killed rehearsal left, with a subscription to the other server and a slot."""
    name = f"lc_rehearse_{service}_dead"
    both.shared.execute(f"CREATE DATABASE {name}")
    with connections.control(SHARED, database=name) as inside:
        inside.execute("CREATE TABLE t (id int PRIMARY KEY)")
        inside.execute(
            f"CREATE SUBSCRIPTION {name} CONNECTION 'host=127.0.0.1 password=x' PUBLICATION nothing"
            " WITH (connect = false, slot_name = NONE, enabled = false)"
        )
    parameters = conninfo_to_dict(settings.REPLICATION_URLS[SHARED]) | {"dbname": name}
    with psycopg.connect(**parameters, autocommit=True) as slots:
        slots.execute("SELECT pg_create_logical_replication_slot('lc_rehearse_dead', 'pgoutput')")
    return name


def test_a_rehearsal_takes_times_and_leaves_nothing(here: World, service: str, both: Pair):
    here.contract(here.person(), here.person())
    here.settle()
    rows = both.shared.execute("SELECT count(*) FROM notifications_notification").fetchone()[0]
    assert rows
    abandon(service, both)
    lines: list[str] = []
    before = stages.observe(service)
    move = rehearsal.REHEARSE.perform(service, Initiator("test", "pytest", write_line=lines.append))
    assert move.outcome == Outcome.DONE
    assert list(move.facts) == ["prepare", "sync", "verify", "cutover", "rollback", "cutover again", "commit"]
    assert all(0 < facts["seconds"] < 120 for facts in move.facts.values())
    for name, facts in move.facts.items():
        assert ("pause_ms" in facts) == (name in {"cutover", "rollback", "cutover again"}), name
    assert move.facts["sync"]["rows"] >= rows
    assert move.facts["verify"]["differences"] == 0
    assert move.facts["commit"]["old_home"]["notifications_notification"][0] == rows
    assert [step["step"] for step in move.steps] == ["backup", "restore", "play", "drop"]
    assert any(line.startswith("  ") and "writes waited" in line for line in lines)
    assert not any(rehearsal.FACTS in line for line in lines)
    assert left(both) == (0, 0, 0)
    after = stages.observe(service)
    assert (after.stage, after.shared.epoch, after.own.epoch) == (before.stage, before.shared.epoch, before.own.epoch)


def test_a_rehearsal_that_fails_says_why_and_leaves_nothing(service: str, both: Pair, monkeypatch):
    play = rehearsal._run

    def fail(arguments: list[str], environment: dict[str, str]) -> str:
        return play(["no-such-command"] if "rehearse" in arguments else arguments, environment)

    monkeypatch.setattr(rehearsal, "_run", fail)
    with pytest.raises(RehearsalFailed, match="no-such-command"):
        rehearsal.REHEARSE.perform(service, Initiator("test", "pytest"))
    assert Move.objects.filter(service=service).latest("started_at").outcome == Outcome.FAILED
    assert left(both) == (0, 0, 0)
    assert not replication.is_subscribed(both.own, stages.forward_name(service))
