"""The journeys of the public API once more, through Envoy."""

import inspect
from types import ModuleType

import pytest

from tests.gateway.envoys import Gateway
from tests.journeys import test_rest, test_sale

# These test paths that are not public, or this process, with no gateway in between.
NOT_PUBLIC = {"test_health_readiness_metrics_and_docs", "test_a_request_keeps_its_identity"}
NO_REQUEST = {
    "test_the_schema_is_valid_without_a_warning",
    "test_a_token_that_was_used_before_still_expires",
    "test_contract_numbers_go_on_beyond_six_digits",
}


def journeys(module: ModuleType) -> dict[str, object]:
    """Tests and fixtures of a module, but for those named above."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", module.__name__) == module.__name__
        and (name.startswith("test_") or not inspect.isfunction(thing))
        and not name.startswith("_")
        and name not in NOT_PUBLIC | NO_REQUEST
    }


globals().update(journeys(test_rest) | journeys(test_sale))


@pytest.fixture(autouse=True)
def through_the_gateway(through: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WEB_URL", through.url)


def test_excluded_tests_exist():
    assert set(vars(test_rest)) >= NOT_PUBLIC | NO_REQUEST


def test_a_journey_does_go_through_the_gateway(through: Gateway, person):
    """`person` is this module's own, registered through the gateway."""
    assert person.url == through.url
    assert person.get("auth/me") == person.user
