"""The committed pacts are current, complete, and contain no personal data."""

import json
import re
from difflib import unified_diff

import pytest

from landcontracts.blueprint import calls
from landcontracts.topology import SERVICES
from tests.pacts import files

CONSUMERS = ("portal", *SERVICES)
CALLED = sorted(
    {
        (consumer, provider, operation)
        for consumer in CONSUMERS
        for provider, operation in calls(consumer)
        if provider != consumer and provider in SERVICES
    }
)
CONSUMED = sorted(
    {(event.partition(".")[0], service, event) for service, entry in SERVICES.items() for event in entry.consumes}
)


def interactions() -> list[tuple[str, str, dict]]:
    """Every interaction of every committed pact, with its two sides."""
    pacts = [json.loads(text) for text in files.committed().values()]
    return [
        (pact["consumer"]["name"], pact["provider"]["name"], item) for pact in pacts for item in pact["interactions"]
    ]


@pytest.mark.parametrize(
    "name", sorted({f"{consumer}-{provider}.json" for consumer, provider, _ in (*CALLED, *CONSUMED)})
)
def test_a_pact_is_what_its_consumer_really_requests(generated: dict[str, str], name: str):
    before, now = files.committed().get(name, ""), generated.get(name, "")
    changed = "".join(list(unified_diff(before.splitlines(True), now.splitlines(True), "committed", "now", n=2))[:60])
    assert before == now, f"{name} is stale: run `make pacts`, and review the changes\n{changed}"


def test_there_are_no_other_files(generated: dict[str, str]):
    assert files.committed().keys() == generated.keys(), "run `make pacts`"


def test_every_call_of_one_service_to_another_is_in_a_pact():
    covered = {
        (consumer, provider, item["request"]["path"].rpartition("/")[2]) for consumer, provider, item in interactions()
    }
    missing = [edge for edge in CALLED if edge not in covered]
    assert not missing, f"no pact has {missing}: play them in tests/pacts/uses.py and run `make pacts`"


def test_every_event_that_a_service_consumes_is_in_a_pact():
    bodies = [(*sides, item["request"]["body"]["content"]["arguments"]) for *sides, item in interactions()]
    covered = {(*sides, body["event"]["type"]) for *sides, body in bodies if "event" in body}
    missing = [edge for edge in CONSUMED if edge not in covered]
    assert not missing, f"no pact has {missing}: play them in tests/pacts/uses.py and run `make pacts`"


def test_the_files_hold_no_secret_and_no_personal_address():
    everything = "".join(files.committed().values())
    assert not re.findall(r"X-Amz|BEGIN |eyJ[A-Za-z0-9_-]{10}|correct-horse", everything)
    assert {address.partition("@")[2] for address in re.findall(r"[\w.+-]+@[\w.-]+", everything)} == {"example.org"}
