"""The decommission checklist of a relocated service: each item is made to fail, and to hold."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from landcontracts.embedded.stack import Stack

Outcomes = dict[str, tuple[str, str]]


def play(stack: Stack, service: str) -> dict[str, Outcomes]:
    """By item: its state and reason as it is, and with each fault."""
    from apps.extraction.state import stages

    with stages.pair(service) as pair:
        return {
            "backup_verified": _backup(stack, service),
            "data_sync_completed": _sync(pair, service),
            "events_drained": _events(pair, service),
            "credentials_revoked": _credentials(pair, service),
            "all_services_migrated": _migrated(service),
            "rollback_rehearsed": _rehearsed(service),
        }


def check(service: str, item: str) -> tuple[str, str]:
    """Check one item; its state and reason."""
    from apps.extraction.decommission import results

    (result,) = (result for result in results.run(service, [item]) if result.item == item)
    assert result.evidence or result.state != "holds" or "gone" in result.reason, result
    return str(result.state), result.reason


def pass_over(stack: Stack, service: str) -> dict[str, Any]:
    """One administrator asks for an override on the command line and may not confirm it; another one does."""
    from apps.extraction.decommission import overrides
    from apps.extraction.decommission.models import Override

    first, second = _administrator(), _administrator()
    stack.manage("extraction", service, "override", "all", "--as", first, "--reason=no Prometheus here")
    override = Override.objects.filter(service=service).latest("asked_at")
    messages = {}
    try:
        overrides.confirm(override.id, first.upper(), "it is a test's stack")
    except overrides.NotOverridden as error:
        messages["alone"] = str(error)
    messages["still"] = _refused(service)
    overrides.confirm(override.id, second, "it is a test's stack")
    return messages


def _refused(service: str) -> str:
    from apps.extraction.decommission.action import DECOMMISSION
    from apps.extraction.state.checks import Refused
    from apps.extraction.state.initiator import Initiator

    try:
        DECOMMISSION.perform(service, Initiator("test", "pytest"))
    except Refused as error:
        return str(error)
    return ""


def _administrator() -> str:
    from django.contrib.auth import get_user_model

    email = f"{secrets.token_hex(6)}@admin.example"
    get_user_model()._default_manager.create_superuser(email, secrets.token_hex(12), full_name="Админ")
    return email


def _backup(stack: Stack, service: str) -> Outcomes:
    from apps.backups import repository, take
    from apps.extraction.decommission.items import backup
    from apps.extraction.state import stages

    outcomes = {"none": check(service, "backup_verified")}
    take.take(Path(stack.env["BACKUP_ROOT"]), stages=stages.by_service())
    file = repository.newest(Path(stack.env["BACKUP_ROOT"])).folder / f"{service}.dump"
    body = file.read_bytes()
    file.write_bytes(body[:-1])
    outcomes["damaged"] = check(service, "backup_verified")
    file.write_bytes(body)
    limit, backup.LIMIT = backup.LIMIT, timedelta(0)
    try:
        outcomes["old"] = check(service, "backup_verified")
    finally:
        backup.LIMIT = limit
    outcomes["holds"] = check(service, "backup_verified")
    return outcomes


def _sync(pair: Any, service: str) -> Outcomes:
    from apps.core.postgres import connections, replication

    item = "data_sync_completed"
    outcomes = {"holds": check(service, item)}
    with _changed(pair.shared, "notifications_mail"):
        outcomes["written"] = check(service, item)
    with connections.replicator("default") as slots:
        replication.keep_slot(slots, "", "lc_notifications_left")
        try:
            outcomes["slot"] = check(service, item)
        finally:
            replication.drop_slot(slots, "lc_notifications_left")
    return outcomes


@contextmanager
def _changed(connection: Any, table: str) -> Iterator[None]:
    """For the length of a block, the tables' owner has written in the old primary."""
    connection.execute(f"UPDATE {table} SET attempts = attempts + 1")
    try:
        yield
    finally:
        connection.execute(f"UPDATE {table} SET attempts = attempts - 1")


def _events(pair: Any, service: str) -> Outcomes:
    item, outbox = "events_drained", f"{service}_outbox"
    outcomes = {"holds": check(service, item)}
    row = (
        f"INSERT INTO {outbox} (id, event_id, consumer, type, aggregate_id, sequence, payload, request_id, trace)"
        " VALUES (%s, %s, 'contracts', 'x', %s, 1, '', '', '')"
    )
    ids = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    pair.shared.execute(row, ids)
    try:
        outcomes["unknown there"] = check(service, item)
        pair.own.execute(row, ids)
        pair.own.execute(f"UPDATE {outbox} SET leased_until = 'infinity' WHERE id = %s", [ids[0]])
        outcomes["waits there"] = check(service, item)
        pair.own.execute(f"UPDATE {outbox} SET delivered_at = now() WHERE id = %s", [ids[0]])
        assert check(service, item)[0] == "holds"
    finally:
        for side in pair.shared, pair.own:
            side.execute(f"DELETE FROM {outbox} WHERE id = %s", [ids[0]])
    return outcomes


def _credentials(pair: Any, service: str) -> Outcomes:
    item, outcomes = "credentials_revoked", {}
    outcomes["holds"] = check(service, item)
    for name, role, right in (
        ("granted", "lc_documents", "SELECT"),
        ("everybody", "PUBLIC", "SELECT"),
        ("column", "lc_app", "SELECT (id)"),
        ("truncate", "lc_app", "TRUNCATE"),
    ):
        pair.shared.execute(f"GRANT {right} ON {service}_notification TO {role}")
        outcomes[name] = check(service, item)
        pair.shared.execute(f"REVOKE {right} ON {service}_notification FROM {role}")
    return outcomes


def _migrated(service: str) -> Outcomes:
    from apps.extraction.routing import shares
    from tests.moves.conftest import until

    item = "all_services_migrated"
    outcomes = {"holds": check(service, item), "another": check("contracts", item)}
    shares.set_share(service, "remote", Decimal(99))
    until(lambda: check(service, item)[0] == "fails")
    outcomes["some locally"] = check(service, item)
    shares.set_share(service, "remote", Decimal(100))
    until(lambda: check(service, item)[0] == "holds")
    return outcomes


def _rehearsed(service: str) -> Outcomes:
    from apps.extraction.decommission.items import rehearsal

    item = "rollback_rehearsed"
    outcomes = {"holds": check(service, item), "never": check("contracts", item)}
    limit, rehearsal.LIMIT = rehearsal.LIMIT, timedelta(0)
    try:
        outcomes["long ago"] = check(service, item)
    finally:
        rehearsal.LIMIT = limit
    return outcomes
