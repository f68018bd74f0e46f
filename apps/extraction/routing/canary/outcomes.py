"""Whether a command did what was asked: a document taken, a signature passed, a contract moved on.

Some refusals are results, because something was kept of them. They are known by what every answer of their kind says.
"""

from __future__ import annotations

from apps.core.seam.client.call_observer import Seen

# A signature is kept whatever its verdict is, and says so itself.
SIGNED = "signed"


def did_what_was_asked(seen: Seen) -> bool:
    """Whether an answered command did it; False for a refusal, and for an answer that is one."""
    if seen.outcome != "ok":
        return False
    if type(seen.result).__name__ == "Refused":
        return False
    if (seen.operation.service, seen.operation.name) == ("signatures", "sign"):
        return bool(seen.result.status == SIGNED)
    return True
