"""What a lifted-out service may ask, and for whom: with its secrets one can do what its code does and no more."""

import json
import os
import uuid

import msgspec
import pytest
import urllib3

from apps.authentication.interface import AUTHENTICATION, Role
from apps.authentication.models import User
from apps.core import topology
from apps.core.interface.context import SYSTEM, Actor, new_context, to_wire
from apps.core.interface.operations import Kind
from apps.core.seam import signing
from apps.core.seam.client.registry import call
from apps.core.seam.server import callers
from landcontracts import calls, roles
from tests.world import World

_http = urllib3.PoolManager()
SERVICES = topology.entries()


@pytest.fixture(autouse=True)
def _fresh():
    callers.forget()
    yield
    callers.forget()


def ask(caller: str, service: str, operation: str, actor: Actor, **arguments: object) -> tuple[int, dict]:
    """One sealed call to the monolith, as a process with the caller's secrets makes it."""
    path = f"/internal/seam/{service}/{operation}"
    context = to_wire(new_context(actor=actor), 5_000)
    body = msgspec.json.encode({"context": context, "arguments": arguments})
    at, signature = signing.seal(caller=caller, callee=service, method="POST", path=path, body=body)
    headers = {"X-Seam-Caller": caller, "X-Seam-Time": at, "X-Seam-Signature": signature}
    headers["X-Seam-Body-SHA256"] = signing.digest_of(body)
    answer = _http.request("POST", f"{os.environ['WEB_URL']}{path}", body=body, headers=headers)
    return answer.status, json.loads(answer.data)


def test_with_documents_secrets_nobody_grants_roles(here: World):
    person = here.person()
    for actor in (SYSTEM, Actor(id=person.id, roles=("administrator",)), Actor(id=person.id, roles=("system",))):
        status, body = ask(
            "documents", "authentication", "set_roles", actor, user_id=person.id, roles=["administrator"]
        )
        assert (status, body) == (403, {"fault": "documents does not ask authentication.set_roles"})
    assert "administrator" not in User.objects.get(id=person.id).roles


@pytest.mark.parametrize("caller", sorted(SERVICES))
def test_every_operation_that_the_code_does_not_ask_is_refused(caller: str):
    for service in SERVICES:
        if service == caller:
            continue
        allowed = calls.CALLS[caller].get(service, ())
        for name in topology.key_of(service).operations:
            if name not in allowed and name != "receive":
                assert ask(caller, service, name, Actor(id=uuid.uuid4()))[0] == 403, (caller, service, name)


def test_the_system_speaks_for_listed_pairs_only(here: World):
    person = here.person()
    assert ask("signatures", "authentication", "get", SYSTEM, user_id=person.id)[0] == 403
    assert ask("signatures", "documents", "get", SYSTEM, document_id=uuid.uuid4())[0] == 403
    assert ask("documents", "contracts", "rights", SYSTEM, contract_ids=[])[0] == 200
    assert ask("signatures", "authentication", "recipients", SYSTEM, user_ids=[person.id])[0] == 200
    assert ask("signatures", "authentication", "get", Actor(id=person.id), user_id=person.id)[0] == 200
    both = Actor(id=person.id, roles=("seller", "system"))
    assert ask("signatures", "authentication", "get", both, user_id=person.id)[0] == 403


def test_a_service_tells_of_its_own_events_alone():
    event = {
        "event_id": uuid.uuid4(),
        "aggregate_id": uuid.uuid4(),
        "sequence": 1,
        "occurred_at": "2026-01-01T00:00:00Z",
    }
    event |= {"actor_id": None, "payload": {}}
    foreign = event | {"type": "contracts.status_changed"}
    assert ask("documents", "workflow", "receive", SYSTEM, event=foreign)[0] == 403
    unheard = event | {"type": "documents.deleted"}
    assert ask("documents", "workflow", "receive", SYSTEM, event=unheard)[0] == 403
    own = event | {"type": "documents.document_stored"}
    assert ask("documents", "authentication", "receive", SYSTEM, event=own)[0] in {403, 404}
    assert ask("documents", "workflow", "receive", SYSTEM, event=own)[0] == 500, "its payload is none"
    assert ask("documents", "workflow", "receive", SYSTEM)[0] == 422


def test_roles_that_only_an_administrator_grants_are_read_again(here: World):
    person, real = here.person(), here.person()
    call(AUTHENTICATION).set_roles(ctx=here.ctx(), user_id=real.id, roles=(Role.ADMINISTRATOR,))
    claimed = Actor(id=person.id, roles=("seller", "administrator", "registrar"))
    status, body = ask("signatures", "authentication", "get", claimed, user_id=real.id)
    assert (status, body["code"]) == (404, "user_not_found")
    true = Actor(id=real.id, roles=("administrator",))
    assert ask("signatures", "authentication", "get", true, user_id=person.id)[0] == 200


def test_roles_that_cannot_be_read_do_not_count(here: World, monkeypatch: pytest.MonkeyPatch):
    real = here.person()
    operation = topology.key_of("authentication").operations["get"]
    ctx = new_context(actor=Actor(id=real.id, roles=("seller", "administrator")))
    monkeypatch.setattr(callers, "_reader", lambda: lambda *_: 1 / 0)
    checked = callers.checked("signatures", operation, ctx, msgspec.Raw(b"{}"))
    assert checked.actor == Actor(id=real.id, roles=("seller",))


def test_roles_are_read_once_in_ten_seconds(here: World, monkeypatch: pytest.MonkeyPatch):
    asked, now = [], [100.0]
    monkeypatch.setattr(callers, "_reader", lambda: lambda person, _: asked.append(person) or ["administrator"])
    monkeypatch.setattr(callers.time, "monotonic", lambda: now[0])
    operation = topology.key_of("authentication").operations["get"]
    ctx = new_context(actor=Actor(id=uuid.uuid4(), roles=("administrator",)))
    for at, times in ((100.0, 1), (109.9, 1), (110.0, 2)):
        now[0] = at
        assert callers.checked("signatures", operation, ctx, msgspec.Raw(b"{}")).actor == ctx.actor
        assert len(asked) == times


def test_a_role_that_was_granted_counts_at_once(monkeypatch: pytest.MonkeyPatch):
    granted: list[str] = []
    monkeypatch.setattr(callers, "_reader", lambda: lambda *_: granted)
    operation = topology.key_of("authentication").operations["get"]
    ctx = new_context(actor=Actor(id=uuid.uuid4(), roles=("registrar",)))
    assert callers.checked("signatures", operation, ctx, msgspec.Raw(b"{}")).actor.roles == ()
    granted.append("registrar")
    assert callers.checked("signatures", operation, ctx, msgspec.Raw(b"{}")).actor.roles == ("registrar",)


def test_the_monolith_asks_everything(here: World):
    person = here.person()
    assert ask("monolith", "authentication", "get", SYSTEM, user_id=person.id)[0] == 200


def test_roles_come_from_the_persons_card(here: World):
    person = here.person(Role.LAWYER)
    assert list(roles.of(person.id, here.ctx())) == ["lawyer"]
    assert list(roles.of(uuid.uuid4(), here.ctx())) == []


def test_the_table_names_operations_that_exist():
    for caller, asked in calls.CALLS.items():
        for service, names in asked.items():
            assert set(names) <= set(topology.key_of(service).operations)
        for name in SERVICES[caller].as_system:
            service, _, operation = name.partition(".")
            assert operation in asked[service]
            assert topology.key_of(service).operations[operation].kind is Kind.QUERY
