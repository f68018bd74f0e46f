"""After the load: is every acknowledged effect there, exactly once? Read from the database and from object storage."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.core.files.storage import storages
from django.db import connection

from apps.core import topology
from tests.drills.sales import Fact

HISTORY = ["draft", "awaiting_signatures", "signed", "in_registration", "completed"]
SETTLE_SECONDS = 90


class Verdict(NamedTuple):
    """What is missing, and what is there more than once; each in words."""

    lost: list[str]
    doubled: list[str]


def settle() -> list[str]:
    """Wait until every event is delivered; those that are not, in words."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while waiting := [words for service in topology.entries() for words in _waiting(service)]:
        if time.monotonic() > deadline:
            return waiting
        time.sleep(0.2)
    return []


def _waiting(service: str) -> Iterator[str]:
    sql = f"SELECT type, consumer, last_error FROM {service}_outbox WHERE delivered_at IS NULL"
    yield from (f"{kind} for {consumer} waits: {error}" for kind, consumer, error in _rows(sql))


class Facts(NamedTuple):
    """What was acknowledged since a moment: sales, keys of requests, copies of a table."""

    sales: list[Fact]
    keys: list[str]
    syncs: list[str]
    since: Any


def check(acknowledged: Facts, messages_per_sale: Counter[str]) -> Verdict:
    """Compare the facts with what is stored. `messages_per_sale` counts the messages of a whole sale by kind."""
    facts = acknowledged.sales
    verdict = Verdict([f"event: {words}" for words in settle()], [])
    contracts = [fact.contract_id for fact in facts]
    _once(verdict, "account", "authentication_user", "email", [fact.newcomer for fact in facts])
    _once(verdict, "plot", "contracts_landplot", "cadastral_number", [fact.cadastral_number for fact in facts])
    _once(verdict, "contract", "contracts_contract", "land_plot_id", [fact.plot_id for fact in facts])
    _once(verdict, "contract", "contracts_contract", "id", contracts)
    _once(verdict, "document", "documents_document", "contract_id", contracts)
    _once(verdict, "document", "documents_document", "id", [fact.document_id for fact in facts])
    _once(verdict, "workflow", "workflow_workflow", "contract_id", contracts)
    _once(verdict, "sync", "datasync_sync", "id", acknowledged.syncs)
    _nothing_else(verdict, acknowledged)
    _signatures(verdict, facts)
    _histories(verdict, contracts)
    _stages(verdict, contracts)
    _messages(verdict, contracts, messages_per_sale)
    _keys(verdict, acknowledged.keys)
    _files(verdict, facts)
    return verdict


def _rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def _judge(verdict: Verdict, what: str, count: int, expected: int = 1) -> None:
    if count < expected:
        verdict.lost.append(f"{what}: {count} of {expected}")
    elif count > expected:
        verdict.doubled.append(f"{what}: {count} instead of {expected}")


def _once(verdict: Verdict, what: str, table: str, column: str, values: list[str]) -> None:
    sql = f"SELECT {column}::text, count(*) FROM {table} WHERE {column}::text = ANY(%s) GROUP BY 1"
    counts = dict(_rows(sql, values))
    for value in values:
        _judge(verdict, f"{what} {value}", counts.get(value, 0))


def _nothing_else(verdict: Verdict, acknowledged: Facts) -> None:
    """A second effect has an identity of its own: every row made since the start must have been acknowledged."""
    for what, table, column, ids in (
        ("sync", "datasync_sync", "started_at", acknowledged.syncs),
        ("contract", "contracts_contract", "created_at", [fact.contract_id for fact in acknowledged.sales]),
        ("plot", "contracts_landplot", "created_at", [fact.plot_id for fact in acknowledged.sales]),
    ):
        ((count,),) = _rows(
            f"SELECT count(*) FROM {table} WHERE {column} >= %s AND NOT id::text = ANY(%s)", acknowledged.since, ids
        )
        _judge(verdict, f"{what} that was never acknowledged", count, 0)


