"""Lists page by page, and the bounds of numbers, in this process."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from apps.contracts.interface import (
    CONTRACTS,
    BadArea,
    BadCadastralNumber,
    BadPrice,
    LandCategory,
    LandPlotNotFound,
)
from apps.contracts.logic import amounts, cadastral, keyset
from apps.contracts.models import LandPlot
from apps.core.ids import new_id
from apps.core.interface.context import STRANGER
from apps.core.seam.client.registry import call
from tests.world import World, cadastral_number


def pages(ask, limit: int) -> list[list]:
    """The ids on each page, to the last."""
    listed, cursor = [], None
    while True:
        page = ask(limit=limit, cursor=cursor)
        listed.append([item.id for item in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return listed


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 4), (2, [2, 2]), (3, [3, 1]), (4, [4]), (5, [4])])
def test_a_list_ends_with_its_last_item(here: World, limit: int, sizes: list[int]):
    seller, buyer = here.person(), here.person()
    plots = [here.plot(seller) for _ in range(4)]
    contracts = [here.contract(seller, buyer, plot=plot) for plot in plots]
    for ask, items in (
        (lambda **page: call(CONTRACTS).list_plots(ctx=here.ctx(seller), **page), plots),
        (lambda **page: call(CONTRACTS).list(ctx=here.ctx(buyer), **page), contracts),
    ):
        listed = pages(ask, limit)
        assert [len(page) for page in listed] == sizes
        assert [item for page in listed for item in page] == [item.id for item in reversed(items)]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_rows_of_one_moment_are_ordered_by_id_and_none_is_left_out(here: World, limit: int):
    """Ids that do not follow the time, as those of imported rows."""
    owner, now = here.person(), datetime.now(UTC)
    rows = [
        LandPlot(
            id=uuid.uuid4(),
            owner_id=owner.id,
            cadastral_number=cadastral_number(),
            area_m2=1,
            category=LandCategory.FOREST,
            created_at=now - timedelta(seconds=index // 3),
        )
        for index in range(9)
    ]
    LandPlot.objects.bulk_create(rows)
    listed = pages(lambda **page: call(CONTRACTS).list_plots(ctx=here.ctx(owner), **page), limit)
    ordered = sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)
    assert [item for page in listed for item in page] == [row.id for row in ordered]


def test_a_page_has_fifty_items_unless_asked_otherwise(here: World):
    seller, buyer = here.person(), here.person()
    plots = [here.plot(seller) for _ in range(51)]
    for plot in plots:
        here.contract(seller, buyer, plot=plot)
    for page in (call(CONTRACTS).list_plots(ctx=here.ctx(seller)), call(CONTRACTS).list(ctx=here.ctx(seller))):
        assert (len(page.items), page.next_cursor is None) == (50, False)


def test_a_person_lists_their_own_and_an_office_all(here: World):
    seller, buyer, other = here.person(), here.person(), here.person()
    contract = here.contract(seller, buyer)
    stranger = msgspec.structs.replace(here.ctx(), actor=STRANGER)
    for ctx in (here.ctx(other), stranger):
        assert call(CONTRACTS).list(ctx=ctx).items == ()
        assert call(CONTRACTS).list_plots(ctx=ctx).items == ()
    for ctx in (here.ctx(), here.ctx(other, "registrar"), here.ctx(other, "administrator")):
        assert call(CONTRACTS).list(ctx=ctx, limit=1).items == (contract,)
        assert call(CONTRACTS).list_plots(ctx=ctx, limit=1).items[0].id == contract.land_plot_id


def test_a_plot_is_seen_by_its_owner_the_parties_and_the_offices(here: World):
    seller, buyer, stranger = here.person(), here.person(), here.person()
    plot = here.plot(seller)
    see = lambda *who: call(CONTRACTS).get_plot(ctx=here.ctx(*who), land_plot_id=plot.id)
    assert see(seller) == see(stranger, "registrar") == see() == plot
    for person in (buyer, stranger):
        with pytest.raises(LandPlotNotFound):
            see(person)
    here.contract(seller, buyer, plot=plot)
    assert see(buyer) == plot
    with pytest.raises(LandPlotNotFound):
        see(stranger)


@pytest.mark.parametrize("given", ["0.01", "1", "1.5", "600.55", "999999.99"])
def test_an_amount_has_two_decimals(given: str):
    for check in (amounts.price, amounts.area):
        assert (check(Decimal(given)), check(Decimal(given)).as_tuple().exponent) == (Decimal(given), -2)


@pytest.mark.parametrize("given", ["0", "0.00", "-1", "0.001", "1.005", "600.555", "NaN", "Infinity", "1e30"])
def test_another_amount_is_refused(given: str):
    for check, refusal in ((amounts.price, BadPrice), (amounts.area, BadArea)):
        with pytest.raises(refusal):
            check(Decimal(given))


def test_a_number_that_is_refused_is_shown_up_to_sixty_characters():
    with pytest.raises(BadCadastralNumber) as refusal:
        cadastral.normalised("x" * 100)
    assert refusal.value.given == "x" * 60


def test_contracts_are_numbered_by_year_in_their_order(here: World):
    seller, buyer = here.person(), here.person()
    numbers = [here.contract(seller, buyer).number for _ in range(2)]
    assert all(re.fullmatch(rf"LC-{datetime.now(UTC).year}-[0-9]{{6,}}", number) for number in numbers)
    first, second = (int(number.rpartition("-")[2]) for number in numbers)
    assert second > first


@pytest.mark.parametrize("microsecond", [0, 1, 123456])
def test_a_cursor_of_any_length_is_read_back(microsecond: int):
    last = (datetime(2026, 11, 29, 12, 0, 0, microsecond, tzinfo=UTC), new_id())
    assert "=" not in keyset.encode(*last)
    assert keyset.decode(keyset.encode(*last)) == last
