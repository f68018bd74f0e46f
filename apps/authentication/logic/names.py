"""People's names as they are kept: in NFC, on one line, without characters that hide or reverse what others read."""

from __future__ import annotations

import unicodedata

from apps.core.interface.errors import InvalidArguments

# Controls, formats, line separators, halves of characters; the joiners are letters of some scripts (RFC 5892, A.1).
HARMFUL = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
JOINERS = "\u200c\u200d"


def kept(text: str) -> str:
    """The name to store. Raises: InvalidArguments where nothing of it can be seen."""
    visible = "".join(c for c in text if c in JOINERS or unicodedata.category(c) not in HARMFUL)
    name = " ".join(unicodedata.normalize("NFC", visible).split())
    if not name.strip(JOINERS + " "):
        raise InvalidArguments(problem="full_name: a name has characters that can be seen")
    return name
