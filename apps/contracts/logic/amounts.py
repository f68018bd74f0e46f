"""What counts as a price and as an area."""

from __future__ import annotations

from decimal import Decimal

from apps.contracts.interface import MAX_AREA, MAX_PRICE, BadArea, BadPrice
from apps.core.interface.dto import exact

_CENT = Decimal("0.01")


def price(given: Decimal) -> Decimal:
    """The price with two decimals. Raises: BadPrice."""
    try:
        exact(given, places=2, minimum=_CENT, maximum=MAX_PRICE)
    except ValueError:
        raise BadPrice from None
    return given.quantize(_CENT)


def area(given: Decimal) -> Decimal:
    """The area with two decimals. Raises: BadArea."""
    try:
        exact(given, places=2, minimum=_CENT, maximum=MAX_AREA)
    except ValueError:
        raise BadArea from None
    return given.quantize(_CENT)
