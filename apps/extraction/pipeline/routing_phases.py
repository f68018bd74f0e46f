"""The first three phases, which change the process that serves people. Until their end the way back is a flag."""

from __future__ import annotations

import time
from decimal import Decimal

from django.conf import settings
from django.utils import timezone

from apps.core import topology
from apps.core.seam.verify import conformance
from apps.extraction.pipeline.run import Pipeline, Stopped, decide
from apps.extraction.routing import shares
from apps.extraction.routing.canary import controller, queries
from apps.extraction.routing.canary.models import CanaryDeployment, CanaryState
from apps.extraction.routing.judge import explanation
from apps.extraction.routing.shadow import mismatches
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.phases import Decision

POLL_SECONDS = 1.0
# Comparisons that have to agree before people are served remotely, and the share that may stay without an answer.
LEAST_COMPARED = 50
MOST_UNANSWERED = 0.01


def leave_the_process(pipeline: Pipeline) -> str:
    """Check that the lifted-out process answers, and shadow a share of people's queries."""
    service, url = pipeline.service, settings.SEAM_AWAY.get(pipeline.service)
    if url is None:
        raise Stopped(f"SEAM_AWAY has no address for {service}: name it in every process, and restart them once.")
    if problem := conformance.reachable(topology.key_of(service), url, caller=settings.SEAM_PROCESS_NAME):
        raise Stopped(f"Start it (manage.py serve {service}), then run this again: {url} does not answer ({problem}).")
    if not pipeline.rules.shadow_percent:
        raise Stopped(
            "With shadow_percent=0 nothing is compared, and without a comparison no people are served remotely."
        )
    with shares.initiated_by(pipeline.initiator.who, where=pipeline.initiator.where, reason=pipeline.initiator.reason):
        shares.set_share(service, "shadow", Decimal(str(pipeline.rules.shadow_percent)))
    return ""


def compare(pipeline: Pipeline) -> str:
    """Wait until enough comparisons agree and none differs; then ask, and deploy the canary."""
    deadline = time.monotonic() + pipeline.patience_seconds
    while True:
        matched, differing, failed = mismatches.present(pipeline.service)
        if differing:
            raise Stopped(
                f"{differing} answers differ: /admin/extraction/shadowcomparison/ shows in which fields. Fix it, turn the "
                f"shadow off and on (manage.py extraction {pipeline.service} shadow 0, then {pipeline.rules.shadow_percent:g}), "
                "and run this again."
            )
        pipeline.show(
            f"{matched} of {pipeline.least_compared} comparisons agree, {failed} were not answered",
            min(matched / pipeline.least_compared, 1.0) if pipeline.least_compared else None,
        )
        if matched >= pipeline.least_compared:
            break
        if time.monotonic() > deadline:
            raise Stopped("Too few queries were asked in this time. Run this again to wait on.")
        time.sleep(POLL_SECONDS)
    if failed > MOST_UNANSWERED * (matched + failed):
        raise Stopped(
            f"{failed} of {matched + failed} queries were not answered by the lifted-out process: see its log."
        )
    _deploy(pipeline)
    return ""


def _deploy(pipeline: Pipeline) -> None:
    """Ask, and deploy the canary. After a rollback a new canary needs a decision of its own."""
    last = controller.latest(pipeline.service)
    if last is not None and last.state == CanaryState.ROLLED_BACK:
        pipeline.show(f"the last canary: {words_of(last)}", None)
        decide(pipeline, Decision.AGAIN)
    else:
        decide(pipeline, Decision.CANARY)
    controller.deploy(
        pipeline.service,
        pipeline.rules,
        Initiator(pipeline.initiator.who, pipeline.initiator.where, pipeline.initiator.reason),
    )


def follow_canary(pipeline: Pipeline) -> str:
    """Show the canary while the judge leads it, until it has ended or a person has to decide."""
    canary = controller.open_canary(pipeline.service)
    if canary is None:
        raise Stopped(
            f"{pipeline.service} serves people remotely without a judge. Turn it to 0 (manage.py extraction "
            f"{pipeline.service} remote 0) for a canary, or to 100 if that is meant; then run this again."
        )
    last_heard = time.monotonic()
    while canary.ended_at is None:
        if canary.state != CanaryState.RUNNING:
            raise Stopped(
                f"The canary {'is held' if canary.state == CanaryState.HELD else 'awaits a person'}. {words_of(canary)} "
                f"manage.py extraction {pipeline.service} canary promote, resume or roll-back; then run this again."
            )
        if _silent_seconds(canary) <= controller.SILENT_SECONDS:
            last_heard = time.monotonic()
        if time.monotonic() - last_heard > pipeline.patience_seconds:
            raise Stopped(f"{words_of(canary)} A canary does not go on without a judge.")
        pipeline.show(words_of(canary), _part_of(canary))
        time.sleep(POLL_SECONDS)
        canary.refresh_from_db()
    if canary.state == CanaryState.ROLLED_BACK:
        raise Stopped(f"The canary was rolled back: everybody is served locally. {words_of(canary)}")
    return ""


def words_of(canary: CanaryDeployment) -> str:
    """The share and step of a canary, and its ruling in words."""
    rules = queries.rules_of(canary)
    ruling = (
        explanation.words(canary.judged_because, canary.numbers, canary.evidence)
        if canary.numbers
        else "not judged yet"
    )
    silent_seconds = _silent_seconds(canary)
    if silent_seconds > controller.SILENT_SECONDS and canary.ended_at is None:
        ruling = f"The judge has not looked for {silent_seconds:.0f} s: is the worker running?"
    return f"{rules.steps[canary.step]:g} %, step {canary.step + 1} of {len(rules.steps)}: {ruling}"


def _silent_seconds(canary: CanaryDeployment) -> float:
    return (timezone.now() - (canary.judged_at or canary.started_at)).total_seconds()


def _part_of(canary: CanaryDeployment) -> float:
    """The part of the step's time that has passed; other conditions of the step are in the ruling's words."""
    seconds = (timezone.now() - canary.step_started_at).total_seconds()
    return min(max(seconds / queries.rules_of(canary).step_seconds, 0.0), 1.0)
