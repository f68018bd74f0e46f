"""Who sends an expensive request, asked before its body is received or a heavy thread is taken."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from landcontracts.server import figures, refusals
from landcontracts.server.answers import environ_of
from landcontracts.server.lanes import Crowded
from landcontracts.server.refusals import Refusal
from landcontracts.server.request import Request
from landcontracts.server.routes import Kind

if TYPE_CHECKING:
    from landcontracts.server.channel import Channel

log = logging.getLogger(__name__)


def identify(channel: Channel, request: Request, *, is_receiving: bool) -> Refusal | None:
    """Ask the application who sends a request, and take a place for that person; returns the refusal, if any.

    A stranger takes no place: the application refuses a stranger without any expense.
    """
    try:
        request.person = channel.server.policy.person(environ_of(channel, request))
    except Exception:
        log.exception("sender_unknown")
        return refusals.BUSY
    if request.person:
        try:
            request.place = channel.server.bulkhead.enter(request.person, is_receiving=is_receiving)
        except Crowded as crowded:
            if crowded.is_person:
                return refusals.TOO_MANY
            figures.shed.labels(Kind.HEAVY).inc()
            return refusals.BUSY
    return None


class Question:
    """Asks for the sender of a long body, which is received afterwards."""

    def __init__(self, channel: Channel, request: Request) -> None:
        self._channel = channel
        self._request = request

    def run(self) -> None:
        """Ask, in a usual thread, and let the loop go on. A stranger's long body is not received."""
        refusal = identify(self._channel, self._request, is_receiving=True)
        if refusal is None and not self._request.person:
            refusal = refusals.NOT_SIGNED_IN
        self._go_on(refusal)

    def shed(self) -> None:
        """Refuse it."""
        self._go_on(refusals.BUSY)

    def _go_on(self, refusal: Refusal | None) -> None:
        self._channel.server.later(partial(self._channel.answered, self._request, refusal))


class Sorting:
    """Asks for the sender of an expensive request that was received whole, and takes it to its lane."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def run(self) -> None:
        """Ask, in a usual thread. Strangers get the application's own refusal here."""
        request = self._channel.answering
        assert request is not None
        refusal = identify(self._channel, request, is_receiving=False)
        if refusal is not None:
            self._channel.refuse(refusal)
        elif request.person:
            self._channel.server.lanes.put(Kind.HEAVY, self._channel)
        else:
            self._channel.run()

    def shed(self) -> None:
        """Refuse it."""
        self._channel.shed()
