"""Every provider keeps its consumers' pacts: in the monolith, and lifted out. A broken pact is detected."""

import json
import os
from pathlib import Path

import pytest

from tests.pacts import files
from tests.pacts.conftest import PROVIDERS, Lifted
from tests.pacts.servers import States
from tests.pacts.verifier import verify


def pacts_of(provider: str) -> list[Path]:
    return sorted(files.FOLDER.glob(f"*-{provider}.json"))


def expected(provider: str) -> int:
    return sum(len(json.loads(file.read_text())["interactions"]) for file in pacts_of(provider))


# The processes start while the monolith is verified, so that later tests do not wait for them.
@pytest.mark.usefixtures("lifted")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_monolith_keeps_the_pacts(states: States, provider: str):
    finding = verify(provider, os.environ["WEB_URL"], pacts_of(provider), states)
    assert finding == (expected(provider), [])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_lifted_out_service_keeps_the_pacts(states: States, lifted: Lifted, provider: str):
    finding = verify(provider, lifted.address(provider), pacts_of(provider), states)
    assert finding == (expected(provider), []), lifted.log(provider)


def one_more_field(interaction: dict) -> None:
    interaction["response"]["body"]["content"][0]["shoe_size"] = 42


def another_type(interaction: dict) -> None:
    interaction["response"]["matchingRules"]["body"]["$[*].user_id"]["matchers"] = [{"match": "integer"}]


def another_value(interaction: dict) -> None:
    interaction["response"]["matchingRules"]["body"]["$[*].role"]["matchers"] = [{"match": "regex", "regex": "^heir$"}]


def another_status(interaction: dict) -> None:
    interaction["response"]["status"] = 404


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (one_more_field, "shoe_size"),
        (another_type, "integer"),
        (another_value, "heir"),
        (another_status, "404"),
    ],
)
def test_a_provider_that_breaks_a_pact_is_refused(states: States, tmp_path: Path, change, reported: str):
    pact = json.loads((files.FOLDER / "workflow-contracts.json").read_text())
    (broken,) = [item for item in pact["interactions"] if item["description"] == "participants"]
    change(broken)
    file = tmp_path / "workflow-contracts.json"
    file.write_text(json.dumps(pact))
    finding = verify("contracts", os.environ["WEB_URL"], [file], states)
    assert finding.verified == len(pact["interactions"]) - 1
    (words,) = finding.broken
    assert "participants" in words
    assert reported in words
