"""all_services_migrated: the service's data are relocated for good and every call is remote."""

from __future__ import annotations

from typing import Any

import psycopg

from apps.core import topology
from apps.core.database import primaries
from apps.core.flags import snapshot
from apps.core.postgres import connections
from apps.extraction.decommission.findings import Finding, fails, holds
from apps.extraction.state import stages
from apps.extraction.state.stages import MIGRATED


def all_services_migrated(service: str) -> Finding:
    """The stage of this service and its share of calls; the platform's stages as evidence."""
    by_service = platform()
    migrated = sorted(name for name, stage in by_service.items() if stage in MIGRATED)
    evidence: dict[str, Any] = {"stages": by_service, "migrated": len(migrated), "services": len(by_service)}
    words = f"{len(migrated)} of {len(by_service)} services are moved for good"
    stage = by_service.get(service, "not movable: no database of its own is configured")
    if stage not in MIGRATED:
        return fails(f"the stage of {service} is {stage}; {words}", **evidence)
    if not is_everyone(service):
        return fails(f"some calls of {service} are served locally still; {words}", **evidence)
    return holds(f"{service} is {stage} and every call is remote; {words}", **evidence)


def platform() -> dict[str, str]:
    """The stage of every service whose data can be relocated, or why it is not known."""
    return {service: _stage(service) for service in topology.entries() if primaries.is_movable(service)}


def is_everyone(service: str) -> bool:
    """Whether every call goes to the lifted-out service."""
    flag = snapshot.current().get(f"{service}_remote", snapshot.OFF)
    return bool(flag.everyone or (flag.everyone is None and flag.percent >= 100))


def _stage(service: str) -> str:
    try:
        return stages.observe(service).stage.value
    except stages.TwoPrimaries:
        return "two primaries"
    except (connections.NoWay, psycopg.Error) as error:
        return f"not known: {str(error).splitlines()[0]}"
