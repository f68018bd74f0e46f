"""A Prometheus for these tests: it scrapes the running web server, has a day of past data, and rules of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import urllib3
import yaml

from apps.extraction.decommission import prometheus
from apps.extraction.decommission.items import monitoring
from landcontracts.embedded.processes import free_port, inner_url
from tests.moves.conftest import until

PROGRAMS = ("prometheus", "promtool")
HOUR = 3600
RULES = {
    "groups": [
        {
            "name": "tested",
            "rules": [
                {"alert": "Quiet", "expr": "vector(0) > 1"},
                {"alert": "OfAnother", "expr": "vector(1)", "labels": {"service": "signatures"}},
            ],
        }
    ]
}


class Watching(NamedTuple):
    """Its address, its rules and its targets."""

    url: str
    rules: Path
    folder: Path

    def reload(self, rules: dict) -> None:
        """Replace the rules; returns when they were evaluated."""
        self.rules.write_text(yaml.safe_dump(rules))
        urllib3.request("POST", f"{self.url}/-/reload")


def history(now: int) -> str:
    """A day and an hour of counters: no local call for `documents`, one an hour ago for `contracts`, no data for `workflow`."""
    lines = ["# TYPE seam_call_seconds_count counter"]
    for service, side, at_home in (
        ("documents", "home", lambda _: 7),
        ("documents", "away", lambda at: 100 + at // 300),
        ("contracts", "home", lambda at: 7 + (at > now - HOUR)),
        ("contracts", "away", lambda at: 100 + at // 300),
        ("workflow", "home", lambda _: 7),
        ("notifications", "away", lambda at: 100 + at // 300),
        ("notifications", "home", lambda at: at > now - HOUR),
    ):
        lines += [
            f'seam_call_seconds_count{{service="{service}",side="{side}"}} {int(count)} {at}'
            for at in range(now - 26 * HOUR, now - 60, 60)
            if (count := at_home(at))
        ]
    lines.append("# TYPE certificate_expiry_timestamp_seconds gauge")
    lines += [
        f'certificate_expiry_timestamp_seconds{{kind="authority",subject="Тест"}} {now + 90 * 24 * HOUR} {at}'
        for at in range(now - HOUR, now - 60, 60)
    ]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """A running Prometheus that has scraped its targets."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)} is missing: Debian's prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    past = folder / "past"
    past.write_text(history(int(time.time())))
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(past), str(folder / "data")],
        check=True,
        capture_output=True,
    )
    rules = folder / "rules.yml"
    rules.write_text(yaml.safe_dump(RULES))
    port, web = free_port(), urlsplit(inner_url(os.environ["WEB_URL"])).netloc
    # Calls of other tests do not concern these.
    mute = [{"source_labels": ["__name__"], "regex": "seam_.*|certificate_.*", "action": "drop"}]
    scrapes = [
        {"job_name": "web", "metric_relabel_configs": mute, "static_configs": [{"targets": [web]}]},
        {"job_name": "lifted", "metric_relabel_configs": mute, "static_configs": [
            {"targets": [web], "labels": {"lifted": "documents"}},
            {"targets": [f"127.0.0.1:{free_port()}"], "labels": {"lifted": "contracts"}},
        ]},
    ]  # fmt: skip
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(rules)],
                "scrape_configs": scrapes,
            }
        )
    )
    url = f"http://127.0.0.1:{port}"
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
                *(f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"),
                "--storage.tsdb.retention.time=30d",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: _ready(url), 30)
        yield Watching(url, rules, folder)
    finally:
        process.terminate()
        process.wait(30)


def _ready(url: str) -> bool:
    try:
        if urllib3.request("GET", f"{url}/-/ready", retries=False).status != 200:
            return False
        targets = urllib3.request("GET", f"{url}/api/v1/targets", retries=False).json()["data"]["activeTargets"]
        groups = urllib3.request("GET", f"{url}/api/v1/rules", retries=False).json()["data"]["groups"]
    except urllib3.exceptions.HTTPError:
        return False
    evaluated = [rule["health"] != "unknown" for group in groups for rule in group["rules"]]
    scraped = [target["health"] != "unknown" for target in targets]
    return bool(evaluated) and all(evaluated) and len(scraped) == 3 and all(scraped)


@pytest.fixture
def watched(watching: Watching, settings, monkeypatch: pytest.MonkeyPatch) -> Watching:
    """The checklist queries it, with its rules."""
    settings.PROMETHEUS_URL = watching.url
    settings.BASE_DIR = watching.folder
    monkeypatch.setattr(monitoring, "RULES", "rules.yml")
    assert prometheus.ask("query", query="1")
    return watching
