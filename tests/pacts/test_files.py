"""The committed pacts are those of the code as it is, complete, and nobody's data is in them."""

import json
import re
from difflib import unified_diff

import pytest

from landcontracts.blueprint import calls
from landcontracts.topology import SERVICES
from tests.pacts import files

CONSUMERS = ("portal", *SERVICES)
ASKED = sorted(
    {
        (consumer, provider, operation)
        for consumer in CONSUMERS
        for provider, operation in calls(consumer)
        if provider != consumer and provider in SERVICES
    }
)
HEARD = sorted(
    {(event.partition(".")[0], service, event) for service, entry in SERVICES.items() for event in entry.consumes}
)


def interactions() -> list[tuple[str, str, dict]]:
    """Every interaction of every committed pact, with its two sides."""
    pacts = [json.loads(text) for text in files.committed().values()]
    return [
        (pact["consumer"]["name"], pact["provider"]["name"], item) for pact in pacts for item in pact["interactions"]
    ]


@pytest.mark.parametrize("name", sorted({f"{consumer}-{provider}.json" for consumer, provider, _ in (*ASKED, *HEARD)}))
def test_a_pact_is_what_its_consumer_really_asks(made: dict[str, str], name: str):
    before, now = files.committed().get(name, ""), made.get(name, "")
    changed = "".join(list(unified_diff(before.splitlines(True), now.splitlines(True), "committed", "now", n=2))[:60])
    assert before == now, f"{name} is stale: run `make pacts`, and read what changed\n{changed}"


def test_there_are_no_other_files(made: dict[str, str]):
    assert files.committed().keys() == made.keys(), "run `make pacts`"


def test_every_call_of_one_service_to_another_is_in_a_pact():
    covered = {
        (consumer, provider, item["request"]["path"].rpartition("/")[2]) for consumer, provider, item in interactions()
    }
    missing = [edge for edge in ASKED if edge not in covered]
    assert not missing, f"no pact has {missing}: play them in tests/pacts/uses.py and run `make pacts`"


def test_every_event_that_a_service_hears_is_in_a_pact():
    bodies = [(*sides, item["request"]["body"]["content"]["arguments"]) for *sides, item in interactions()]
    covered = {(*sides, body["event"]["type"]) for *sides, body in bodies if "event" in body}
    missing = [edge for edge in HEARD if edge not in covered]
    assert not missing, f"no pact has {missing}: play them in tests/pacts/uses.py and run `make pacts`"


def test_the_files_hold_no_secret_and_nobodys_address():
    everything = "".join(files.committed().values())
    assert not re.findall(r"X-Amz|BEGIN |eyJ[A-Za-z0-9_-]{10}|correct-horse", everything)
    assert {address.partition("@")[2] for address in re.findall(r"[\w.+-]+@[\w.-]+", everything)} == {"example.org"}