def _signatures(verdict: Verdict, facts: list[Fact]) -> None:
    sql = "SELECT document_id::text, signer_id::text, count(*) FROM signatures_signature WHERE status = 'signed' GROUP BY 1, 2"
    counts = {(document, signer): count for document, signer, count in _rows(sql)}
    for fact in facts:
        for signer in fact.parties[:2]:
            _judge(verdict, f"signature of {signer} on {fact.document_id}", counts.get((fact.document_id, signer), 0))


def _histories(verdict: Verdict, contracts: list[str]) -> None:
    sql = "SELECT contract_id::text, array_agg(status ORDER BY at, id) FROM contracts_statuschange GROUP BY 1"
    histories = dict(_rows(sql))
    for contract in contracts:
        steps = Counter(histories.get(contract, []))
        for status in HISTORY:
            # Events of documents and of signatures come by different queues: where both signatures arrive before the document, the
            # contract goes from draft straight to signed.
            passed_over = status == "awaiting_signatures" and not steps[status] and steps["signed"]
            if not passed_over:
                _judge(verdict, f"{status} of {contract}", steps[status])


def _stages(verdict: Verdict, contracts: list[str]) -> None:
    sql = (
        "SELECT w.contract_id::text, s.name, count(*) FILTER (WHERE s.status = 'completed'), count(*) "
        "FROM workflow_stage s JOIN workflow_workflow w ON w.id = s.workflow_id WHERE w.contract_id::text = ANY(%s) GROUP BY 1, 2"
    )
    for contract, name, completed, number in _rows(sql, contracts):
        _judge(verdict, f"stage {name} of {contract}", number)
        _judge(verdict, f"completed stage {name} of {contract}", completed)


def messages_of(contracts: list[str]) -> dict[str, Counter[str]]:
    """How many messages of each kind each sale made."""
    messages: dict[str, Counter[str]] = {contract: Counter() for contract in contracts}
    sql = "SELECT contract_id::text, kind, count(*) FROM notifications_notification WHERE contract_id::text = ANY(%s) GROUP BY 1, 2"
    for contract, kind, count in _rows(sql, contracts):
        messages[contract][kind] = count
    return messages


def _messages(verdict: Verdict, contracts: list[str], messages_per_sale: Counter[str]) -> None:
    changes = dict(_rows("SELECT contract_id::text, count(*) FROM contracts_statuschange GROUP BY 1"))
    each = messages_per_sale["status_changed"] // (len(HISTORY) - 1)
    for contract, kinds in messages_of(contracts).items():
        expected = {**messages_per_sale, "status_changed": each * (changes.get(contract, 0) - 1)}
        for kind in messages_per_sale.keys() | kinds.keys():
            _judge(verdict, f"{kind} messages of {contract}", kinds[kind], expected.get(kind, 0))


def _keys(verdict: Verdict, keys: list[str]) -> None:
    """Every acknowledged request has its command, whichever side carried it out. (The primary key ensures that it has only one.)"""
    stored: set[str] = set()
    for service in topology.entries():
        stored.update(key for (key,) in _rows(f"SELECT key FROM {service}_command WHERE key = ANY(%s)", keys))
    verdict.lost.extend(f"command {key}" for key in keys if key not in stored)


def _files(verdict: Verdict, facts: list[Fact]) -> None:
    storage: Any = storages["documents"]
    client, bucket = storage.connection.meta.client, storage.bucket_name
    for fact in facts:
        listed = client.list_objects_v2(Bucket=bucket, Prefix=f"documents/{fact.document_id}").get("Contents", [])
        good = [item for item in listed if _digest(client, bucket, item["Key"]) == fact.sha256]
        _judge(verdict, f"file of {fact.document_id}", len(good))


def _digest(client: Any, bucket: str, key: str) -> str:
    return hashlib.sha256(client.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest()


def now() -> Any:
    """The database's time."""
    return _rows("SELECT clock_timestamp()")[0][0]
