"""`python -m landcontracts.wire`: write the current documents, check them, or keep them as the contract of a release."""

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

Builds of the last release run beside this one, so this cannot go out at once. Expand: add the new beside the old; give what is
to go a default and call it deprecated. Release. Move the callers. Contract: remove the old in the release after that.
See docs/adr/0011-compatibility-on-the-wire.md."""


def load(folder: Path) -> dict[str, Document]:
    """The documents in a folder, by service."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def save(folder: Path, made: dict[str, Document]) -> None:
    """Write documents into a folder, and remove those of services that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.json"):
        if file.stem not in made:
            file.unlink()
    for service, document in made.items():
        (folder / f"{service}.json").write_text(text(document))


def text(document: Document) -> str:
    """A document as it is committed: the same for the same contract, in whatever order it was declared."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def stale(folder: Path, made: dict[str, Document]) -> Iterator[str]:
    """Which committed documents are not what the interfaces say now."""
    there = {file.stem: file.read_text() for file in folder.glob("*.json")}
    wanted = {service: text(document) for service, document in made.items()}
    for service in sorted(there.keys() | wanted.keys()):
        if there.get(service) != wanted.get(service):
            yield f"docs/wire/{service}.json is stale: run `make wire`"


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Write, check or release; the exit status."""
    parser = argparse.ArgumentParser(prog="landcontracts.wire")
    verbs = parser.add_mutually_exclusive_group()
    verbs.add_argument("--write", action="store_true", help="write the current documents (the default)")
    verbs.add_argument("--check", action="store_true", help="fail when they are stale or break the released contract")
    verbs.add_argument("--release", action="store_true", help="keep the current contract as that of the last release")
    parser.add_argument("--breaking", action="store_true", help="release what breaks older builds: none runs any more")
    chosen = parser.parse_args(arguments)
    made = documents()
    if chosen.check or chosen.release:
        faults = [*sources.unlisted(made), *stale(folder, made)] if chosen.check else []
        broken = [] if chosen.breaking else [str(breach) for breach in breaches(load(folder / RELEASED), made)]
        if faults or broken:
            print("\n".join([*faults, *broken]) + (ADVICE if broken else ""), file=sys.stderr)
            return 1
    if chosen.release:
        save(folder / RELEASED, made)
    if not chosen.check:
        save(folder, made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
