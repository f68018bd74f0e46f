"""`python -m tests.moves.ending`: a move to its end, on a stack of its own, because what is decommissioned does not come back."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import psycopg

from landcontracts.embedded import postgres
from landcontracts.embedded.stack import Stack

SERVICE = "notifications"
OUTPUT = "ending.json"


def main() -> int:
    """Lead the service out, decommission its old home, and look at what is left. The findings as JSON, in the stack's folder."""
    with Stack("ending", fresh=True, durable=False, quiet=True) as stack:
        stack.env |= {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "64"}
        url = stack.start_web()
        stack.start_worker(without=[SERVICE])
        stack.start_lifted(SERVICE, url)
        os.environ.update(stack.env)
        django.setup()
        found = play(stack, url)
        print(json.dumps(found, ensure_ascii=False, default=str))
    return 0


def play(stack: Stack, url: str) -> dict[str, Any]:
    """Every verb by the command line, as people do it."""
    from apps.extraction.decommission.models import Override
    from apps.extraction.state import stages
    from apps.extraction.state.models import Move
    from tests.journeys.people import Person
    from tests.moves import listed

    os.environ["WEB_URL"] = url
    found: dict[str, Any] = {}
    people = Person(), Person()
    _sale(*people)
    found["plans"] = {}
    for verb in ("rehearse", "prepare", "sync", "verify", "cutover", "rollback", "cutover", "commit"):
        found["plans"][verb] = _planned_and_done(stack, verb)
    found["refused"] = _refused(lambda: stack.manage("extraction", SERVICE, "decommission"))
    stack.manage("extraction", SERVICE, "remote", "100")
    _until(lambda: stages.observe(SERVICE).stage is stages.Stage.COMMITTED)
    found["checklist"] = listed.play(stack, SERVICE)
    found["unlisted"] = _refused(lambda: stack.manage("extraction", SERVICE, "decommission"))
    found |= listed.pass_over(stack, SERVICE)
    found["plans"]["decommission"] = _planned_and_done(stack, "decommission")
    move = Move.objects.filter(service=SERVICE, verb="decommission").latest("started_at")
    backup = Path(move.facts["backup"])
    found |= {
        "stage": stages.observe(SERVICE).stage.value,
        "rehearsed": Move.objects.get(service=SERVICE, verb="rehearse").facts,
        "backup": stat.filemode(backup.stat().st_mode),
        "passed_over": move.facts["passed_over"],
        "used": Override.objects.filter(service=SERVICE, used_by=move.id).count(),
        "left": Override.objects.filter(service=SERVICE, confirmed_at__isnull=False, used_at__isnull=True).count(),
        "rows": move.facts["rows"],
        "old_tables": _old_tables(stack),
        "before": len(people[0].get("notifications")["items"]),
    }
    _sale(*people)
    found["after"] = _until(lambda: (n := len(people[0].get("notifications")["items"])) > found["before"] and n)
    found |= _as_platform(stack)
    found["admin"] = _admin(stack, url)
    return found


def _planned_and_done(stack: Stack, verb: str) -> tuple[list[str], list[str]]:
    """The steps that the plan has named, and those that the record has."""
    from apps.extraction.pipeline import plans
    from apps.extraction.state.models import Move

    planned = [step.name for step in plans.show(SERVICE, verb).plan.steps]
    stack.manage("extraction", SERVICE, verb, "--reason=to its end")
    steps = Move.objects.filter(service=SERVICE, verb=verb).latest("started_at").steps
    return planned, list(dict.fromkeys(step["step"] for step in steps))


def _sale(seller: Any, buyer: Any) -> None:
    """Something that people are told of."""
    from tests.world import cadastral_number

    told = len(seller.get("notifications")["items"])
    plot = seller.post("land-plots", {"cadastral_number": cadastral_number(), "address": "Поле", "area_m2": "600"})
    seller.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": plot["id"], "price": "1.00"})
    _until(lambda: len(seller.get("notifications")["items"]) > told)


def _refused(act: Callable[[], object]) -> str:
    from landcontracts.embedded.processes import StartFailed

    try:
        act()
    except StartFailed as error:
        return str(error)
    return ""


def _old_tables(stack: Stack) -> list[str]:
    with psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'notifications\\_%'").fetchall()
    return [str(name) for (name,) in rows]


def _as_platform(stack: Stack) -> dict[str, str]:
    """What the platform's own role may do in the service's database."""
    answers = {}
    with psycopg.connect(
        stack.primaries.url(postgres.APP, stack.secrets["DB_APP_PASSWORD"], SERVICE), autocommit=True
    ) as connection:
        for name, statement in (
            ("reads", "SELECT count(*) FROM notifications_notification"),
            ("writes", "DELETE FROM notifications_notification"),
        ):
            try:
                connection.execute(statement)
                answers[name] = "done"
            except psycopg.errors.InsufficientPrivilege:
                answers[name] = "refused"
    return answers


def _admin(stack: Stack, url: str) -> int:
    """The status of the admin's list of messages."""
    import urllib3

    from landcontracts.demo import story

    account = story.make_administrator(stack)
    http = urllib3.PoolManager(retries=False)
    page = http.request("GET", f"{url}/admin/login/")
    cookie = page.headers["Set-Cookie"].split(";")[0]
    token = page.data.decode().split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    answer = http.request_encode_body(
        "POST",
        f"{url}/admin/login/?next=/admin/",
        fields={"username": account.email, "password": account.password, "csrfmiddlewaretoken": token},
        headers={"Cookie": cookie, "Referer": f"{url}/admin/login/"},
        encode_multipart=False,
        redirect=False,
    )
    cookies = "; ".join(value.split(";")[0] for value in answer.headers.getlist("Set-Cookie"))
    listed = http.request(
        "GET", f"{url}/admin/notifications/notification/", headers={"Cookie": cookies}, redirect=False
    )
    return listed.status


def _until(wanted: Callable[[], Any], seconds: float = 60) -> Any:
    from tests.moves.conftest import until

    return until(wanted, seconds)


if __name__ == "__main__":
    sys.exit(main())
