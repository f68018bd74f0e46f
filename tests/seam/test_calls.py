"""How many seam calls one request makes: bounded, and the same for one contract as for many."""

import uuid
from collections import Counter
from decimal import Decimal

import pytest
from django.test import Client

from apps.authentication.models import User
from apps.contracts.interface import CONTRACTS
from apps.core.seam.client import registry
from apps.core.seam.client.registry import call
from tests.world import World, cadastral_number, pdf

MOST = 9
PAGES = ("/", "/contracts/{contract}/", "/contracts/{contract}/history/", "/plots/", "/notifications/", "/profile/")


class Counting:
    """Routes to the local transports and counts this thread's outermost calls, not the nested ones."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __call__(self, service, ctx):
        counting, inner = self, registry.local(service)

        class Side:
            side, process = inner.side, inner.process

            def send(self, operation, ctx, arguments):
                counting.calls[f"{operation.service}.{operation.name}"] += 1
                return inner.send(operation, ctx, arguments)

        return Side()


@pytest.fixture
def busy(here: World):
    """A seller with one contract, and a function that adds more."""
    seller, buyer = here.person(), here.person()

    def another():
        plot = call(CONTRACTS).record_plot(
            ctx=here.ctx(seller), cadastral_number=cadastral_number(), address="Поле", area_m2=Decimal(600)
        )
        contract = here.contract(seller, buyer, plot=plot)
        here.document(seller, contract, pdf())
        return contract

    return seller, another


def signed_in(person) -> Client:
    client = Client()
    client.force_login(User.objects.get(id=person.id), backend="apps.authentication.backends.SeamBackend")
    return client


@pytest.mark.parametrize("path", PAGES)
def test_a_page_makes_few_calls_and_no_more_for_more_contracts(busy, path: str):
    person, another = busy
    contract = another()
    client = signed_in(person)

    def ask() -> Counter[str]:
        counting = Counting()
        with registry.routed_by(counting):
            answer = client.get(path.format(contract=contract.id))
        assert answer.status_code == 200, path
        return counting.calls

    few = ask()
    for _ in range(4):
        another()
    many = ask()
    assert many.total() <= MOST, many
    assert many == few


LISTS = (
    "contracts?limit=50",
    "land-plots?limit=50",
    "notifications?limit=50",
    "documents?contract_id={contract}",
    "workflows?contract_id={contract}",
    "contracts/{contract}",
)


@pytest.mark.parametrize("path", LISTS)
def test_a_rest_request_makes_at_most_two_calls_of_its_own(busy, path: str):
    person, another = busy
    contract, *_ = (another() for _ in range(3))
    counting = Counting()
    with registry.routed_by(counting):
        answer = signed_in(person).get(
            f"/api/v1/{path.format(contract=contract.id)}", headers={"Accept": "application/json"}
        )
    assert answer.status_code == 200
    assert 1 <= counting.calls.total() <= 2, counting.calls


def test_nested_calls_are_not_counted(here: World):
    counting = Counting()
    with registry.routed_by(counting):
        call(CONTRACTS).rights(ctx=here.ctx(), contract_ids=(uuid.uuid4(), uuid.uuid4()))
    assert counting.calls == {"contracts.rights": 1}
