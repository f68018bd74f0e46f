"""monitoring_configured, no_open_alerts, no_traffic_at_home: Prometheus on a service. Missing data never hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from django.conf import settings

from apps.extraction.decommission import prometheus
from apps.extraction.decommission.findings import Finding, Run, fails, holds, not_known

RULES = "migrations_playbook/alerting/rules.yml"
QUIET_HOURS = 24
# `increase` misses the call with which a counter appears: a counter that did not exist then counts as a whole.
COUNTED = "sum((max_over_time({one}[{{hours}}h]) unless {one} offset {{hours}}h) or increase({one}[{{hours}}h]))"
# Over all calling processes: the calls that the local side answered, and whether calls were counted meanwhile.
LOCAL = COUNTED.format(one='seam_call_seconds_count{{service="{service}",side="home"}}')
REMOTE = COUNTED.format(one='seam_call_seconds_count{{service="{service}",side="away"}}')
INSTEAD = COUNTED.format(one='seam_fallbacks_total{{service="{service}"}}')
SINCE = 'count(count_over_time(seam_call_seconds_count{{service="{service}"}}[5m] offset {hours}h))'


class NoRules(Exception):
    """The file of alert rules does not exist, or cannot be read."""


def _prometheus_check(check: Run) -> Run:
    @wraps(check)
    def checked(service: str) -> Finding:
        try:
            return check(service)
        except (prometheus.NoPrometheus, NoRules) as error:
            return fails(str(error))
        except (prometheus.Unanswered, KeyError, TypeError) as error:
            return not_known(f"Prometheus: {error}")

    return checked


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert of the project's rules by name. Raises: NoRules."""
    file = Path(settings.BASE_DIR) / RULES
    try:
        groups = yaml.safe_load(file.read_text())["groups"]
        return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise NoRules(f"{RULES} cannot be read: {error}") from error


@_prometheus_check
def monitoring_configured(service: str) -> Finding:
    """Every alert is loaded and evaluated, and the service's processes are scraped."""
    expected = alerts()
    if not expected:
        return fails(f"{RULES} has no alert")
    loaded = {
        rule["name"]: rule["health"]
        for group in prometheus.ask("rules")["groups"]
        for rule in group["rules"]
        if rule["type"] == "alerting"
    }
    problems = []
    if missing := sorted(expected.keys() - loaded.keys()):
        problems.append(f"not loaded: {', '.join(missing)}")
    if unhealthy := sorted(name for name in expected if loaded.get(name, "ok") != "ok"):
        problems.append(f"not evaluated: {', '.join(unhealthy)}")
    targets = {target["scrapeUrl"]: target["health"] for target in _targets(service)}
    if not targets:
        problems.append(f"no target of {service} is scraped")
    if down := sorted(url for url, health in targets.items() if health != "up"):
        problems.append(f"down: {', '.join(down)}")
    evidence: dict[str, Any] = {
        "alerts": len(expected),
        "loaded": len(expected.keys() & loaded.keys()),
        "targets": targets,
    }
    if problems:
        return fails("; ".join(problems), **evidence)
    return holds(f"{len(expected)} alerts are loaded, {len(targets)} targets are up", **evidence)


def _targets(service: str) -> list[dict[str, Any]]:
    """The scrape targets that are named after the service, or have its address."""
    remote = _addresses(settings.SEAM_AWAY.get(service, ""))
    return [
        target
        for target in prometheus.ask("targets", state="active")["activeTargets"]
        if service in {target["labels"].get(name) for name in ("lifted", "service", "job")}
        or urlsplit(target["scrapeUrl"]).netloc in remote
    ]


def _addresses(url: str) -> set[str]:
    """The address of a service, and the operator's one, which is the next port unless it was set otherwise."""
    parts = urlsplit(url)
    return {parts.netloc, f"{parts.hostname}:{(parts.port or 80) + 1}"} if parts.hostname else set()


@_prometheus_check
def no_open_alerts(service: str) -> Finding:
    """No alert of this service, or of the platform as a whole, fires."""
    firing = [
        alert["labels"]
        for alert in prometheus.ask("alerts")["alerts"]
        if alert["state"] == "firing" and _concerns(alert["labels"], service)
    ]
    names = sorted({labels["alertname"] for labels in firing})
    if firing:
        return fails(f"{len(firing)} alerts fire: {', '.join(names)}", firing=firing)
    if not prometheus.ask("rules", type="alert")["groups"]:
        return not_known("no alert fires because none is loaded")
    return holds("no alert fires")


def _concerns(labels: dict[str, str], service: str) -> bool:
    named = {labels[name] for name in ("service", "lifted") if name in labels}
    return not named or service in named


@_prometheus_check
def no_local_traffic(service: str) -> Finding:
    """Within QUIET_HOURS no call of this service was answered locally, while calls were made and counted."""
    labels = {"service": service, "hours": QUIET_HOURS}
    ask: Callable[[str], float | None] = lambda query: prometheus.value(query.format(**labels))  # noqa: E731 - four times
    local, remote, instead, since = ask(LOCAL), ask(REMOTE), ask(INSTEAD), ask(SINCE)
    evidence: dict[str, Any] = {
        "hours": QUIET_HOURS,
        "at_home": local,
        "away": remote,
        "instead": instead,
        "series_then": since,
    }
    if local or instead:
        return fails(
            f"the local service answered {(local or 0) + (instead or 0):.0f} calls within {QUIET_HOURS} hours",
            **evidence,
        )
    if not since:
        return not_known(f"calls of {service} have not been counted for {QUIET_HOURS} hours", **evidence)
    if not remote:
        return not_known(f"{service} was not called within {QUIET_HOURS} hours, locally or remotely", **evidence)
    return holds(
        f"the local service answered nothing within {QUIET_HOURS} hours, and {remote:.0f} calls were remote", **evidence
    )
