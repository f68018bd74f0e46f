"""The checklist of a service whose data are moved for good: each item of its old home made to fail, and to hold."""

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

Seen = dict[str, tuple[str, str]]


def play(stack: Stack, service: str) -> dict[str, Seen]:
    """By item: what was seen as it is, and with each thing wrong."""
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


def look(service: str, item: str) -> tuple[str, str]:
    """Check one item; its state and reason."""
    from apps.extraction.decommission import results

    (found,) = (one for one in results.run(service, [item]) if one.item == item)
    assert found.evidence or found.state != "holds" or "gone" in found.reason, found
    return str(found.state), found.reason


def pass_over(stack: Stack, service: str) -> dict[str, Any]:
    """One person asks on the command line, that person may not confirm, another one does."""
    from apps.extraction.decommission import overrides
    from apps.extraction.decommission.models import Override

    first, second = _administrator(), _administrator()
    stack.manage("extraction", service, "override", "all", "--as", first, "--reason=no Prometheus here")
    asked = Override.objects.filter(service=service).latest("asked_at")
    found = {}
    try:
        overrides.confirm(asked.id, first.upper(), "it is a test's stack")
    except overrides.NotOverridden as error:
        found["alone"] = str(error)
    found["still"] = _refused(service)
    overrides.confirm(asked.id, second, "it is a test's stack")
    return found


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


def _backup(stack: Stack, service: str) -> Seen:
    from apps.backups import repository, take
    from apps.extraction.decommission.items import backup
    from apps.extraction.state import stages

    seen = {"none": look(service, "backup_verified")}
    take.take(Path(stack.env["BACKUP_ROOT"]), stages=stages.by_service())
    file = repository.newest(Path(stack.env["BACKUP_ROOT"])).folder / f"{service}.dump"
    body = file.read_bytes()
    file.write_bytes(body[:-1])
    seen["damaged"] = look(service, "backup_verified")
    file.write_bytes(body)
    limit, backup.LIMIT = backup.LIMIT, timedelta(0)
    try:
        seen["old"] = look(service, "backup_verified")
    finally:
        backup.LIMIT = limit
    seen["holds"] = look(service, "backup_verified")
    return seen


def _sync(pair: Any, service: str) -> Seen:
    from apps.core.postgres import connections, replication

    item = "data_sync_completed"
    seen = {"holds": look(service, item)}
    with _changed(pair.shared, "notifications_mail"):
        seen["written"] = look(service, item)
    with connections.replicator("default") as slots:
        replication.keep_slot(slots, "", "lc_notifications_left")
        try:
            seen["slot"] = look(service, item)
        finally:
            replication.drop_slot(slots, "lc_notifications_left")
    return seen


@contextmanager
def _changed(connection: Any, table: str) -> Iterator[None]:
    """Somebody who owns the tables has written in the old home."""
    connection.execute(f"UPDATE {table} SET attempts = attempts + 1")
    try:
        yield
    finally:
        connection.execute(f"UPDATE {table} SET attempts = attempts - 1")


def _events(pair: Any, service: str) -> Seen:
    item, outbox = "events_drained", f"{service}_outbox"
    seen = {"holds": look(service, item)}
    row = (
        f"INSERT INTO {outbox} (id, event_id, consumer, type, aggregate_id, sequence, payload, request_id, trace)"
        " VALUES (%s, %s, 'contracts', 'x', %s, 1, '', '', '')"
    )
    known = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    pair.shared.execute(row, known)
    try:
        seen["unknown there"] = look(service, item)
        pair.own.execute(row, known)
        pair.own.execute(f"UPDATE {outbox} SET leased_until = 'infinity' WHERE id = %s", [known[0]])
        seen["waits there"] = look(service, item)
        pair.own.execute(f"UPDATE {outbox} SET delivered_at = now() WHERE id = %s", [known[0]])
        assert look(service, item)[0] == "holds"
    finally:
        for side in pair.shared, pair.own:
            side.execute(f"DELETE FROM {outbox} WHERE id = %s", [known[0]])
    return seen


def _credentials(pair: Any, service: str) -> Seen:
    item, seen = "credentials_revoked", {}
    seen["holds"] = look(service, item)
    for name, role, right in (
        ("granted", "lc_service", "SELECT"),
        ("everybody", "PUBLIC", "SELECT"),
        ("column", "lc_app", "SELECT (id)"),
        ("truncate", "lc_app", "TRUNCATE"),
    ):
        pair.shared.execute(f"GRANT {right} ON {service}_notification TO {role}")
        seen[name] = look(service, item)
        pair.shared.execute(f"REVOKE {right} ON {service}_notification FROM {role}")
    return seen


def _migrated(service: str) -> Seen:
    from apps.extraction.routing import shares
    from tests.moves.conftest import until

    item = "all_services_migrated"
    seen = {"holds": look(service, item), "another": look("contracts", item)}
    shares.set_share(service, "remote", Decimal(99))
    until(lambda: look(service, item)[0] == "fails")
    seen["some at home"] = look(service, item)
    shares.set_share(service, "remote", Decimal(100))
    until(lambda: look(service, item)[0] == "holds")
    return seen


def _rehearsed(service: str) -> Seen:
    from apps.extraction.decommission.items import rehearsal

    item = "rollback_rehearsed"
    seen = {"holds": look(service, item), "never": look("contracts", item)}
    limit, rehearsal.LIMIT = rehearsal.LIMIT, timedelta(0)
    try:
        seen["long ago"] = look(service, item)
    finally:
        rehearsal.LIMIT = limit
    return seen
