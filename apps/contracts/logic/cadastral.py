"""The cadastral number: district, region, quarter, plot (Order P/0393 of Rosreestr of 2020-11-10, Rules 3-5)."""

from __future__ import annotations

import re

from apps.contracts.interface import BadCadastralNumber

_NUMBER = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{6,7}:[0-9]{1,20}", re.ASCII)
_SPACE = re.compile(r"[ \t\u00a0\u2009\u202f]+")


def normalised(text: str) -> str:
    """The number without spaces. Raises: BadCadastralNumber."""
    number = _SPACE.sub("", text)
    if _NUMBER.fullmatch(number) is None:
        raise BadCadastralNumber(given=text[:60])
    return number
