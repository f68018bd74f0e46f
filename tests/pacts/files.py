"""The pact files: one per consumer and provider, generated from recorded use, deterministically.

Chooses one recording of each kind and writes it with pact-python. Examples and rules are in `examples.py` and `shapes.py`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pact

from apps.core.interface.errors import fields_type
from apps.core.interface.operations import Kind
from tests.pacts.examples import Names, NotReplayable, Request
from tests.pacts.recorder import Recorder, Recording
from tests.pacts.sale import STEPS
from tests.pacts.servers import caller_of
from tests.pacts.shapes import Shape

FOLDER = Path(__file__).parent / "files"
JSON = "application/json"
ORDER = {state: index for index, state in enumerate(STEPS)}


def generate(recorder: Recorder) -> dict[str, str]:
    """The text of every pact file, by its name."""
    chosen = sorted(_chosen(recorder), key=lambda entry: _pair(entry[0]))
    with tempfile.TemporaryDirectory() as folder:
        for (consumer, provider), entries in groupby(chosen, key=lambda entry: _pair(entry[0])):
            document = pact.Pact(consumer, provider)
            for recording, names, request in entries:
                _add(document, recording, names, request)
            document.write_file(folder)
        return {file.name: _normalised(json.loads(file.read_text())) for file in sorted(Path(folder).iterdir())}


def committed() -> dict[str, str]:
    """The text of every committed file, by its name."""
    return {file.name: file.read_text() for file in sorted(FOLDER.glob("*.json"))}


def write(files: dict[str, str]) -> None:
    """Replace the committed files."""
    FOLDER.mkdir(exist_ok=True)
    for name in committed().keys() - files.keys():
        (FOLDER / name).unlink()
    for name, text in files.items():
        (FOLDER / name).write_text(text)


def description(recording: Recording) -> str:
    """The interaction's name: recordings of one pair of services with the same name are the same interaction."""
    words = recording.operation.name
    if recording.event:
        words += f" {recording.event}"
    return words if recording.outcome == "result" else f"{words}: {recording.outcome}"


def _pair(recording: Recording) -> tuple[str, str]:
    return recording.consumer, recording.operation.service


def _chosen(recorder: Recorder) -> Iterator[tuple[Recording, Names, Request]]:
    """Of each interaction the recording in the earliest reproducible state."""
    chosen: set[tuple[str, ...]] = set()
    replayable = (recording for recording in recorder.recordings if recording.state in ORDER)
    for recording in sorted(replayable, key=lambda recording: ORDER[recording.state]):
        key = (*_pair(recording), description(recording))
        if key in chosen:
            continue
        names = Names(recording.sale.values, recorder.names_in(recording.state))
        try:
            request = Request(recording, names)
        except NotReplayable:
            continue
        chosen.add(key)
        yield recording, names, request


def _add(document: pact.Pact, recording: Recording, names: Names, request: Request) -> None:
    operation, shape = recording.operation, Shape(names)
    generators = {
        path: {"type": "ProviderState", "expression": f"${{{name}}}"} for path, name in request.placeholders.items()
    }
    # Queries share a sale; a command gets one of its own.
    fresh = operation.kind is Kind.COMMAND
    interaction = document.upon_receiving(description(recording)).given(recording.state, {"fresh": fresh})
    interaction.with_request("POST", operation.path).with_header("X-Seam-Caller", caller_of(recording.consumer))
    interaction.with_body(json.dumps(request.body), JSON).with_generators({"body": generators})
    expected = _refused(recording, shape) if recording.refusal else shape.of(operation.result_type, recording.answer)
    interaction.will_respond_with(recording.status)
    interaction.with_body(json.dumps(expected), JSON).with_matching_rules({"body": shape.rules})


def _refused(recording: Recording, shape: Shape) -> dict[str, Any]:
    """A refusal's code is expected literally; its fields by type."""
    answer = recording.answer
    fields = shape.of(fields_type(recording.refusal), answer["fields"])
    shape.rules = {path.replace("$", "$.fields", 1): rule for path, rule in shape.rules.items()}
    return {"code": answer["code"], "category": answer["category"], "fields": fields}


def _normalised(document: dict[str, Any]) -> str:
    """The file's text, without the library's version, which does not concern the two services."""
    document["metadata"] = {"pactSpecification": document["metadata"]["pactSpecification"]}
    document["interactions"].sort(key=lambda interaction: interaction["description"])
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
