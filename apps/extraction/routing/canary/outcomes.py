"""Whether a command was accepted: a document taken, a signature passed, a contract moved on.

Some refusals are answers, because a record of them is kept; the interface marks them (`@command(refused=…)`).
"""

from __future__ import annotations

from apps.core.seam.client.call_observer import ObservedCall


def is_accepted(call: ObservedCall) -> bool:
    """Whether an answered command did what it was asked; False for a refusal, and for an answer that is a refusal."""
    return call.outcome == "ok" and not call.operation.is_refusal(call.result)
