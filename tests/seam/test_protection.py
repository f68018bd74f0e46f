"""A caller is protected when a lifted-out service is gone, slow, full or wrong, and no command happens twice."""

import os
import secrets
import threading
import time
from decimal import Decimal

import msgspec
import pytest
from prometheus_client import REGISTRY

from apps.contracts.interface import CONTRACTS
from apps.contracts.models import Contract as ContractRow
from apps.core.interface.context import SYSTEM, new_context
from apps.core.interface.errors import FailureKind, RemoteCallFailed, ServiceBusy
from apps.core.seam.client import http, registry
from apps.core.seam.client.registry import call
from apps.core.seam.client.resilience import Guarded, LocalFallback
from apps.core.seam.client.transports import OverHttp
from tests.seam.servers import Behaving, answer_of, forwarding, read_request
from tests.world import World

EMPTY = b'{"items":[],"next_cursor":null}'


def guarded(url: str, *, attempts: int = 2) -> Guarded:
    return Guarded(
        OverHttp(url, caller="monolith", process="lifted"), "contracts", attempts=attempts, patience_seconds=0
    )


def listing(transport, timeout_ms: int = 4_000):
    ctx = new_context(actor=SYSTEM, timeout_ms=timeout_ms)
    with registry.routed_by({"contracts": transport}):
        return call(CONTRACTS).list(ctx=ctx, limit=1)


def answering(connection, number):
    while read_request(connection):
        connection.sendall(answer_of(EMPTY))


def silent(server):
    def behave(connection, number):
        read_request(connection)
        server[0].done.wait(20)

    return behave


def hanging():
    holder = []
    server = Behaving(silent(holder))
    holder.append(server)
    return server


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def closed_address() -> str:
    with Behaving(answering) as server:
        return server.url


def test_a_query_whose_connection_broke_is_sent_again():
    def behave(connection, number):
        read_request(connection)
        if number > 1:
            connection.sendall(answer_of(EMPTY))

    before = counted("seam_retries_total", service="contracts", method="list")
    with Behaving(behave) as server:
        assert listing(guarded(server.url)).items == ()
        assert server.accepted == 2
    assert counted("seam_retries_total", service="contracts", method="list") == before + 1


def test_attempts_are_bounded():
    with Behaving(lambda connection, _: read_request(connection) and None) as server:
        with pytest.raises(RemoteCallFailed):
            listing(guarded(server.url, attempts=3))
        assert server.accepted == 3


def test_a_slow_side_is_called_once_with_its_methods_timeout():
    with hanging() as server:
        started = time.monotonic()
        with pytest.raises(RemoteCallFailed) as failure:
            listing(guarded(server.url), timeout_ms=10_000)
        assert failure.value.kind is FailureKind.TIMEOUT
        assert time.monotonic() - started < 2  # the query's own timeout, one second, not half of ten
        assert server.accepted == 1


def test_a_call_that_failed_on_the_other_side_is_not_repeated():
    with Behaving(
        lambda connection, _: read_request(connection) and connection.sendall(answer_of(b"{}", "500 Oops"))
    ) as server:
        with pytest.raises(RemoteCallFailed) as failure:
            listing(guarded(server.url))
        assert failure.value.kind is FailureKind.FAULT
        assert server.accepted == 1


def test_the_remote_call_gets_half_of_the_remaining_time():
    remaining = []

    def behave(connection, number):
        request = read_request(connection)
        remaining.append(msgspec.json.decode(request.partition(b"\r\n\r\n")[2])["context"]["remaining_ms"])
        connection.sendall(answer_of(EMPTY))

    with Behaving(behave) as server:
        listing(guarded(server.url), timeout_ms=800)
        listing(guarded(server.url), timeout_ms=60_000)
    assert 0 < remaining[0] <= 400
    assert remaining[1] == CONTRACTS.operations["list"].timeout_ms


def test_a_caller_whose_time_is_over_sends_nothing():
    with Behaving(answering) as server:
        with pytest.raises(ServiceBusy):
            listing(guarded(server.url), timeout_ms=0)
        assert server.accepted == 0


def test_more_calls_than_the_bound_fail_fast():
    with hanging() as server:
        transport = guarded(server.url)
        failures = []

        def ask():
            try:
                listing(transport)
            except RemoteCallFailed as failure:
                failures.append(failure.kind)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 5
        while server.accepted < 8 and time.monotonic() < deadline:
            threads[0].join(0.01)
        started = time.monotonic()
        with pytest.raises(RemoteCallFailed) as failure:
            listing(transport)
        assert failure.value.kind is FailureKind.FULL
        assert not failure.value.may_have_executed
        assert time.monotonic() - started < 0.2
        server.done.set()
        for thread in threads:
            thread.join(10)
    assert len(failures) == 8


