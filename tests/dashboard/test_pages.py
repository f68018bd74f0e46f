"""The dashboard shows the present state, to permitted people, in both languages; unknown values are marked as unknown."""

import re
from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.core import topology
from apps.core.flags import snapshot
from apps.core.postgres import connections
from apps.datasync.interface import Sync, SyncPhase, SyncStatus, SyncType
from apps.extraction.admin import dashboard
from apps.extraction.dashboard import probe, sections
from apps.extraction.dashboard.board import Board
from apps.extraction.dashboard.sections import Section
from apps.extraction.routing import shares
from apps.extraction.routing.canary import controller
from apps.extraction.routing.canary.models import CanaryDeployment
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.models import Move, Outcome
from tests.dashboard.conftest import HOME, ME, PAGE, SERVICE, sign_in

LIVE = f"{HOME}live/"
# One view of the board, for any number of services: flags, canaries, their calls, synchronisations, what is under way, and
# the session with its user.
MOST_QUERIES = 12


def words_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_the_overview_has_every_service_its_stage_and_the_five_figures(admin: Client, watched, moved):
    shown = words_of(sign_in("en"), HOME)
    for service in topology.entries():
        assert service in shown
    for words in ("0 of 7", "6 can move", "canary phase 3 of 6", "running, step 2 of 4", "of about", "remote / local"):
        assert words in shown.replace("\xa0", " "), words
    assert "+" in shown[shown.index("Extra time of a remote call, median") :][:60]
    assert "Nothing is against the canary so far" in shown


def test_the_live_endpoint_is_typed_and_changes_only_when_something_does(admin: Client, watched):
    answer = admin.get(LIVE)
    assert answer["Content-Type"] == "application/json"
    board = msgspec.json.decode(answer.content, type=Board, strict=True)
    assert [card.service for card in board.services] == list(topology.entries())
    card = next(card for card in board.services if card.service == SERVICE)
    assert (card.stage, card.position, card.share, card.canary, card.process) == ("canary", 2, 25, "running", "answers")
    assert board.figures.total_services == 7
    assert board.figures.movable_services == 6
    assert 0 < board.figures.error_rate_away < 0.05
    assert board.figures.performance_impact_p50 > 0.001
    assert board.figures.data_sync_progress == 0
    shares.set_share("documents", "shadow", 7)
    snapshot.forget()
    try:
        assert admin.get(LIVE, headers={"If-None-Match": answer["ETag"]}).status_code == 200
    finally:
        shares.set_share("documents", "shadow", 0)


