"""A sale with a contract."""

import uuid

import pytest

from tests.journeys.people import Person


@pytest.fixture
def sale():
    seller, buyer = Person(), Person()
    plot = seller.post(
        "land-plots",
        {"cadastral_number": f"50:20:{uuid.uuid4().int % 10**7:07d}:7", "address": "Поле", "area_m2": "600"},
    )
    contract = seller.post("contracts", {"buyer_id": buyer.user["id"], "land_plot_id": plot["id"], "price": "1.00"})
    return seller, contract["id"]
