"""A folder of backups for these tests, and data to back up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.backups import take
from apps.backups.repository import Backup
from apps.core.seam.client import registry
from apps.extraction.state import stages
from tests.world import World, pdf


@pytest.fixture(scope="module")
def stored(database: None) -> Iterator[World]:
    """A sale with two documents, one of them twice the same bytes."""
    world = World("in_process")
    with registry.routed_by(world.resolve):
        seller, buyer = world.person(), world.person()
        contract = world.contract(seller, buyer)
        for words in ("one", "two", "one"):
            world.document(seller, contract, pdf(words))
        yield world


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the backups."""
    return tmp_path_factory.mktemp("backups")


@pytest.fixture(scope="module")
def backup(root: Path, stored: World) -> Backup:
    """A whole backup."""
    return take.take(root, stages=stages.by_service())
