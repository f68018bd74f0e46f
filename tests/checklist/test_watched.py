"""Items that Prometheus decides; missing data never count as a good answer."""

import pytest
import urllib3
import yaml

from apps.extraction.decommission import results
from apps.extraction.decommission.items import key_expiry, monitoring
from landcontracts.embedded.processes import free_port
from tests.checklist.conftest import RULES, Watching
from tests.moves.conftest import until

ASKING = ("monitoring_configured", "no_open_alerts", "no_traffic_at_home", "keys_not_expiring")


def check(service: str, item: str) -> tuple[str, str]:
    (result,) = (result for result in results.run(service, [item]) if result.item == item)
    assert result.checked_at is not None
    return str(result.state), result.reason


@pytest.mark.parametrize("item", ASKING)
def test_without_a_prometheus_nothing_holds(item: str, settings):
    settings.PROMETHEUS_URL = ""
    assert check("documents", item)[0] == "fails"
    settings.PROMETHEUS_URL = f"http://127.0.0.1:{free_port()}"
    state, reason = check("documents", item)
    if reason.startswith("migrations_playbook/alerting/rules.yml cannot be read"):
        assert state == "fails"
    else:
        assert (state, "does not answer" in reason) == ("not_known", True)


def test_another_server_is_no_prometheus(settings, live_url: str):
    settings.PROMETHEUS_URL = live_url
    assert check("documents", "no_open_alerts")[0] == "not_known"


def test_every_alert_loaded_and_the_services_target_up(watched: Watching):
    assert check("documents", "monitoring_configured") == ("holds", "2 alerts are loaded, 1 targets are up")
    assert "down: http://127.0.0.1" in check("contracts", "monitoring_configured")[1]
    assert "no target of workflow" in check("workflow", "monitoring_configured")[1]


def test_an_alert_that_is_not_loaded_or_a_file_that_is_not_there(watched: Watching):
    more = {"groups": [*RULES["groups"], {"name": "more", "rules": [{"alert": "Forgotten", "expr": "vector(0) > 1"}]}]}
    watched.rules.write_text(yaml.safe_dump(more))
    try:
        state, reason = check("documents", "monitoring_configured")
        assert (state, reason) == ("fails", "not loaded: Forgotten")
        watched.rules.unlink()
        state, reason = check("documents", "monitoring_configured")
        assert (state, "cannot be read" in reason) == ("fails", True)
        assert check("documents", "documentation_updated")[0] == "fails"
    finally:
        watched.rules.write_text(yaml.safe_dump(RULES))


def test_an_alert_that_cannot_be_evaluated(watched: Watching):
    sick = {"alert": "Sick", "expr": "count_values without () ('x', up) * on () group_left up"}
    watched.reload({"groups": [*RULES["groups"], {"name": "sick", "rules": [sick]}]})
    try:
        until(lambda: "not evaluated: Sick" in check("documents", "monitoring_configured")[1], 20)
    finally:
        watched.reload(RULES)


def test_alerts_that_fire_for_a_service_or_for_all(watched: Watching):
    assert check("documents", "no_open_alerts") == ("holds", "no alert fires")
    assert check("signatures", "no_open_alerts") == ("fails", "1 alerts fire: OfAnother")
    watched.reload({"groups": [{"name": "tested", "rules": [{"alert": "Everything", "expr": "vector(1)"}]}]})
    try:
        until(lambda: check("documents", "no_open_alerts") == ("fails", "1 alerts fire: Everything"), 20)
    finally:
        watched.reload(RULES)
    watched.reload({"groups": []})
    try:
        until(lambda: check("documents", "no_open_alerts")[0] == "not_known", 20)
    finally:
        watched.reload(RULES)


def test_a_day_without_a_local_call(watched: Watching):
    state, reason = check("documents", "no_traffic_at_home")
    assert state == "holds", reason
    state, reason = check("contracts", "no_traffic_at_home")
    assert (state, "the local service answered 1 calls" in reason) == ("fails", True), reason
    assert check("workflow", "no_traffic_at_home")[0] == "not_known"  # no call at all
    assert check("authentication", "no_traffic_at_home")[0] == "not_known"  # no counter
    # A counter that appears with its first call, an hour ago, is a call.
    state, reason = check("notifications", "no_traffic_at_home")
    assert (state, "the local service answered 1 calls" in reason) == ("fails", True), reason


def test_certificates_and_passwords_that_end(watched: Watching, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(monitoring, "QUIET_HOURS", 1)
    query = key_expiry.CERTIFICATES
    monkeypatch.setattr(
        key_expiry, "CERTIFICATES", f"last_over_time({query[len('min by (kind, subject) (') : -1]}[1h])"
    )
    assert check("documents", "keys_not_expiring")[0] == "holds"
    monkeypatch.setattr(key_expiry, "LIMIT", key_expiry.LIMIT * 4)
    state, reason = check("documents", "keys_not_expiring")
    assert (state, "authority Тест" in reason) == ("fails", True)
    monkeypatch.setattr(key_expiry, "CERTIFICATES", "absent_metric")
    assert check("documents", "keys_not_expiring")[0] == "not_known"


@pytest.fixture
def live_url() -> str:
    import os

    assert urllib3.request("GET", f"{os.environ['WEB_URL']}/healthz").status == 200
    return os.environ["WEB_URL"]
