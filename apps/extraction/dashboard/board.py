"""The board: every service's card and the platform's figures, for the overview and its live endpoint."""

from __future__ import annotations

import time

import msgspec
from django.conf import settings
from django.db import DatabaseError
from django.utils.translation import gettext

from apps.core import topology
from apps.core.flags import snapshot
from apps.core.flags.routes import system_context
from apps.core.interface.errors import DomainError, SeamError
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, Sync
from apps.extraction.dashboard import comparison, figures, probe
from apps.extraction.dashboard.cards import Card, ServiceState, card
from apps.extraction.dashboard.figures import Figures
from apps.extraction.dashboard.probe import Observation
from apps.extraction.routing.canary import history
from apps.extraction.routing.canary.models import CanaryDeployment
from apps.extraction.state import stages
from apps.extraction.state.models import Move, Outcome

SYNCS = 200


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The whole overview. `problem` says what could not be read at all."""

    services: tuple[Card, ...]
    figures: Figures
    problem: str = ""


def gather() -> Board:
    """The board now, in the reader's language: one shared observation of the databases, and a handful of queries."""
    observation = probe.latest()
    syncs, problem = _syncs()
    canaries = {canary.service: canary for canary in history.newest()}
    sides = comparison.of([canary.id for canary in canaries.values()])
    under_way = _under_way()
    cards, states = [], []
    for service in topology.entries():
        canary = canaries.get(service)
        state = _state(service, observation, syncs, canary, under_way.get(service))
        states.append(state)
        cards.append(card(state, sides.get(canary.id) if canary else None))
    return Board(
        services=tuple(cards),
        figures=figures.of(cards, states, list(sides.values())),
        problem=problem,
    )


def of_service(service: str) -> tuple[Card, ServiceState]:
    """The card of one service, and the state that it shows."""
    observation = probe.latest()
    syncs, _ = _syncs()
    canary = CanaryDeployment.objects.filter(service=service).first()
    state = _state(service, observation, syncs, canary, _under_way().get(service))
    sides = comparison.of([canary.id]).get(canary.id) if canary else None
    return card(state, sides), state


def _state(
    service: str, observation: Observation, syncs: tuple[Sync, ...], canary: CanaryDeployment | None, move: Move | None
) -> ServiceState:
    sync = stages.live_sync(service, syncs)
    shared, own = observation.shared.get(service), observation.own.get(service)
    flags = snapshot.current()
    return ServiceState(
        service=service,
        is_movable=shared is not None,
        shared=shared,
        own=own,
        sync=sync,
        verification=stages.latest_verification(service) if sync is not None else None,
        remote=flags.get(f"{service}_remote", snapshot.OFF),
        shadow=flags.get(f"{service}_shadow", snapshot.OFF),
        address=settings.SEAM_AWAY.get(service, ""),
        silence=observation.away.get(service),
        is_breaker_open=service in observation.open_breakers,
        canary=canary,
        move=move,
        asked_ago=time.time() - observation.at,
    )


def _syncs() -> tuple[tuple[Sync, ...], str]:
    """The newest synchronisations, or why they are not known: the board is shown without `datasync` too."""
    try:
        return call(DATASYNC).list(ctx=system_context("extraction.dashboard"), limit=SYNCS), ""
    except (DomainError, SeamError, DatabaseError) as error:
        return (), gettext("Synchronisations are not known: %(problem)s") % {"problem": str(error)[:200]}


def _under_way() -> dict[str, Move]:
    moves = Move.objects.filter(outcome__in=(Outcome.ASKED, Outcome.RUNNING)).order_by("started_at")
    return {move.service: move for move in moves}
