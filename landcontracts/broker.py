"""The broker's transport: a message that is no message is dropped and logged, where kombu's own ends the worker."""

from __future__ import annotations

from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis

log = structlog.get_logger(__name__)
# What JSON's decoder and the reader of its content raise for something else than a message.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class QoS(redis.QoS):
    """The messages that are not acknowledged yet."""

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back; one that is none is forgotten, and not tried again."""
        try:
            super().restore_by_tag(tag, client, leftmost)  # type: ignore[no-untyped-call]  # kombu carries no types
        except MALFORMED as error:
            log.error("broker_message_dropped", problem=type(error).__name__)
            with self.pipe_or_acquire(client=client) as pipe:
                self._remove_from_indices(tag, pipe).execute()  # type: ignore[no-untyped-call]  # likewise


class Channel(redis.Channel):
    """A channel that outlives what is put into its queues."""

    QoS = QoS

    def _brpop_read(self, **options: Any) -> Any:
        """Receive one message. It has left its queue by then, so that a dropped one does not come again."""
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]  # likewise
        except Empty:
            raise
        except MALFORMED as error:
            log.error("broker_message_dropped", problem=type(error).__name__)
            return True


class Transport(redis.Transport):
    """kombu's Redis transport with this channel."""

    Channel = Channel
