"""Renders `migrations_playbook/alerting` for other addresses and intervals. The rules are copied unchanged."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

SOURCE = Path(__file__).resolve().parent.parent.parent / "migrations_playbook" / "alerting"
RULES, PROMETHEUS, ALERTMANAGER = "rules.yml", "prometheus.yml", "alertmanager.yml"


class UnknownJob(Exception):
    """`prometheus.yml` has no job of this name."""


class Overrides(NamedTuple):
    """The differences from the committed files; an empty field keeps the committed value.

    `targets` are addresses by job (and after a slash by lifted-out service); a job without any is not scraped.
    """

    targets: Mapping[str, str] = {}
    alertmanager: str = ""
    webhook: str = ""
    interval: str = ""
    patience: str = ""


def render(folder: Path, overrides: Overrides) -> None:
    """Write the three files. Raises: UnknownJob."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SOURCE / RULES, folder / RULES)
    _write(folder / PROMETHEUS, _prometheus(yaml.safe_load((SOURCE / PROMETHEUS).read_text()), overrides))
    # The webhook's address may be a secret.
    _write(
        folder / ALERTMANAGER, _alertmanager(yaml.safe_load((SOURCE / ALERTMANAGER).read_text()), overrides), mode=0o640
    )


def _write(file: Path, content: Any, mode: int = 0o644) -> None:
    file.touch(mode=mode)
    file.chmod(mode)
    file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _prometheus(configuration: Any, overrides: Overrides) -> Any:
    if overrides.interval:
        configuration["global"] |= dict.fromkeys(
            ("scrape_interval", "scrape_timeout", "evaluation_interval"), overrides.interval
        )
    if overrides.alertmanager:
        configuration["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [overrides.alertmanager]}]}]
    if overrides.targets:
        jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
        if unknown := {name.partition("/")[0] for name in overrides.targets} - jobs.keys():
            raise UnknownJob(f"there is no job {', '.join(sorted(unknown))}; there are {', '.join(jobs)}")
        for name, job in jobs.items():
            job["static_configs"] = _static(name, overrides.targets)
    return configuration


def _static(job: str, targets: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for name, address in targets.items():
        of, _, lifted = name.partition("/")
        if of == job:
            entries.append({"targets": [address]} | ({"labels": {"lifted": lifted}} if lifted else {}))
    return entries


def _alertmanager(configuration: Any, overrides: Overrides) -> Any:
    if overrides.webhook:
        for receiver in configuration["receivers"]:
            for webhook in receiver["webhook_configs"]:
                webhook["url"] = overrides.webhook
    if overrides.patience:
        configuration["route"] |= dict.fromkeys(("group_wait", "group_interval"), overrides.patience)
    return configuration
