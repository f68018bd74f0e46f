"""Commands happen once: under races, retries, processes that hang and processes that die (invariant 4, docs/invariants.md)."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection, transaction

from apps.contracts.interface import CONTRACTS
from apps.contracts.logic import creation
from apps.contracts.models import Contract as ContractRow
from apps.core.interface.errors import (
    CommandKeyReused,
    CommandNotFinished,
    SeamCallInTransaction,
    SeamError,
    ServiceBusy,
)
from apps.core.seam.client.registry import call, local, routed_by
from apps.core.seam.server import commands
from tests.world import World


@pytest.fixture
def order(here: World):
    seller, buyer = here.person(), here.person()
    return {
        "actor": str(seller.id),
        "buyer": str(buyer.id),
        "plot": str(here.plot(seller).id),
        "key": secrets.token_hex(8),
        "trace": here.trace,
        "price": "42.00",
        "seller": seller,
    }


def create(here: World, order, *, price="42.00"):
    return call(CONTRACTS).create(
        ctx=here.ctx(order["seller"], key=order["key"]),
        buyer_id=order["buyer"] if not isinstance(order["buyer"], str) else __import__("uuid").UUID(order["buyer"]),
        land_plot_id=__import__("uuid").UUID(order["plot"]),
        price=Decimal(price),
    )


def contracts_made(order) -> int:
    return ContractRow.objects.filter(land_plot_id=order["plot"]).count()


class Victim:
    """A process of the test's own that is stopped or killed."""

    def __init__(self, mode: str, kind: str, orders) -> None:
        text = json.dumps({name: value for name, value in orders.items() if isinstance(value, str)})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.seam.victim", mode, kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "SEAM_PROCESS_NAME": "victim"},
        )
        self.process.stdin.write(text)
        self.process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()
        self.process.stderr.close()

    def wait_until_stopped(self) -> None:
        deadline = time.monotonic() + 30
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline, "it did not stop"
            time.sleep(0.01)


def test_a_service_is_not_called_inside_an_open_transaction(here: World):
    person = here.person()
    with transaction.atomic(), pytest.raises(SeamCallInTransaction):
        call(CONTRACTS).list(ctx=here.ctx(person))
    assert not connection.in_atomic_block


def test_a_command_is_entered_only_through_the_seam(here: World):
    with pytest.raises(SeamError), commands.command(here.ctx()):
        pass


def test_a_command_that_stores_no_answer_leaves_nothing(here: World, order, monkeypatch):
    monkeypatch.setattr(commands.Work, "finish", lambda _, answer: answer)
    with pytest.raises(CommandNotFinished):
        create(here, order)
    assert contracts_made(order) == 0


def test_two_deliveries_at_once_have_one_effect_and_one_answer(here: World, order):
    barrier = threading.Barrier(6)

    def deliver(_):
        barrier.wait()
        try:
            return create(here, order)
        finally:
            connection.close()

    def in_thread(index):
        with routed_by(here.resolve):
            return deliver(index)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(in_thread, range(6)))
    assert len({answer.id for answer in answers}) == 1
    assert contracts_made(order) == 1


def test_a_second_delivery_waits_for_the_first_and_replays_its_answer(here: World, order, monkeypatch):
    original, inside, go = creation.insert, threading.Event(), threading.Event()

    def holding(*arguments, **named):
        original(*arguments, **named)
        if not inside.is_set():
            inside.set()
            go.wait(1.5)

    monkeypatch.setattr(creation, "insert", holding)

    def deliver():
        with routed_by(here.resolve):
            try:
                return create(here, order)
            finally:
                connection.close()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(deliver)
        assert inside.wait(10)
        second = pool.submit(deliver)
        _wait_until_a_claim_waits()
        assert not second.done()
        go.set()
        assert first.result(10) == second.result(10)
    assert contracts_made(order) == 1


def _wait_until_a_claim_waits() -> None:
    waiting = (
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO contracts_command%%'"
    )
    deadline = time.monotonic() + 10
    with connection.cursor() as cursor:
        while True:
            cursor.execute(waiting)
            if cursor.fetchone():
                return
            assert time.monotonic() < deadline, "no claim waits for the key"
            time.sleep(0.01)


