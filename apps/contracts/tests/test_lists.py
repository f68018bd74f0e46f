"""Lists page by page, and the bounds of numbers, in this process."""

import importlib
import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest
from django.db import connections
from django.utils import timezone

from apps.contracts import service
from apps.contracts.interface import (
    CONTRACTS,
    BadArea,
    BadCadastralNumber,
    BadPrice,
    LandCategory,
    LandPlotNotFound,
)
from apps.contracts.logic import amounts, cadastral, keyset, transitions
from apps.contracts.models import Contract, LandPlot
from apps.core.database.primaries import database_of
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
    assert all(re.fullmatch(rf"LC-{timezone.localdate().year}-[0-9]{{6,}}", number) for number in numbers)
    first, second = (int(number.rpartition("-")[2]) for number in numbers)
    assert second > first


@pytest.mark.parametrize(
    ("at", "year"),
    [("2026-12-31T20:59:59+00:00", 2026), ("2026-12-31T21:00:00+00:00", 2027), ("2027-01-01T00:00:00+00:00", 2027)],
)
def test_the_year_of_a_number_is_that_of_the_platforms_place(
    here: World, monkeypatch: pytest.MonkeyPatch, at: str, year: int
):
    monkeypatch.setattr(service.timezone, "now", lambda: datetime.fromisoformat(at))
    assert here.contract(here.person(), here.person()).number.startswith(f"LC-{year}-")


def stored(table: str, owner: uuid.UUID, number: str, **fields: object):
    """A row as an earlier release stored it."""
    plot = LandPlot.objects.create(
        cadastral_number=number, address="Поле", area_m2=1, category="settlement", owner_id=owner
    )
    if table == "plot":
        return plot
    number_of_contract = f"OLD-{uuid.uuid4().hex[:20]}"
    now = datetime.now(UTC)
    return Contract.objects.create(
        number=number_of_contract, land_plot=plot, cadastral_number=number, price=1, seller_id=owner, buyer_id=new_id(),
        created_at=now, updated_at=now, **fields,
    )  # fmt: skip


def migrated(*rows) -> list[tuple[str, bool]]:
    migration = importlib.import_module("apps.contracts.migrations.0004_one_number")
    migration.normalise(None, SimpleNamespace(connection=connections[database_of("contracts")]))
    for row in rows:
        row.refresh_from_db()
    return [(row.cadastral_number, row.number_collides) for row in rows]


def test_numbers_of_an_earlier_release_get_one_form_and_those_that_collide_are_listed(capsys):
    number, owner, other = cadastral_number(), new_id(), new_id()
    quarter, _, last = number.rpartition(":")
    odd, odder = f"{quarter}:0{last}", f"{quarter}:00{last}"
    alone, first, second = stored("plot", other, odd), stored("plot", owner, odd), stored("plot", owner, odder)
    assert migrated(alone, first, second) == [(number, False), (odd, True), (odder, True)]
    printed = capsys.readouterr().out
    assert f"contracts_landplot {first.id}: {odd} is the number of another row in another spelling" in printed
    assert str(alone.id) not in printed


def test_contracts_under_way_for_one_plot_in_two_spellings_are_marked_and_take_it(here: World, capsys):
    number = cadastral_number()
    quarter, _, last = number.rpartition(":")
    odd = f"{quarter}:0{last}"
    first = stored("contract", new_id(), odd, status="signed")
    second = stored("contract", new_id(), number, status="in_registration")
    draft = stored("contract", new_id(), odd, status="draft")
    assert migrated(first, second, draft) == [(odd, True), (number, True), (number, False)]
    assert f"contracts_contract {first.id}: {odd}" in capsys.readouterr().out
    Contract.objects.filter(id=second.id).update(status="cancelled")
    assert transitions.plot_is_taken(draft), "by the one whose number is spelt otherwise"
    Contract.objects.filter(id=first.id).update(status="completed")
    assert not transitions.plot_is_taken(draft)


@pytest.mark.parametrize("zeros", ["01", "1", "0", "000"])
def test_contracts_for_one_plot_in_two_spellings_exclude_each_other(here: World, zeros: str):
    """Of plots that the migration left as they were, or that a process of an earlier release recorded after it."""
    quarter = cadastral_number().rpartition(":")[0]
    seller = here.person()
    plots = [stored("plot", seller.id, f"{quarter}:{spelling}") for spelling in (zeros, f"0{zeros}")]
    first, second = (here.contract(seller, here.person(), plot=plot) for plot in plots)
    assert {first.cadastral_number, second.cadastral_number} == {f"{quarter}:{zeros.lstrip('0') or '0'}"}
    Contract.objects.filter(id=first.id).update(status="signed")
    assert transitions.plot_is_taken(Contract.objects.get(id=second.id))


@pytest.mark.parametrize("microsecond", [0, 1, 123456])
def test_a_cursor_of_any_length_is_read_back(microsecond: int):
    last = (datetime(2026, 11, 29, 12, 0, 0, microsecond, tzinfo=UTC), new_id())
    assert "=" not in keyset.encode(*last)
    assert keyset.decode(keyset.encode(*last)) == last


@pytest.mark.parametrize("end", ["infinity", "-infinity"])
def test_pages_end_though_rows_have_no_time(here: World, end: str):
    owner = here.person()
    ids = {here.plot(owner).id for _ in range(4)}
    with connections[database_of("contracts")].cursor() as cursor:
        cursor.execute("UPDATE contracts_landplot SET created_at = %s WHERE id = ANY(%s)", [end, [*ids][:3]])
    ctx, seen, following = here.ctx(owner), [], None
    for _ in ids:
        page = call(CONTRACTS).list_plots(ctx=ctx, limit=1, cursor=following)
        seen += [plot.id for plot in page.items]
        following = page.next_cursor
    assert set(seen) == ids
    assert following is None
