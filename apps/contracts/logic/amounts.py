"""Checks of prices and areas."""

from __future__ import annotations

from decimal import Decimal

from apps.contracts.interface import MAX_AREA, MAX_PRICE, BadArea, BadPrice
from apps.core.interface.dto import exact

_CENT = Decimal("0.01")


def price(amount: Decimal) -> Decimal:
    """The price with two decimals. Raises: BadPrice."""
    try:
        exact(amount, places=2, minimum=_CENT, maximum=MAX_PRICE)
    except ValueError:
        raise BadPrice from None
    return amount.quantize(_CENT)


def area(amount: Decimal) -> Decimal:
    """The area with two decimals. Raises: BadArea."""
    try:
        exact(amount, places=2, minimum=_CENT, maximum=MAX_AREA)
    except ValueError:
        raise BadArea from None
    return amount.quantize(_CENT)
