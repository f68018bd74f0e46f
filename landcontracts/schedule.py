"""What Celery's scheduler starts, and how often, in seconds."""

from typing import Any

SCHEDULE: dict[str, dict[str, Any]] = {
    # The schedule behind the notifier: events without a notification are delivered within this time.
    "pump": {"task": "core.pump_all", "schedule": 1.0},
    "mail": {"task": "core.periodic", "schedule": 5.0, "args": ("notifications", "send_mail", 5)},
    "overdue": {"task": "core.periodic", "schedule": 600.0, "args": ("workflow", "find_overdue", 600)},
    "sweep": {"task": "core.periodic", "schedule": 3600.0, "args": ("documents", "sweep", 3600)},
    "forget": {"task": "core.periodic", "schedule": 3600.0, "args": ("authentication", "forget", 3600)},
    "purge": {"task": "core.purge", "schedule": 3600.0},
    "shadows": {"task": "extraction.forget", "schedule": 3600.0},
    "syncs": {"task": "datasync.advance", "schedule": 2.0},
    "cutovers": {"task": "extraction.look_after", "schedule": 1.0},
    "canaries": {"task": "extraction.judge", "schedule": 1.0},
    "slots": {"task": "core.periodic", "schedule": 60.0, "args": ("datasync", "sweep", 60)},
}
# A scheduled task that no worker took in time expires: the next one does its work.
for entry in SCHEDULE.values():
    entry["options"] = {"expires": entry["schedule"]}
