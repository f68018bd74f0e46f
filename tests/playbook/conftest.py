from collections.abc import Iterator

import pytest

from tests.playbook.busy_stack import BusyStack


@pytest.fixture(scope="module")
def busy_stack() -> Iterator[BusyStack]:
    with BusyStack("playbook") as stack:
        yield stack
