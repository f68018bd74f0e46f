"""`python -m tests.moves.ending`: a whole relocation, on a stack of its own, because decommissioning cannot be undone."""

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
    """Relocate the service, decommission its old tables, and print what is left as JSON."""
    with Stack("ending", fresh=True, durable=False, quiet=True) as stack:
        stack.env |= {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "64"}
        url = stack.start_web()
        stack.start_worker(without=[SERVICE])
        stack.start_lifted(SERVICE, url)
        os.environ.update(stack.env)
        django.setup()
        results = play(stack, url)
        print(json.dumps(results, ensure_ascii=False, default=str))
    return 0


def play(stack: Stack, url: str) -> dict[str, Any]:
    """Every action by the command line, as administrators run it."""
    from apps.extraction.decommission.models import Override
    from apps.extraction.state import stages
    from apps.extraction.state.models import Move
    from tests.journeys.people import Person
    from tests.moves import listed

    os.environ["WEB_URL"] = url
    results: dict[str, Any] = {}
    people = Person(), Person()
    _sale(*people)
    results["plans"] = {}
    for action in ("rehearse", "prepare", "sync", "verify", "cutover", "rollback", "cutover", "commit"):
        results["plans"][action] = _planned_and_done(stack, action)
    results["refused"] = _refused(lambda: stack.manage("extraction", SERVICE, "decommission"))
    stack.manage("extraction", SERVICE, "remote", "100")
    _until(lambda: stages.observe(SERVICE).stage is stages.Stage.COMMITTED)
    results["checklist"] = listed.play(stack, SERVICE)
    results["unlisted"] = _refused(lambda: stack.manage("extraction", SERVICE, "decommission"))
    results |= listed.pass_over(stack, SERVICE)
    results["plans"]["decommission"] = _planned_and_done(stack, "decommission")
    move = Move.objects.filter(service=SERVICE, verb="decommission").latest("started_at")
    backup = Path(move.facts["backup"])
    results |= {
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
    results["after"] = _until(lambda: (n := len(people[0].get("notifications")["items"])) > results["before"] and n)
    results |= _as_platform(stack)
    results["admin"] = _admin(stack, url)
    return results


def _planned_and_done(stack: Stack, action: str) -> tuple[list[str], list[str]]:
    """The steps of the plan, and those of the record."""
    from apps.extraction.pipeline import plans
    from apps.extraction.state.models import Move

    planned = [step.name for step in plans.show(SERVICE, action).plan.steps]
    stack.manage("extraction", SERVICE, action, "--reason=to its end")
    steps = Move.objects.filter(service=SERVICE, verb=action).latest("started_at").steps
    return planned, list(dict.fromkeys(step["step"] for step in steps))


def _sale(seller: Any, buyer: Any) -> None:
    """A sale, which makes messages; returns when one has arrived."""
    from tests.world import cadastral_number

    before = len(seller.get("notifications")["items"])
    plot = seller.post("land-plots", {"cadastral_number": cadastral_number(), "address": "Поле", "area_m2": "600"})
    seller.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": plot["id"], "price": "1.00"})
    _until(lambda: len(seller.get("notifications")["items"]) > before)


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


def _until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    from tests.moves.conftest import until

    return until(condition, seconds)


if __name__ == "__main__":
    sys.exit(main())