def test_an_open_breaker_sends_nothing_and_is_seen_in_the_metrics():
    url = closed_address()
    transport = guarded(url, attempts=1)
    for _ in range(5):
        with pytest.raises(RemoteCallFailed):
            listing(transport)
    with pytest.raises(RemoteCallFailed) as failure:
        listing(transport)
    assert failure.value.kind is FailureKind.OPEN
    assert counted("seam_breaker_open", service="contracts") == 1
    assert counted("seam_remote_failures_total", service="contracts", method="list", kind="open") >= 1


def test_a_service_that_comes_back_is_used_again():
    broken = threading.Event()
    broken.set()

    def behave(connection, number):
        while read_request(connection) and not broken.is_set():
            connection.sendall(answer_of(EMPTY))

    with Behaving(behave) as server:
        transport = guarded(server.url, attempts=1)
        for _ in range(5):
            with pytest.raises(RemoteCallFailed):
                listing(transport)
        broken.clear()
        deadline = time.monotonic() + 10
        while transport.breaker.is_open and time.monotonic() < deadline:
            try:
                listing(transport)
            except RemoteCallFailed:
                threading.Event().wait(0.02)
        assert not transport.breaker.is_open


@pytest.mark.parametrize("at_once", [True, False])
def test_bytes_after_an_answer_are_never_read_as_the_next_one(at_once: bool):
    """A server that answers twice: the second answer, with the first or some time after it, belongs to no request."""
    stray = answer_of(b'{"items":[],"next_cursor":"stray"}')
    go, sent = threading.Event(), threading.Event()

    def behave(connection, number):
        read_request(connection)
        if number > 1:
            connection.sendall(answer_of(EMPTY))
            return
        connection.sendall(answer_of(EMPTY) + (stray if at_once else b""))
        go.wait(10)
        if not at_once:
            connection.sendall(stray)
        sent.set()
        read_request(connection)

    with Behaving(behave) as server:
        transport = guarded(server.url)
        assert listing(transport).next_cursor is None
        go.set()
        assert sent.wait(10)
        assert listing(transport).next_cursor is None
        assert server.accepted == 2


def test_the_bulkhead_bounds_calls_over_all_services(settings, monkeypatch: pytest.MonkeyPatch):
    from apps.core.seam.client import resilience

    only = resilience.Bulkhead(1)
    monkeypatch.setattr(resilience, "_process_bulkhead", lambda: only)
    with hanging() as server, Behaving(answering) as other:
        first, second = guarded(server.url), guarded(other.url)

        def hang():
            with pytest.raises(RemoteCallFailed):
                listing(first)

        thread = threading.Thread(target=hang)
        thread.start()
        deadline = time.monotonic() + 5
        while server.accepted < 1 and time.monotonic() < deadline:
            thread.join(0.01)
        with pytest.raises(RemoteCallFailed) as failure:
            listing(second)
        assert failure.value.kind is FailureKind.FULL
        server.done.set()
        thread.join(10)
        assert listing(second).items == ()


def test_a_service_with_its_own_data_is_called_remotely_with_any_flag(settings):
    settings.SEAM_AWAY = {"contracts": "http://127.0.0.1:1"}
    settings.SEAM_OWN_DATA = ["contracts"]
    registry.guarded.cache_clear()
    registry.remote.cache_clear()
    try:
        transport = registry.transport_for("contracts", new_context())
        assert isinstance(transport, Guarded)  # and no local fallback behind it
        assert transport.side == "away"
    finally:
        registry.guarded.cache_clear()
        registry.remote.cache_clear()


def test_a_build_that_knows_one_argument_more_finishes_what_an_older_one_began():
    from typing import Protocol

    from apps.core.interface.context import CallContext
    from apps.core.interface.operations import ServiceKey, command

    class Older(Protocol):
        @command
        def do(self, *, ctx: CallContext, a: int) -> int: ...

    class Newer(Protocol):
        @command
        def do(self, *, ctx: CallContext, a: int, b: str | None = None) -> int: ...

    older, newer = (ServiceKey("x", protocol).operations["do"] for protocol in (Older, Newer))
    assert older.digest_material({"a": 1}) == newer.digest_material({"a": 1, "b": None})
    assert newer.digest_material({"a": 1, "b": "x"}) != newer.digest_material({"a": 1, "b": None})


def with_fallback(url: str) -> LocalFallback:
    return LocalFallback(guarded(url), registry.local("contracts"))


def test_the_local_side_answers_a_query_whose_remote_call_failed(here: World):
    seller = here.person()
    plot = here.plot(seller)
    before = counted("seam_fallbacks_total", service="contracts", method="get_plot", kind="unreachable")
    with registry.routed_by({"contracts": with_fallback(closed_address())}):
        assert call(CONTRACTS).get_plot(ctx=here.ctx(seller), land_plot_id=plot.id) == plot
    assert counted("seam_fallbacks_total", service="contracts", method="get_plot", kind="unreachable") == before + 1


def test_an_answer_of_another_shape_is_replaced_by_a_local_one(here: World):
    with Behaving(
        lambda connection, _: read_request(connection) and connection.sendall(answer_of(b'{"items":7}'))
    ) as server:
        page = listing(with_fallback(server.url))
    assert isinstance(page.items, tuple)


