import pytest

from tests.gateway.envoys import STACK, running
from tests.journeys.people import Person


@pytest.fixture(scope="session")
def through():
    with running() as gateway:
        yield gateway


@pytest.fixture(scope="session")
def person() -> Person:
    return Person()


@pytest.fixture(scope="session")
def direct() -> str:
    return STACK
