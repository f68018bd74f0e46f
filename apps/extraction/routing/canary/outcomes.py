"""Whether a command did what was asked: a document taken, a signature passed, a contract moved on.

Some refusals are answers, because something was kept of them; the interface marks them (`@command(refused=…)`).
"""

from __future__ import annotations

from apps.core.seam.client.call_observer import ObservedCall


def did_what_was_asked(seen: ObservedCall) -> bool:
    """Whether an answered command did it; False for a refusal, and for an answer that is one."""
    return seen.outcome == "ok" and not seen.operation.is_refusal(seen.result)
