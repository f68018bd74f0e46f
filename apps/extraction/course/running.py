"""Leads a service from where it stands to its end, and stops where a person has to decide or to look.

Nothing is remembered here: stage, canary and sync are read anew at every turn, so that a run which was killed goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone

from apps.core.database import homes, places
from apps.core.flags import history, snapshot
from apps.core.seam import conformance, topology
from apps.core.seam.comparison import Verdict
from apps.extraction import routing
from apps.extraction.canary import gathering, steering
from apps.extraction.course.phases import PHASE_OF, QUESTIONS, SHADOW, Decision, Phase
from apps.extraction.judging import explaining
from apps.extraction.judging.measures import Rules
from apps.extraction.models import CanaryDeployment, CanaryState, Move, ShadowComparison
from apps.extraction.moving import acting, states
from apps.extraction.moving.states import Stage
from apps.extraction.moving.verbs import VERBS

LOOK_SECONDS = 1.0
# So many of a service's queries have to agree before anybody is sent there.
LEAST_COMPARED = 50


class Stopped(Exception):
    """A person has to decide or to look; the message says what, and how to go on."""


class Course(NamedTuple):
    """How a run is led: who, by which rules, what was decided before, whom to ask and to tell.

    `ask` answers a question with yes or no, or None where nobody can be asked. `show` tells what goes on, again and again;
    `patience_seconds` is for what people's traffic has to bring.
    """

    service: str
    by: acting.By
    rules: Rules
    decided: Collection[str]
    ask: Callable[[Decision], bool | None]
    begin: Callable[[Phase], None]
    show: Callable[[str], None]
    patience_seconds: float
    least_compared: int = LEAST_COMPARED


def run(course: Course) -> str:
    """Lead on until the end; the words for it. Raises: Stopped; what the verbs raise (`acting.PROBLEMS`)."""
    told: Phase | None = None
    while True:
        snapshot.forget()
        stage = states.observe(course.service).stage
        if told != PHASE_OF[stage]:
            told = PHASE_OF[stage]
            course.begin(told)
        ended = TURNS[stage](course)
        if ended:
            return ended


def _leave_the_process(course: Course) -> str:
    service, url = course.service, settings.SEAM_AWAY.get(course.service)
    if url is None:
        raise Stopped(f"SEAM_AWAY has no address for {service}.")
    if problem := conformance.reachable(topology.key_of(service), url, caller=settings.SEAM_PROCESS_NAME):
        raise Stopped(f"Start it (manage.py serve {service}), then run this again: {url} does not answer ({problem}).")
    with routing.by(course.by.who, where=course.by.where, reason=course.by.reason):
        routing.set_share(service, "shadow", Decimal(str(course.rules.shadow_percent)))
    return ""


def _compare(course: Course) -> str:
    """Wait until enough was compared, and nothing differs; then ask, and deploy the canary."""
    course.begin(SHADOW)
    deadline = time.monotonic() + course.patience_seconds
    while True:
        found = ShadowComparison.objects.filter(
            service=course.service, compared_at__gte=_shadowed_since(course.service)
        )
        matched = found.filter(verdict=Verdict.MATCH.value).count()
        if differing := found.filter(verdict=Verdict.MISMATCH.value).count():
            raise Stopped(
                f"{differing} answers differ: see the shadow comparisons in the admin. Mend it, turn the shadow off and on, "
                "run this again."
            )
        course.show(f"{matched} of {course.least_compared} comparisons agree")
        if matched >= course.least_compared:
            break
        if time.monotonic() > deadline:
            raise Stopped("Too few queries were asked in this time. Run this again to wait on.")
        time.sleep(LOOK_SECONDS)
    _decide(course, Decision.CANARY)
    steering.deploy(course.service, course.rules, steering.By(course.by.who, course.by.where, course.by.reason))
    return ""


def _shadowed_since(service: str) -> datetime:
    changes = history.of_flag(f"{service}_shadow", limit=1)
    return changes[0].at if changes else timezone.now()


def _follow_canary(course: Course) -> str:
    canary = steering.open_canary(course.service)
    if canary is None:
        raise Stopped(f"{course.service} sends people away without a canary. Turn it to 0, or to 100 if that is meant.")
    while canary.ended_at is None:
        if canary.state != CanaryState.RUNNING:
            raise Stopped(f"{_canary_words(canary)} Promote it, resume it, or roll it back.")
        course.show(_canary_words(canary))
        time.sleep(LOOK_SECONDS)
        canary.refresh_from_db()
    if canary.state == CanaryState.ROLLED_BACK:
        raise Stopped(f"The canary was rolled back. {_canary_words(canary)}")
    return ""


def _canary_words(canary: CanaryDeployment) -> str:
    said = explaining.words(canary.judged_because, canary.numbers, canary.evidence) if canary.numbers else ""
    silent = (timezone.now() - (canary.judged_at or canary.started_at)).total_seconds()
    if silent > steering.SILENT_SECONDS and canary.ended_at is None:
        said = f"The judge has not looked for {silent:.0f} s: is the worker running?"
    return f"{gathering.rules_of(canary).steps[canary.step]:g} %: {said}"


def _copy(course: Course) -> str:
    if not homes.is_movable(course.service):
        return f"{course.service} is served apart; its tables stay where they are."
    if not places.is_configured(course.service):
        raise Stopped(
            "Served apart. For a database of its own SERVICE_DATABASE_URLS, CONTROL_URLS and REPLICATION_URLS have to name it."
        )
    _act(course, "prepare")
    _act(course, "sync")
    return ""


def _verify(course: Course) -> str:
    move = _act(course, "verify")
    if differences := move.facts.get("differences"):
        raise Stopped(
            f"{differences} rows differ: see the admin, or GET /api/v1/sync/verify/{course.service}/differences."
        )
    return ""


def _decided(decision: Decision) -> Callable[[Course], str]:
    def turn(course: Course) -> str:
        _decide(course, decision)
        _act(course, decision.value)
        return ""

    return turn


def _finish_switch(course: Course) -> str:
    _act(course, "resume")
    return ""


def _end(course: Course) -> str:
    return f"{course.service} is on its own: nothing of it is left at its old home."


def _decide(course: Course, decision: Decision) -> None:
    if decision.value in course.decided:
        return
    answer = course.ask(decision)
    if answer is None:
        raise Stopped(
            f"{QUESTIONS[decision]} Then: manage.py extraction {course.service} run --decided {decision.value}"
        )
    if not answer:
        raise Stopped("Left as it is.")


def _act(course: Course, verb: str) -> Move:
    course.show(verb)
    return VERBS[verb](course.service, course.by)


TURNS: dict[Stage, Callable[[Course], str]] = {
    Stage.IN_PROCESS: _leave_the_process,
    Stage.SHADOW: _compare,
    Stage.CANARY: _follow_canary,
    Stage.REMOTE: _copy,
    Stage.SYNCING: _verify,
    Stage.VERIFIED: _decided(Decision.CUTOVER),
    Stage.CUTTING: _finish_switch,
    Stage.REVERSIBLE: _decided(Decision.COMMIT),
    Stage.COMMITTED: _decided(Decision.DECOMMISSION),
    Stage.DECOMMISSIONED: _end,
}
