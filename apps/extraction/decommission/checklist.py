"""The items of the checklist, in the order in which they are shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from apps.extraction.decommission.findings import Run
from apps.extraction.decommission.items import (
    backup,
    credentials,
    documentation,
    key_expiry,
    migration,
    monitoring,
    rehearsal,
    sign_offs,
    synchronisation,
)

SHORT, DAY = timedelta(hours=1), timedelta(hours=24)


class Item(NamedTuple):
    """An item: its name and title, how long a finding counts, the check, and whether that takes more than seconds."""

    name: str
    title: Any
    limit: timedelta
    check: Run
    is_long: bool = False


ITEMS: dict[str, Item] = {
    item.name: item
    for item in (
        Item(
            "all_services_migrated", _("Relocated for good, every call remote"), SHORT, migration.all_services_migrated
        ),
        Item(
            "data_sync_completed",
            _("Data synchronised, old tables untouched since"),
            SHORT,
            synchronisation.data_sync_completed,
        ),
        Item("events_drained", _("No event left in the old outbox"), SHORT, synchronisation.events_drained),
        Item("no_traffic_at_home", _("Nothing answered locally for a day"), SHORT, monitoring.no_local_traffic),
        Item("no_open_alerts", _("No alert fires"), timedelta(minutes=10), monitoring.no_open_alerts),
        Item("monitoring_configured", _("Alerts loaded, targets up"), SHORT, monitoring.monitoring_configured),
        Item("backup_verified", _("Backup restored and compared"), DAY, backup.backup_verified, is_long=True),
        Item("rollback_rehearsed", _("Rollback rehearsed"), SHORT, rehearsal.rollback_rehearsed),
        Item("credentials_revoked", _("No rights left on the old tables"), SHORT, credentials.credentials_revoked),
        Item("keys_not_expiring", _("Keys and certificates last"), SHORT, key_expiry.keys_not_expiring),
        Item(
            "documentation_updated",
            _("Pages exist, their commands are known"),
            DAY,
            documentation.documentation_updated,
        ),
        Item("team_trained", _("Team trained"), SHORT, sign_offs.team_trained),
        Item("retention_agreed", _("Retention of the backup agreed"), SHORT, sign_offs.retention_agreed),
    )
}
