"""Events arrive at least once, in order per aggregate, and are handled once (invariant 5, docs/invariants.md)."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.contracts.interface import CONTRACTS, ContractStatus
from apps.core.seam.client import registry
from apps.core.seam.client.registry import call
from apps.core.seam.events.relay import deliver_due, measure_age
from apps.core.seam.server import notifier, purge
from apps.notifications.interface import NOTIFICATIONS
from apps.notifications.models import Notification
from apps.workflow.interface import WORKFLOW
from apps.workflow.models import Workflow
from tests.seam.test_commands import Victim
from tests.world import World

S = ContractStatus


def outbox(sql: str, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(f"{sql.format(outbox='contracts_outbox')}", parameters)
        return cursor.fetchall() if cursor.description else []


def expire_leases(trace: str) -> None:
    outbox("UPDATE {outbox} SET leased_until = clock_timestamp() - interval '1 second' WHERE trace = %s", trace)


@pytest.fixture
def sale(here: World):
    while deliver_due("contracts"):  # events of earlier tests
        pass
    seller, buyer = here.person(), here.person()
    return seller, buyer, here.contract(seller, buyer)


def test_an_event_commits_with_its_cause_and_reaches_every_consumer(here: World, sale):
    seller, _, contract = sale
    rows = outbox("SELECT consumer, sequence, delivered_at FROM {outbox} WHERE aggregate_id = %s", contract.id)
    assert sorted(row[0] for row in rows) == ["notifications", "workflow"]
    here.settle()
    assert len(call(WORKFLOW).for_contracts(ctx=here.ctx(seller), contract_ids=(contract.id,))) == 1
    assert len(call(NOTIFICATIONS).list(ctx=here.ctx(seller)).items) >= 1


def test_several_relays_at_once_keep_order_and_handle_once(here: World, sale):
    seller, _, contract = sale
    for status in (S.AWAITING_SIGNATURES, S.DRAFT) * 4:
        call(CONTRACTS).change_status(ctx=here.ctx(seller), contract_id=contract.id, status=status)
    start = threading.Barrier(4)

    def relaying(_):
        with registry.routed_by(here.resolve):
            start.wait()
            for _ in range(20):
                deliver_due("contracts")
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(relaying, range(4)))
    here.settle()
    messages = Notification.objects.filter(contract_id=contract.id, recipient_id=seller.id, kind="status_changed")
    order = [row.parameters["status"] for row in messages.order_by("created_at", "id")]
    assert order == ["awaiting_signatures", "draft"] * 4


@pytest.mark.parametrize("kind", ["SIGKILL", "SIGSTOP"])
def test_a_worker_lost_after_the_effect_and_before_the_acknowledgement(here: World, sale, kind: str):
    seller, _, contract = sale
    with Victim("after", kind, {"service": "contracts"}) as victim:
        if kind == "SIGKILL":
            assert victim.process.wait(30) == -signal.SIGKILL
        else:
            victim.wait_until_stopped()
        expire_leases(here.trace)
        here.settle()
        if kind == "SIGSTOP":
            victim.process.send_signal(signal.SIGCONT)  # it resumes after other processes have delivered
            victim.process.wait(30)
    assert Workflow.objects.filter(contract_id=contract.id).count() == 1
    created = Notification.objects.filter(contract_id=contract.id, kind="contract_created", recipient_id=seller.id)
    assert created.count() == 1


def test_an_event_that_cannot_be_handled_waits_and_holds_back_only_its_own_queue(here: World, sale, monkeypatch):
    seller, buyer, contract = sale
    call(CONTRACTS).change_status(ctx=here.ctx(seller), contract_id=contract.id, status=S.CANCELLED)
    original = registry.local("workflow")

    class Failing:
        side, process = "home", "x"

        def send(self, operation, ctx, arguments):
            if operation.name == "receive" and str(contract.id).encode() in arguments:
                raise RuntimeError("planted")
            return original.send(operation, ctx, arguments)

    def resolve(service, ctx):
        return Failing() if service == "workflow" else here.resolve(service, ctx)

    with registry.routed_by(resolve):
        for _ in range(5):
            deliver_due("contracts")
    rows = outbox(
        "SELECT consumer, delivered_at IS NOT NULL, attempts, last_error FROM {outbox} WHERE aggregate_id = %s"
        " ORDER BY consumer, sequence", contract.id,
    )  # fmt: skip
    assert [row[1] for row in rows if row[0] == "notifications"] == [True, True]
    workflow = [row for row in rows if row[0] == "workflow"]
    assert [row[1] for row in workflow] == [False, False]
    assert "planted" in workflow[0][3]
    assert workflow[1][2] == 0  # the second waits for the first
    assert measure_age("contracts") > 0
    expire_leases(here.trace)
    here.settle()
    (workflow_now,) = call(WORKFLOW).for_contracts(ctx=here.ctx(buyer), contract_ids=(contract.id,))
    assert workflow_now.status == "cancelled"


def test_losing_the_broker_loses_nothing(here: World, sale, monkeypatch):
    from celery import current_app

    def unreachable(*arguments, **named):
        raise OSError("the broker is down")

    monkeypatch.setattr(current_app, "send_task", unreachable)
    notifier._send("contracts")  # logged, not raised
    here.settle()
    assert Workflow.objects.filter(contract_id=sale[2].id).exists()


def test_purging_keeps_the_newest_event_so_that_the_sequence_goes_on(here: World, sale):
    seller, _, contract = sale
    call(CONTRACTS).change_status(ctx=here.ctx(seller), contract_id=contract.id, status=S.AWAITING_SIGNATURES)
    here.settle()
    outbox(
        "UPDATE {outbox} SET delivered_at = clock_timestamp() - interval '31 days' WHERE aggregate_id = %s", contract.id
    )
    purge.purge("contracts")
    sequences = outbox("SELECT sequence FROM {outbox} WHERE aggregate_id = %s AND consumer = 'workflow'", contract.id)
    assert sequences == [(2,)]
    call(CONTRACTS).change_status(ctx=here.ctx(seller), contract_id=contract.id, status=S.CANCELLED)
    assert (3,) in outbox(
        "SELECT sequence FROM {outbox} WHERE aggregate_id = %s AND consumer = 'workflow'", contract.id
    )
    here.settle()


def test_old_commands_are_forgotten_by_the_databases_clock(here: World, sale):
    outbox("UPDATE contracts_command SET created_at = clock_timestamp() - interval '73 hours' WHERE key = 'nothing'")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contracts_command (id, method, key, arguments_digest, created_at) VALUES"
            " (gen_random_uuid(), 'old', 'old', '', clock_timestamp() - interval '73 hours')"
        )
    purge.purge("contracts")
    assert outbox("SELECT count(*) FROM contracts_command WHERE method = 'old'") == [(0,)]
    assert outbox("SELECT count(*) FROM contracts_command WHERE method = 'create'")[0][0] > 0


def test_an_event_that_overtakes_the_one_that_starts_the_workflow_is_kept(here: World):
    from tests.world import pdf

    seller, buyer = here.person(), here.person()
    contract = here.contract(seller, buyer)
    here.document(seller, contract, pdf())
    deliver_due("documents")  # before the contract's own event
    here.settle_after(lambda: expire_leases_of("documents", here.trace))
    (workflow,) = call(WORKFLOW).for_contracts(ctx=here.ctx(seller), contract_ids=(contract.id,))
    assert workflow.current_stage == "signing"


def expire_leases_of(service: str, trace: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {service}_outbox SET leased_until = NULL WHERE trace = %s AND delivered_at IS NULL", [trace]
        )


def test_one_bad_address_holds_up_no_other_mail(here: World, monkeypatch: pytest.MonkeyPatch):
    from apps.notifications.gateways import mail
    from apps.notifications.models import Mail

    seller, buyer = here.person(), here.person()
    here.contract(seller, buyer)
    here.settle()
    sent = []

    def send(*, mail_id, to, subject, body):
        if to == buyer.email:
            raise UnicodeError("planted")
        sent.append(to)

    monkeypatch.setattr(mail, "send", send)
    mine = Mail.objects.filter(notification__recipient_id__in=(seller.id, buyer.id))
    for _ in range(400):  # other tests' mail waits before ours
        call(NOTIFICATIONS).send_mail(ctx=here.ctx())
        if not mine.filter(attempts=0).exists():
            break
    assert (
        sent.count(seller.email) == mine.filter(notification__recipient_id=seller.id, sent_at__isnull=False).count() > 0
    )
    assert mine.filter(notification__recipient_id=buyer.id, sent_at=None, last_error__contains="planted").exists()
