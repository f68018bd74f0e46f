from collections.abc import Iterator

import pytest

from tests.playbook.town import Town


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with Town("playbook") as made:
        yield made