def test_the_same_key_with_other_arguments_is_refused(here: World, order):
    create(here, order)
    with pytest.raises(CommandKeyReused):
        create(here, order, price="43.00")
    assert contracts_made(order) == 1


def test_a_known_key_is_replayed_before_any_check(here: World, order):
    first = create(here, order)
    from apps.authentication.interface import AUTHENTICATION

    call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=first.buyer_id, is_active=False)
    assert create(here, order) == first  # a new contract with a blocked buyer would be refused


def test_a_refusal_is_not_stored(here: World, order):
    from uuid import UUID

    from apps.authentication.interface import AUTHENTICATION
    from apps.contracts.interface import UnknownParty

    buyer = UUID(order["buyer"])
    call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=buyer, is_active=False)
    with pytest.raises(UnknownParty):
        create(here, order)
    call(AUTHENTICATION).set_active(ctx=here.ctx(), user_id=buyer, is_active=True)
    assert create(here, order).buyer_id == buyer


def test_a_process_that_hangs_inside_its_transaction_delays_no_other(here: World, order):
    with Victim("inside", "SIGSTOP", order) as victim:
        victim.wait_until_stopped()
        answer = create(here, order)  # the server ends the idle transaction and frees the key
        assert contracts_made(order) == 1
        victim.process.send_signal(signal.SIGCONT)
        printed = victim.process.stdout.read()
        assert printed.strip() == str(answer.id), victim.process.stderr.read()  # after SIGCONT it replays
    assert contracts_made(order) == 1


def test_a_process_killed_inside_its_transaction_leaves_nothing(here: World, order):
    with Victim("inside", "SIGKILL", order) as victim:
        assert victim.process.wait(30) == -signal.SIGKILL
    assert contracts_made(order) == 0
    create(here, order)
    assert contracts_made(order) == 1


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_retryable_error_of_the_database_repeats_the_whole_command(here: World, order, monkeypatch, state):
    original, failures = creation.insert, []

    def failing(*arguments, **named):
        original(*arguments, **named)
        if len(failures) < 2:
            failures.append(state)
            with connection.cursor() as cursor:
                cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{state}'; END $$")

    monkeypatch.setattr(creation, "insert", failing)
    create(here, order)
    assert (len(failures), contracts_made(order)) == (2, 1)


def test_a_lasting_error_is_raised_and_nothing_is_left(here: World, order, monkeypatch):
    original = creation.insert

    def failing(*arguments, **named):
        original(*arguments, **named)
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '40001'; END $$")

    monkeypatch.setattr(creation, "insert", failing)
    with pytest.raises(ServiceBusy):
        create(here, order)
    assert contracts_made(order) == 0


def test_a_broken_connection_is_given_up_and_the_command_repeated(here: World, order, monkeypatch):
    original, killed = creation.insert, []

    def breaking(*arguments, **named):
        if not killed:
            killed.append(True)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pid = cursor.fetchone()[0]
            _end_backend(pid)
        return original(*arguments, **named)

    monkeypatch.setattr(creation, "insert", breaking)
    create(here, order)
    assert contracts_made(order) == 1


def _end_backend(pid: int) -> None:
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_a_query_takes_no_key_and_a_step_derives_one(here: World):
    ctx = here.ctx(key="parent")
    assert ctx.step("a").command_key != ctx.step("b").command_key
    assert ctx.step("a").command_key == here.ctx(key="parent").step("a").command_key
    assert local("contracts").side == "home"


def test_forgotten_answers_hold_no_password_and_no_token(here: World):
    from apps.authentication.interface import AUTHENTICATION

    person = here.person()
    pair = call(AUTHENTICATION).log_in(ctx=here.ctx(), email=person.email, password="correct-horse-battery")
    with connection.cursor() as cursor:
        cursor.execute("SELECT convert_from(answer, 'UTF8') FROM authentication_command WHERE method = 'log_in'")
        stored = " ".join(row[0] for row in cursor.fetchall())
    assert pair.refresh_token not in stored
    assert pair.access_token not in stored