def test_what_has_not_changed_is_not_sent_again(admin: Client, monkeypatch):
    board = msgspec.json.decode(admin.get(LIVE).content, type=Board)
    monkeypatch.setattr(dashboard.board, "gather", lambda: board)
    etag = admin.get(LIVE)["ETag"]
    answer = admin.get(LIVE, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")


def test_a_view_costs_a_handful_of_queries_and_reads_the_databases_once(admin: Client, watched, monkeypatch):
    admin.get(LIVE)
    looks = []
    monkeypatch.setattr(probe, "observe", lambda: looks.append(1))
    monkeypatch.setattr(probe, "FRESH_SECONDS", 60)
    with CaptureQueriesContext(connection) as queries:
        assert admin.get(LIVE).status_code == 200
    assert len(queries) <= MOST_QUERIES, [query["sql"][:120] for query in queries]
    assert looks == []


def test_the_service_page_has_curves_evidence_history_and_what_can_be_done(watched, moved):
    client = sign_in("en")
    page = client.get(PAGE).content.decode()
    for chart in ("errors", "latency", "evidence", "share"):
        assert f'data-chart="{chart}"' in page
    assert page.count("<caption") == 4
    shown = "".join(words_of(client, f"{PAGE}?page={number}") for number in range(1, 8))
    for words in ("Promote to the next share", "Serve everybody locally", "Deploy a canary A canary is under way already.",
                 "evidence against it:", "Canary deployed", "Promoted by hand", "ночное окно", "Пётр", "41.5"):  # fmt: skip
        assert words in shown, words
    live = client.get(f"{PAGE}live/").json()
    assert {chart["name"] for chart in live["charts"]} == {"errors", "latency", "evidence", "share"}
    errors, latency = live["charts"][0], live["charts"][1]
    assert len(errors["at"]) == len(errors["series"][0]) == len(errors["series"][1]) >= 8
    assert any(value for value in errors["series"][0])
    assert all(value is None or 1 < value < 20 for series in latency["series"] for value in series)
    assert live["charts"][2]["limit"] == 100
    assert live["charts"][3]["series"][0][0] == 5
    assert live["charts"][3]["series"][0][-1] == 25


def test_settled_slots_are_read_once_and_new_ones_are_added(admin: Client, watched, monkeypatch):
    first = admin.get(f"{PAGE}live/").json()["charts"][0]
    starts = []
    curve = dashboard.charts.history.curve
    monkeypatch.setattr(
        dashboard.charts.history,
        "curve",
        lambda *a, since, **k: starts.append(since) or curve(*a, since=since, **k),
    )
    second = admin.get(f"{PAGE}live/").json()["charts"][0]
    assert starts[0] is not None
    assert second["series"] == first["series"]


def test_a_canary_that_has_ended_keeps_its_curves_and_says_how_it_ended(watched):
    controller.roll_back(SERVICE, Initiator("Мария", "test", "достаточно"))
    client = sign_in("en")
    shown = words_of(client, PAGE)
    assert "rolled back" in shown
    assert "достаточно" in shown
    share = client.get(f"{PAGE}live/").json()["charts"][3]
    assert share["series"][0][-1] == 0


def test_a_silent_judge_and_one_that_awaits_a_person_are_shown(watched):
    client = sign_in("en")
    CanaryDeployment.objects.filter(id=watched.canary.id).update(judged_at="2020-01-01T00:00:00Z")
    assert "is a worker running?" in words_of(client, HOME)
    watched.look()
    CanaryDeployment.objects.filter(id=watched.canary.id).update(state="awaiting")
    assert "The judge asks" in words_of(client, PAGE)
    CanaryDeployment.objects.filter(id=watched.canary.id).update(state="running", verdict="not_known")
    assert client.get(LIVE).json()["services"][5]["canary"] == "not_known"


def test_reasons_are_shown_as_text(admin: Client, moved):
    for path in (PAGE, f"{HOME}report/"):
        page = admin.get(path).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<b>behind" not in page


def test_history_is_paged_and_an_absurd_page_is_empty(admin: Client):
    moves = [
        Move.objects.create(service="workflow", verb="prepare", who=f"№ {number}", where="test", outcome=Outcome.DONE)
        for number in range(45)
    ]
    try:
        pages = [admin.get(f"{HOME}workflow/?page={number}").content.decode() for number in (1, 2, 3)]
        assert [page.count("№ ") for page in pages][:2] == [20, 20]
        assert "№ 44<" in pages[0].replace(" <", "<")
        for absurd in ("99999", "999999999999", "-1", "x", "²"):
            assert admin.get(f"{HOME}workflow/?page={absurd}").status_code == 200
    finally:
        Move.objects.filter(id__in=[move.id for move in moves]).delete()


def test_an_unreachable_database_is_reported_and_the_rest_is_shown(monkeypatch):
    nowhere = connections._parameters({"x": settings.CONTROL_URLS[SERVICE]}, "x")
    urls = {**settings.CONTROL_URLS, SERVICE: "postgres://x:x@127.0.0.1:1/x"}
    assert nowhere["dbname"]
    monkeypatch.setattr(settings, "CONTROL_URLS", urls)
    client = sign_in("en")
    shown = words_of(client, HOME)
    assert "A database does not answer" in shown
    assert "1 not known" in shown
    assert shown.count("in process") >= 6
    assert "Its stage is not known." in words_of(client, PAGE)
    assert "Its stage is not known." in words_of(client, f"{PAGE}act/sync/")
    monkeypatch.setattr(settings, "CONTROL_URLS", {**urls, "default": "postgres://x:x@127.0.0.1:1/x"})
    probe.forget()
    assert "6 not known" in words_of(client, HOME)


def test_two_primaries_are_reported_first(monkeypatch):
    real = probe.observe()
    side = real.shared[SERVICE].side
    both = {**real.own, SERVICE: probe.DatabaseState(side._replace(alias=SERVICE))}
    monkeypatch.setattr(probe, "latest", lambda: msgspec.structs.replace(real, own=both))
    client = sign_in("en")
    shown = words_of(client, PAGE)
    assert "TWO PRIMARIES" in shown
    assert "Both databases let the platform write" in shown
    assert "Abort" in shown


def test_synchronisations_that_cannot_be_asked_do_not_take_the_page_down(monkeypatch):
    from apps.core.interface.errors import ServiceBusy
    from apps.extraction.dashboard import board

    def busy(key):
        raise ServiceBusy

    monkeypatch.setattr(board, "call", busy)
    assert "Synchronisations are not known" in words_of(sign_in("en"), HOME)


def test_an_unreachable_cache_costs_speed_and_nothing_else(monkeypatch):
    import redis

    class Away:
        def __getattr__(self, name):
            def fail(*args, **kwargs):
                raise redis.ConnectionError("away")

            return fail

    monkeypatch.setattr(probe, "cache", Away())
    assert probe.latest().shared
    assert probe.latest().own


def test_sections_that_others_bring_are_shown_and_a_failing_one_says_why(monkeypatch):
    class Item:
        title, holds, reason, checked_at = "backup verified", False, "never restored", None

    template = "admin/extraction/dashboard/_checklist.html"
    monkeypatch.setattr(sections, "SECTIONS", [])
    sections.register(Section("checklist", "Before it ends", template, lambda _: {"items": [Item]}))
    sections.register(Section("broken", "Broken", template, lambda _: {}["nothing"]))
    shown = words_of(sign_in("en"), PAGE)
    for words in ("Before it ends", "backup verified never restored", "Broken Not known: &#x27;nothing&#x27;"):
        assert words in shown.replace("&quot;", "").replace("  ", " "), words


@pytest.mark.parametrize("path", [HOME, LIVE, PAGE, f"{PAGE}live/", f"{HOME}report/", f"{HOME}report.pdf"])
def test_who_may_view(path: str, database: None):
    assert Client().get(path).status_code == 302
    assert sign_in(is_superuser=False).get(path).status_code == 403
    viewer = sign_in(is_superuser=False, may_view=True)
    assert viewer.get(path).status_code == 200
    assert viewer.post(path).status_code == 403


def test_it_is_in_the_index_and_beside_every_page(admin: Client):
    assert admin.get("/admin/").content.decode().count(f'href="{HOME}"') >= 2
    assert admin.get("/admin/extraction/move/").content.decode().count(PAGE) == 1


def test_an_unknown_service(admin: Client):
    for path in (f"{HOME}nothing/", f"{HOME}nothing/live/", f"{HOME}nothing/act/sync/", f"{PAGE}act/nothing/"):
        assert admin.get(path).status_code == 404


def test_the_address_that_it_had_before_leads_here(admin: Client):
    old = f"/admin/extraction/move/service/{SERVICE}/"
    assert admin.get(old)["Location"] == PAGE
    assert admin.get(f"{old}?verb=cutover")["Location"] == f"{PAGE}act/cutover/"
    assert admin.get("/admin/extraction/move/service/nothing/").status_code == 404


def test_in_russian(admin: Client, watched):
    shown = words_of(admin, HOME)
    assert "общая база" in shown
    assert ME.who in words_of(admin, PAGE)


def test_a_copy_under_way_has_its_progress_its_curves_and_its_verification(monkeypatch):
    from apps.extraction.dashboard import board

    sync = Sync(
        sync_id=uuid4(), source_table="", target_service="workflow", sync_type=SyncType.INCREMENTAL, status=SyncStatus.RUNNING,
        records_processed=250, records_total=1000, started_at=timezone.now(), finished_at=None, error="slot is slow",
        phase=SyncPhase.COPYING, lag_seconds=Decimal("1.5"), lag_bytes=4096,
    )  # fmt: skip
    monkeypatch.setattr(board, "_syncs", lambda: ((sync,), ""))
    client = sign_in("en")
    shown = words_of(client, f"{HOME}workflow/").replace("\xa0", " ")
    for words in (
        "25 %, copying, 1.5 s behind",
        "250 / 1000",
        "4096",
        "slot is slow",
        "not begun",
        "Abort",
        "copying phase 4 of 6",
    ):
        assert words in shown, words
    rows, behind = client.get(f"{HOME}workflow/live/").json()["charts"]
    assert [series[-1] for series in rows["series"]] == [250, 1000]
    assert behind["series"][0][-1] == 1.5
    figures = client.get(LIVE).json()["figures"]
    assert 0 < figures["data_sync_progress"] < 100
