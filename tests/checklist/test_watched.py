"""What Prometheus says of a service; and that what it does not say is never taken for a good answer."""

import pytest
import urllib3
import yaml

from apps.extraction.decommission import results
from apps.extraction.decommission.items import key_expiry, monitoring
from landcontracts.embedded.processes import free_port
from tests.checklist.conftest import RULES, Watching
from tests.moves.conftest import until

ASKING = ("monitoring_configured", "no_open_alerts", "no_traffic_at_home", "keys_not_expiring")


def look(service: str, item: str) -> tuple[str, str]:
    (found,) = (one for one in results.run(service, [item]) if one.item == item)
    assert found.checked_at is not None
    return str(found.state), found.reason


@pytest.mark.parametrize("item", ASKING)
def test_without_a_prometheus_nothing_holds(item: str, settings):
    settings.PROMETHEUS_URL = ""
    assert look("documents", item)[0] == "fails"
    settings.PROMETHEUS_URL = f"http://127.0.0.1:{free_port()}"
    state, reason = look("documents", item)
    if reason.startswith("migrations_playbook/alerting/rules.yml cannot be read"):
        assert state == "fails"
    else:
        assert (state, "does not answer" in reason) == ("not_known", True)


def test_something_else_that_answers_is_no_prometheus(settings, live_url: str):
    settings.PROMETHEUS_URL = live_url
    assert look("documents", "no_open_alerts")[0] == "not_known"


def test_every_alert_loaded_and_the_services_target_up(watched: Watching):
    assert look("documents", "monitoring_configured") == ("holds", "2 alerts are loaded, 1 targets are up")
    assert "down: http://127.0.0.1" in look("contracts", "monitoring_configured")[1]
    assert "no target of workflow" in look("workflow", "monitoring_configured")[1]


def test_an_alert_that_is_not_loaded_or_a_file_that_is_not_there(watched: Watching):
    more = {"groups": [*RULES["groups"], {"name": "more", "rules": [{"alert": "Forgotten", "expr": "vector(0) > 1"}]}]}
    watched.rules.write_text(yaml.safe_dump(more))
    try:
        state, reason = look("documents", "monitoring_configured")
        assert (state, reason) == ("fails", "not loaded: Forgotten")
        watched.rules.unlink()
        state, reason = look("documents", "monitoring_configured")
        assert (state, "cannot be read" in reason) == ("fails", True)
        assert look("documents", "documentation_updated")[0] == "fails"
    finally:
        watched.rules.write_text(yaml.safe_dump(RULES))


def test_an_alert_that_cannot_be_evaluated(watched: Watching):
    sick = {"alert": "Sick", "expr": "count_values without () ('x', up) * on () group_left up"}
    watched.reload({"groups": [*RULES["groups"], {"name": "sick", "rules": [sick]}]})
    try:
        until(lambda: "not evaluated: Sick" in look("documents", "monitoring_configured")[1], 20)
    finally:
        watched.reload(RULES)


def test_what_fires_for_a_service_or_for_all(watched: Watching):
    assert look("documents", "no_open_alerts") == ("holds", "no alert fires")
    assert look("signatures", "no_open_alerts") == ("fails", "1 alerts fire: OfAnother")
    watched.reload({"groups": [{"name": "tested", "rules": [{"alert": "Everything", "expr": "vector(1)"}]}]})
    try:
        until(lambda: look("documents", "no_open_alerts") == ("fails", "1 alerts fire: Everything"), 20)
    finally:
        watched.reload(RULES)
    watched.reload({"groups": []})
    try:
        until(lambda: look("documents", "no_open_alerts")[0] == "not_known", 20)
    finally:
        watched.reload(RULES)


def test_a_day_without_a_call_at_home(watched: Watching):
    state, reason = look("documents", "no_traffic_at_home")
    assert state == "holds", reason
    state, reason = look("contracts", "no_traffic_at_home")
    assert (state, "the local service answered 1 calls" in reason) == ("fails", True), reason
    assert look("workflow", "no_traffic_at_home")[0] == "not_known"  # nobody called at all
    assert look("authentication", "no_traffic_at_home")[0] == "not_known"  # nobody counts
    # A counter that appears with its first call, an hour ago, is a call.
    state, reason = look("notifications", "no_traffic_at_home")
    assert (state, "the local service answered 1 calls" in reason) == ("fails", True), reason


def test_certificates_and_passwords_that_end(watched: Watching, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(monitoring, "QUIET_HOURS", 1)
    query = key_expiry.CERTIFICATES
    monkeypatch.setattr(
        key_expiry, "CERTIFICATES", f"last_over_time({query[len('min by (kind, subject) (') : -1]}[1h])"
    )
    assert look("documents", "keys_not_expiring")[0] == "holds"
    monkeypatch.setattr(key_expiry, "LIMIT", key_expiry.LIMIT * 4)
    state, reason = look("documents", "keys_not_expiring")
    assert (state, "authority Тест" in reason) == ("fails", True)
    monkeypatch.setattr(key_expiry, "CERTIFICATES", "absent_metric")
    assert look("documents", "keys_not_expiring")[0] == "not_known"


@pytest.fixture
def live_url() -> str:
    import os

    assert urllib3.request("GET", f"{os.environ['WEB_URL']}/healthz").status == 200
    return os.environ["WEB_URL"]
