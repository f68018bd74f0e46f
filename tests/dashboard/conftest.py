"""Administrators, a canary with the calls of many people, and data to report."""

import secrets
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db.models import F
from django.test import Client

from apps.authentication.models import User
from apps.core.flags import snapshot
from apps.core.seam.client.call_observer import ObservedCall
from apps.extraction.dashboard import probe
from apps.extraction.routing.canary import controller
from apps.extraction.routing.canary.models import CanaryCalls, CanaryEntry
from apps.extraction.state.models import Move, Outcome
from tests.canary.conftest import ME, QUERY, SERVICE, Rollout, apart, rollout  # noqa: F401 - fixtures
from tests.world import PASSWORD

HOME = "/admin/extraction/dashboard/"
PAGE = f"{HOME}{SERVICE}/"


@pytest.fixture(autouse=True)
def anew() -> None:
    """Forget what another test has cached."""
    probe.forget()
    snapshot.forget()


def person(*, is_superuser: bool = True, may_view: bool = False) -> User:
    created = User.objects.create_superuser(
        f"{secrets.token_hex(6)}@admin.example", PASSWORD, full_name="Админ", is_superuser=is_superuser
    )
    if may_view:
        created.user_permissions.add(Permission.objects.get(codename="view_dashboard"))
    return created


def sign_in(language: str = "ru", **rights: bool) -> Client:
    client = Client(headers={"Accept-Language": language})
    client.cookies["django_language"] = language
    credentials = {"username": person(**rights).email, "password": PASSWORD}
    assert client.post("/admin/login/?next=/admin/", credentials).status_code == 302
    return client


@pytest.fixture
def admin() -> Client:
    return sign_in()


def past(run: Rollout, seconds: float) -> None:
    """Shift all counts into the past."""
    earlier = timedelta(seconds=seconds)
    for model in (CanaryCalls, CanaryEntry):
        model.objects.filter(canary_id=run.canary.id).update(at=F("at") - earlier)
    type(run.canary).objects.filter(id=run.canary.id).update(
        started_at=F("started_at") - earlier, step_started_at=F("step_started_at") - earlier
    )


def use(run: Rollout, number: int) -> None:
    """Six hundred people call; one in a hundred fails, remotely a little more often and a little later."""
    share = run.rules.steps[run.read().step]
    for place, unit in enumerate(run.people[:600]):
        is_remote = snapshot.bucket(f"{SERVICE}_remote", unit) / 100 < share
        side, fails = ("away" if is_remote else "home"), place % 100 == number % 7
        seconds = 0.002 + place % 20 / 4000 + (0.004 if is_remote else 0)
        outcome = "fault" if fails and not is_remote else "ok"
        answered = "home" if fails else side
        run.observer._calls.append(ObservedCall(QUERY, unit, side, answered, outcome, seconds, None))
    run.report()


@pytest.fixture
def watched(rollout) -> Rollout:  # noqa: F811 - the fixture
    """A canary at its second step, with curves of some minutes."""
    run = rollout(steps=(5, 25, 50, 100), step_seconds=60)
    # The same people each time: of strangers a healthy canary is rolled back once in a hundred times, as its judge states.
    run.people = [str(uuid.UUID(int=number * 7_919)) for number in range(1, 601)]
    for number in range(12):
        use(run, number)
        if number == 5:
            controller.promote(SERVICE, ME)
        canary = run.look()
        run.canary.entries.create(
            action="judge", share=5, who=controller.JUDGE, evidence=canary.evidence, numbers=canary.numbers
        )
        past(run, 20)
    return run


@pytest.fixture
def moved() -> Iterator[Move]:
    """The record of a cutover, and of one that was refused."""
    records = [
        Move.objects.create(service=SERVICE, verb="verify", who="Вера", where="admin", reason="перед переносом",
                            outcome=Outcome.DONE, facts={"rows": 123_456, "differences": 0}),
        Move.objects.create(service=SERVICE, verb="cutover", who="Пётр", where="admin", reason="ночное окно",
                            outcome=Outcome.DONE, pause_ms=41.5, attempts=2),
        Move.objects.create(service=SERVICE, verb="rollback", who="Пётр", where="admin", reason="<script>alert(1)</script>",
                            outcome=Outcome.REFUSED, problem="way back: <b>behind</b>"),
    ]  # fmt: skip
    yield records[1]
    Move.objects.filter(id__in=[record.id for record in records]).delete()
