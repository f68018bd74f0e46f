"""Every rule is valid, has its pages, and has a case in which it fires and one in which it does not."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from landcontracts.monitoring import grafana
from landcontracts.monitoring.renderer import Overrides, UnknownJob, render
from landcontracts.topology import SERVICES
from tests.alerting.playbook import ALERTING, GRAFANA, RUNBOOKS, needs_amtool, needs_promtool, panels, rules

ALERTS = {rule["alert"]: rule for rule in rules("alert")}
CASES = sorted((ALERTING / "tests").glob("*.yml"))


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_is_how_bad_it_is_and_where_to_read_on(name: str):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert (
        any(mark.isdigit() for mark in rule["annotations"]["description"])
        or "$value" in rule["annotations"]["description"]
    )
    page = Path(rule["annotations"]["runbook_url"])
    assert page == Path("migrations_playbook/alerting/runbooks") / f"{name}.md"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_page_in_both_languages_of_the_same_shape(name: str):
    english, russian = ((RUNBOOKS / f"{name}{tongue}.md").read_text() for tongue in ("", ".ru"))
    for page in (english, russian):
        assert page.startswith(f"# {name}\n")
        assert 15 <= len(page.splitlines()) <= 30
    steps = [
        [line[:2] for line in page.splitlines() if line[:2] in {"- ", "1.", "2.", "3.", "4."}]
        for page in (english, russian)
    ]
    assert steps[0] == steps[1]
    assert not any("а" <= letter <= "я" for letter in english.replace("По-русски", ""))


def test_no_page_is_left_of_an_alert_that_is_gone():
    assert {file.name.partition(".")[0] for file in RUNBOOKS.glob("*.md")} == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(name: str):
    outcomes = [
        bool(case["exp_alerts"])
        for file in CASES
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == name
    ]
    assert set(outcomes) == {True, False}


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_case_evaluates_the_groups_in_the_order_of_the_rules(file: Path):
    """promtool takes them in any order otherwise, and an alert then reads the shares of ten minutes ago: none. Prometheus
    evaluates a group every few seconds."""
    groups = [group["name"] for group in yaml.safe_load((ALERTING / "rules.yml").read_text())["groups"]]
    assert yaml.safe_load(file.read_text())["group_eval_order"] == groups


@needs_promtool
def test_the_cases_hold():
    with ThreadPoolExecutor(2) as pool:
        for output in pool.map(lambda file: run("promtool", "test", "rules", file), CASES):
            assert "SUCCESS" in output


@needs_promtool
def test_a_rule_that_compares_errors_with_a_rate_does_not_pass_the_cases(tmp_path: Path):
    text = (ALERTING / "rules.yml").read_text()
    naive = 'sum by (service) (rate(http_requests_total{status=~"5.."}[5m])) > 0.1'
    changed = yaml.safe_load(text)
    rule = next(
        rule for group in changed["groups"] for rule in group["rules"] if rule.get("alert") == "ErrorBudgetBurnsFast"
    )
    rule["expr"] = naive
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(changed))
    (tmp_path / "tests").mkdir()
    shutil.copy(ALERTING / "tests" / "people.yml", tmp_path / "tests")
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "tests" / "people.yml"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode
    output = done.stdout + done.stderr
    assert "0.1 requests a second, half of them fail" in output
    assert "1,000 requests a second and 0.2 errors a second" in output


@needs_promtool
def test_the_configurations_are_valid():
    run("promtool", "check", "rules", ALERTING / "rules.yml")
    run("promtool", "check", "config", ALERTING / "prometheus.yml")


@needs_amtool
def test_where_alerts_go_is_valid():
    assert "1 receivers" in run("amtool", "check-config", ALERTING / "alertmanager.yml")


def test_every_service_is_a_target():
    jobs = {
        job["job_name"]: job["static_configs"]
        for job in yaml.safe_load((ALERTING / "prometheus.yml").read_text())["scrape_configs"]
    }
    assert {entry["labels"]["lifted"] for entry in jobs["lifted"]} == SERVICES.keys()


@needs_promtool
@needs_amtool
def test_rendered_for_other_addresses_they_are_valid_and_the_rules_are_the_same(tmp_path: Path):
    overrides = Overrides(
        {"web": "127.0.0.1:1", "lifted/documents": "127.0.0.1:2"}, "127.0.0.1:3", "http://127.0.0.1:4/тайна", "1s", "1s"
    )
    render(tmp_path, overrides)
    run("promtool", "check", "config", tmp_path / "prometheus.yml")
    run("amtool", "check-config", tmp_path / "alertmanager.yml")
    assert (tmp_path / "rules.yml").read_bytes() == (ALERTING / "rules.yml").read_bytes()
    configuration = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert [job["static_configs"] for job in configuration["scrape_configs"]] == [
        [],
        [{"targets": ["127.0.0.1:1"]}],
        [],
        [{"targets": ["127.0.0.1:2"], "labels": {"lifted": "documents"}}],
    ]
    assert (tmp_path / "alertmanager.yml").stat().st_mode & 0o007 == 0
    assert "тайна" in (tmp_path / "alertmanager.yml").read_text()


def test_an_unknown_job_is_refused(tmp_path: Path):
    with pytest.raises(UnknownJob, match="there is no job wbe; there are prometheus, web, worker, lifted"):
        render(tmp_path, Overrides({"wbe": "127.0.0.1:1"}))


def test_the_dashboards_are_those_of_the_table():
    assert grafana.stale() == [], "run `make dashboards`"
    assert {path.name for path in grafana.files()} == {path.name for path in GRAFANA.glob("*.json")}


def test_a_stale_dashboard_is_noticed(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(grafana, "FOLDER", tmp_path)
    grafana.write()
    (tmp_path / "lc-service.json").write_text((tmp_path / "lc-service.json").read_text().replace("p95", "p96"))
    assert [path.name for path in grafana.stale()] == ["lc-service.json"]


@needs_promtool
def test_what_the_dashboards_ask_is_promql(tmp_path: Path):
    expressions = [
        {"record": f"panel:number:{n}", "expr": expression.replace("$service", "documents")}
        for n, (_, expression) in enumerate(panels())
    ]
    assert len(expressions) > 50
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": expressions}]}))
    assert f"{len(expressions)} rules found" in run("promtool", "check", "rules", tmp_path / "panels.yml")
