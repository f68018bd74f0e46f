"""Every metric that rules, dashboards and pages name is exported by a running process, and the commands in the pages exist."""

import os
import re
import shlex
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.core.management import load_command_class
from django.core.management.base import CommandError
from django.urls import resolve

from apps.core.monitoring import worker  # noqa: F401 - what a worker measures is exported by every process that knows it
from landcontracts.embedded.processes import Processes, free_port, inner_url, wait_for_url
from tests.alerting.playbook import BASE, RUNBOOKS, metrics_in, panels, rules
from tests.moves.conftest import until

# Exported only where their subject exists: a replica, a running canary.
CONDITIONAL = {
    "database_replica_lag_seconds",
    "canary_state",
    "canary_share_percent",
    "canary_evidence",
    "canary_judged_timestamp_seconds",
    "canary_observed_timestamp_seconds",
    "web_refused_total",  # when a first request is refused
}
PAGES = sorted(RUNBOOKS.glob("*.md"))
COMPOSE = yaml.safe_load((BASE / "docker-compose.yml").read_text())["services"]
METRIC = re.compile(
    r"^(?:seam|http|data_sync|data_verify|extraction|postgres|database|celery|metrics|certificate|jwt|canary|web)_[a-z]|^service"
)
# What processes write into their logs.
LOGGED = {
    name for file in (BASE / "apps").rglob("*.py") for name in re.findall(r'log\.\w+\(\s*"(\w+)"', file.read_text())
}


def exported(text: str) -> set[str]:
    """The names in an exposition, a histogram's parts among them."""
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def complete_exposition() -> str:
    """The exposition once every source has answered in time, or '': at first none has a connection yet."""
    text = urllib.request.urlopen(f"{inner_url(os.environ['WEB_URL'])}/metrics").read().decode()
    return "" if re.search(r"^metrics_source_up\{.*\} 0", text, re.MULTILINE) else text


@pytest.fixture(scope="module")
def names() -> set[str]:
    """What the stack's web server exports; recorded names count as well."""
    text = until(complete_exposition, 60)
    return exported(text) | CONDITIONAL | {rule["record"] for rule in rules("record")}


def test_names_are_found_in_expressions():
    expression = 'sum by (service, le) (rate(a_total{b="c_total", d=~"$e"}[5m])) / on (f) g:h:i offset 1h or label_replace(up, "j", "k", "", "")'
    assert metrics_in(expression) == {"a_total", "g:h:i"}


@pytest.mark.parametrize(
    "rule", [*rules("alert"), *rules("record")], ids=lambda rule: rule.get("alert") or rule["record"]
)
def test_a_rule_asks_for_what_is_exported(rule: dict, names: set[str]):
    named_metrics = metrics_in(rule["expr"])
    assert named_metrics or rule.get("alert") == "TargetDown"
    assert named_metrics <= names, named_metrics - names


def test_the_dashboards_ask_for_what_is_exported(names: set[str]):
    named_metrics = {name for _, expression in panels() for name in metrics_in(expression)}
    assert len(named_metrics) > 40
    assert named_metrics <= names, named_metrics - names


def spans(page: Path) -> Iterator[str]:
    """The commands, expressions and addresses that a page names, with a service's name in the place of SERVICE."""
    for span in re.findall(r"`([^`]+)`", page.read_text()):
        yield " ".join(span.split()).replace("SERVICE", "documents")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_what_exists(page: Path, names: set[str]):
    checked = 0
    for span in spans(page):
        if span.startswith("python manage.py "):
            management(span)
        elif span.startswith("docker compose "):
            compose(span)
        elif span.startswith("/"):
            resolve(span)
        elif span in LOGGED or span.startswith(("SELECT ", "REVOKE ")):
            pass
        elif any(METRIC.match(name) for name in metrics_in(span)):
            named_metrics = {name for name in metrics_in(span) if METRIC.match(name)}
            whole = {name.removesuffix("_bucket") for name in names}  # in words a histogram is called by its name
            assert named_metrics <= names | whole, named_metrics - names - whole
        else:
            continue
        checked += 1
    assert checked >= 2, "a page names what to check"


def management(command: str) -> None:
    """The command exists, and takes these arguments. Raises: CommandError, AssertionError."""
    name, *arguments = shlex.split(command.replace("…", "why"))[2:]
    parser = load_command_class("apps.extraction" if name == "extraction" else "apps.core", name).create_parser(
        "manage.py", name
    )
    parser.called_from_command_line = False
    parsed = parser.parse_args(arguments)
    if name == "extraction" and parsed.verb == "canary":
        from apps.extraction.management import canary

        assert (parsed.share or "status") in canary.ACTIONS


def compose(command: str) -> None:
    verb, *arguments = shlex.split(command)[2:]
    named = [word for word in arguments if not word.startswith("-") and not re.fullmatch(r"\d+[mh]?", word)]
    assert verb in {"ps", "logs", "restart", "up"}
    assert set(named) <= COMPOSE.keys(), set(named) - COMPOSE.keys()


@pytest.mark.parametrize(
    "command",
    [
        "python manage.py extraction documents remot 5",
        "python manage.py extraction unknown",
        "python manage.py extraction documents resume --take-ovr",
    ],
)
def test_an_unknown_command_is_noticed(command: str):
    with pytest.raises(CommandError):
        management(command)


def test_settings_that_pages_name_exist():
    example = (BASE / ".env.example").read_text()
    for page in PAGES:
        for name in set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", page.read_text())):
            assert f"{name}=" in example, f"{page.name}: {name}"


def ticked(text: str) -> str:
    return text if 'celery_task_succeeded_timestamp_seconds{task="core.pump_all"}' in text else ""


def test_what_a_worker_exports_is_there_at_its_own_port(tmp_path: Path):
    """The clock's tick shows that a worker is alive."""
    port = free_port()
    processes = Processes(tmp_path)
    environment = {
        **os.environ,
        "WORKER_METRICS": f"127.0.0.1:{port}",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "not-used"),
    }
    command = [
        str(Path(sys.executable).parent / "celery"),
        "-A",
        "landcontracts",
        "worker",
        "-B",
        "-s",
        str(tmp_path / "beat"),
    ]
    command += [
        "-P",
        "threads",
        "-c",
        "1",
        "-Q",
        "clock",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    try:
        process, log = processes.start("worker", command, env=environment, cwd=BASE)
        url = f"http://127.0.0.1:{port}/metrics"
        wait_for_url(url, process, log)
        text = until(lambda: ticked(urllib.request.urlopen(url).read().decode()), 60)
        assert 'celery_tasks_total{state="SUCCESS",task="core.pump_all"}' in text
        assert "metrics_source_up" not in text
        assert not (tmp_path / "not-used").exists()
    finally:
        processes.stop_all()
