"""A process that hangs or dies in the middle of its work, for tests of what is left behind.

`python -m tests.seam.victim MODE` reads its orders as JSON from standard input and prints the answer when it gets that far.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from decimal import Decimal
from uuid import UUID

import django

django.setup()

from apps.contracts.interface import CONTRACTS  # noqa: E402
from apps.contracts.logic import creation  # noqa: E402
from apps.core.interface.context import Actor, new_context  # noqa: E402
from apps.core.seam.client.registry import call  # noqa: E402
from apps.core.seam.events import relay  # noqa: E402


def inside_its_transaction(kind: signal.Signals, orders: dict[str, str]) -> None:
    """Draw up a contract and stop after the row is written, before the commit."""
    original = creation.insert

    def stopping(*arguments, **named):
        original(*arguments, **named)
        creation.insert = original
        os.kill(os.getpid(), kind)

    creation.insert = stopping
    actor = Actor(id=UUID(orders["actor"]), roles=("seller",))
    ctx = new_context(actor=actor, command_key=orders["key"], trace=orders["trace"], timeout_ms=60_000)
    contract = call(CONTRACTS).create(
        ctx=ctx,
        buyer_id=UUID(orders["buyer"]),
        land_plot_id=UUID(orders["plot"]),
        price=Decimal(orders["price"]),
    )
    print(contract.id, flush=True)


def after_the_effect(kind: signal.Signals, orders: dict[str, str]) -> None:
    """Deliver events and stop after a consumer committed, before the delivery is recorded."""
    original = relay._execute

    def stopping(service, sql, parameters):
        if "SET delivered_at" in sql:
            relay._execute = original
            os.kill(os.getpid(), kind)
        return original(service, sql, parameters)

    relay._execute = stopping
    relay.deliver_due(orders["service"])
    print("delivered", flush=True)


if __name__ == "__main__":
    mode, kind = sys.argv[1], signal.Signals[sys.argv[2]]
    {"inside": inside_its_transaction, "after": after_the_effect}[mode](kind, json.load(sys.stdin))
