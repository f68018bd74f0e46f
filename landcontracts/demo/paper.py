"""The contract of sale as a PDF, typeset from a template."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import typst
from num2words import num2words

TEMPLATE = Path(__file__).resolve().parent.parent.parent / "templates" / "documents" / "sale_contract.typ"


def sale_contract(contract: dict[str, Any], plot: dict[str, Any], *, seller: str, buyer: str) -> bytes:
    """A PDF of a contract, as returned by the API."""
    roubles, kopecks = divmod(Decimal(contract["price"]).quantize(Decimal("0.01")), 1)
    words = f"{num2words(int(roubles), lang='ru')} руб. {int(kopecks * 100):02d} коп."
    inputs = {
        "number": contract["number"],
        "seller": seller,
        "buyer": buyer,
        "cadastral_number": contract["cadastral_number"],
        "address": plot["address"],
        "area": str(plot["area_m2"]),
        "price": f"{int(roubles):,}".replace(",", " "),
        "currency": contract["currency"],
        "price_in_words": words,
        "terms": contract["terms"],
    }
    pdf: bytes = typst.compile(str(TEMPLATE), sys_inputs=inputs, pdf_standards=["a-2b"])
    return pdf
