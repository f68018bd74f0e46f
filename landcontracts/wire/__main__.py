"""`python -m landcontracts.wire`: writes the current documents, checks them, or stores them as a release's contract."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from landcontracts.blueprint import BASE
from landcontracts.wire import sources
from landcontracts.wire.compare import breaches
from landcontracts.wire.generate import Document, documents

FOLDER = BASE / "docs" / "wire"
RELEASED = "released"
ADVICE = """

Builds of the last release run beside this one, so this change cannot be released in one step. Expand: add the new form
beside the old one; give the old one a default and mark it deprecated. Release. Change the callers. Contract: remove the
old form in the release after that.
See docs/adr/0011-compatibility-on-the-wire.md."""


def load(folder: Path) -> dict[str, Document]:
    """The documents in a folder, by service."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def save(folder: Path, current: dict[str, Document]) -> None:
    """Write documents into a folder, and remove those of services that no longer exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.json"):
        if file.stem not in current:
            file.unlink()
    for service, document in current.items():
        (folder / f"{service}.json").write_text(text(document))


def text(document: Document) -> str:
    """A document as committed: the same for the same contract, in any order of declaration."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def stale(folder: Path, current: dict[str, Document]) -> Iterator[str]:
    """The committed documents that differ from the present interfaces."""
    committed = {file.stem: file.read_text() for file in folder.glob("*.json")}
    expected = {service: text(document) for service, document in current.items()}
    for service in sorted(committed.keys() | expected.keys()):
        if committed.get(service) != expected.get(service):
            yield f"docs/wire/{service}.json is stale: run `make wire`"


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Write, check or release; returns the exit status."""
    parser = argparse.ArgumentParser(prog="landcontracts.wire")
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--write", action="store_true", help="write the current documents (the default)")
    actions.add_argument("--check", action="store_true", help="fail when they are stale or break the released contract")
    actions.add_argument(
        "--release", action="store_true", help="store the current contract as that of the last release"
    )
    parser.add_argument("--breaking", action="store_true", help="allow breaking changes: no older build runs any more")
    chosen = parser.parse_args(arguments)
    current = documents()
    if chosen.check or chosen.release:
        faults = [*sources.unlisted(current), *stale(folder, current)] if chosen.check else []
        broken = [] if chosen.breaking else [str(breach) for breach in breaches(load(folder / RELEASED), current)]
        if faults or broken:
            print("\n".join([*faults, *broken]) + (ADVICE if broken else ""), file=sys.stderr)
            return 1
    if chosen.release:
        save(folder / RELEASED, current)
    if not chosen.check:
        save(folder, current)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
