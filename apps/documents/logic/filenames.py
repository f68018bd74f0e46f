"""The names of files, for display: whatever a client sends becomes one harmless line, by one rule for every way."""

from __future__ import annotations

import unicodedata

MAX_CHARACTERS = 255
REPLACEMENT = "_"
# Controls, formats (which reverse or hide text), line separators, and halves of characters.
HARMFUL = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
UNNAMED = "file"


def displayed(name: str) -> str:
    """The name in NFC, without what could be a path or could mislead a reader; a long one keeps its extension.

    The zero-width joiners of scripts that need them are formats too, and are replaced: a name is shown beside others.
    """
    name = unicodedata.normalize("NFC", name)
    safe = "".join(REPLACEMENT if unicodedata.category(c) in HARMFUL or c in "/\\" else c for c in name)
    safe = " ".join(safe.split())
    if not safe.strip("."):
        return UNNAMED
    if len(safe) <= MAX_CHARACTERS:
        return safe
    stem, dot, extension = safe.rpartition(".")
    kept = f"{dot}{extension}" if stem and len(extension) <= 16 else ""
    return (stem if kept else safe)[: MAX_CHARACTERS - len(kept)] + kept
