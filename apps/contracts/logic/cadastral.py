"""The cadastral number: district, region, quarter, plot (Order P/0393 of Rosreestr of 2020-11-10, Rules 3-5)."""

from __future__ import annotations

import re

from django.db.models import Q

from apps.contracts.interface import BadCadastralNumber

_NUMBER = re.compile(r"([0-9]{2}:[0-9]{2}:[0-9]{6,7}):0*([1-9][0-9]{0,19})", re.ASCII)
_SPACE = re.compile(r"[ \t\u00a0\u2009\u202f]+")


def normalised(text: str) -> str:
    """The number without spaces, and without zeros before the plot's own part: one plot has one number.

    Raises: BadCadastralNumber.
    """
    match = _NUMBER.fullmatch(_SPACE.sub("", text))
    if match is None:
        raise BadCadastralNumber(given=text[:60])
    return f"{match[1]}:{match[2]}"


def one_spelling(stored: str) -> str:
    """A stored number as `normalised` spells it. An earlier release stored more zeros, and a plot with number zero."""
    quarter, _, plot = stored.rpartition(":")
    return f"{quarter}:{plot.lstrip('0') or '0'}"


def same_plot(number: str) -> Q:
    """The rows of a plot, by its number in any spelling: also those that an earlier release stored with more zeros."""
    quarter, _, plot = one_spelling(number).rpartition(":")
    return Q(cadastral_number__in={number, f"{quarter}:{plot}"}) | Q(
        number_collides=True, cadastral_number__regex=f"^{re.escape(quarter)}:0*{re.escape(plot)}$"
    )