BUSY = b'{"code":"service_busy","category":"unavailable","fields":{}}'


def test_the_local_side_answers_where_the_remote_one_is_busy(here: World):
    """A process that starts, or has too much to do, refuses in a typed form; that is no answer for a person."""
    before = counted("seam_fallbacks_total", service="contracts", method="list", kind="busy")
    with Behaving(
        lambda connection, _: (
            read_request(connection) and connection.sendall(answer_of(BUSY, "503 Service Unavailable"))
        )
    ) as server:
        assert isinstance(listing(with_fallback(server.url)).items, tuple)
        with pytest.raises(ServiceBusy):  # without a local side that is what the caller gets
            listing(guarded(server.url))
        assert server.accepted == 2
    assert counted("seam_fallbacks_total", service="contracts", method="list", kind="busy") == before + 1


def test_a_command_that_a_busy_side_refused_after_all_happens_once(here: World, sale):
    """It was carried out, and then reported as busy, as by a proxy that gave up: the local side replays the answer."""
    seller, buyer, plot, key = sale

    def behave(connection, number):
        forwarding(os.environ["WEB_URL"], read_request(connection))
        connection.sendall(answer_of(BUSY, "503 Service Unavailable"))

    with Behaving(behave) as server:
        contract = make_contract(here, with_fallback(server.url), seller, buyer, plot, key)
    assert ContractRow.objects.get(land_plot_id=plot.id).id == contract.id


def make_contract(here: World, transport, seller, buyer, plot, key):
    with registry.routed_by({"contracts": transport, "authentication": registry.local("authentication")}):
        return call(CONTRACTS).create(
            ctx=here.ctx(seller, key=key), buyer_id=buyer.id, land_plot_id=plot.id, price=Decimal("7.00")
        )


@pytest.fixture
def sale(here: World):
    seller, buyer = here.person(), here.person()
    return seller, buyer, here.plot(seller), secrets.token_hex(8)


def test_a_command_that_the_remote_side_carried_out_before_its_answer_was_lost_happens_once(here: World, sale):
    seller, buyer, plot, key = sale
    answers = []

    def behave(connection, number):
        answers.append(forwarding(os.environ["WEB_URL"], read_request(connection)))  # executed, and the answer is lost

    with Behaving(behave) as server:
        contract = make_contract(here, with_fallback(server.url), seller, buyer, plot, key)
    assert len(answers) == 2  # sent, and sent again under the same key
    assert all(str(contract.id).encode() in answer for answer in answers)
    assert ContractRow.objects.filter(land_plot_id=plot.id).count() == 1


def test_a_command_that_never_reached_the_remote_side_happens_once(here: World, sale):
    seller, buyer, plot, key = sale
    contract = make_contract(here, with_fallback(closed_address()), seller, buyer, plot, key)
    assert ContractRow.objects.get(land_plot_id=plot.id).id == contract.id


def test_a_command_whose_remote_side_resumes_after_the_local_answer_happens_once(here: World, sale):
    seller, buyer, plot, key = sale
    late = []
    woken = threading.Event()

    def behave(connection, number):
        request = read_request(connection)
        woken.wait(20)
        late.append(forwarding(os.environ["WEB_URL"], request))

    with Behaving(behave) as server:
        contract = make_contract(here, with_fallback(server.url), seller, buyer, plot, key)
        woken.set()
    assert str(contract.id).encode() in late[0]  # it replayed the answer stored under the key
    assert ContractRow.objects.filter(land_plot_id=plot.id).count() == 1


def test_a_refusal_is_an_answer_and_not_a_failure(here: World):
    from apps.contracts.interface import ContractNotFound

    before = counted("seam_fallbacks_total", service="contracts", method="get", kind="fault")
    transport = LocalFallback(guarded(os.environ["WEB_URL"]), None)  # a call of the local fallback would raise
    with registry.routed_by({"contracts": transport}), pytest.raises(ContractNotFound):
        call(CONTRACTS).get(ctx=here.ctx(), contract_id=__import__("uuid").uuid4())
    assert counted("seam_fallbacks_total", service="contracts", method="get", kind="fault") == before


def test_an_address_is_checked_when_it_is_read():
    assert http.Address("unix:///run/contracts.sock").path == "/run/contracts.sock"
    assert http.Address("http://[::1]:81").header == "[::1]:81"
    for wrong in ("https://contracts", "contracts:80", "", "ftp://contracts"):
        with pytest.raises(ValueError, match="no address"):
            http.Address(wrong)


def test_a_seam_may_listen_on_a_unix_socket(tmp_path, here: World):
    import socket

    path = tmp_path / "seam.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(forwarding(os.environ["WEB_URL"], read_request(connection)))

        thread = threading.Thread(target=serve)
        thread.start()
        page = listing(OverHttp(f"unix://{path}", caller="monolith"))
        thread.join(10)
    assert len(page.items) <= 1
    http.close_idle()
