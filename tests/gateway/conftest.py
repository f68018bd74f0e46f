import os

import pytest

from tests.gateway.envoys import running
from tests.journeys.people import Person

# WEB_URL is the gateway's where a journey runs through it.
os.environ.setdefault("STACK_URL", os.environ.get("WEB_URL", ""))


@pytest.fixture(scope="session")
def through():
    with running() as gateway:
        yield gateway


@pytest.fixture(scope="session")
def person() -> Person:
    return Person()


@pytest.fixture(scope="session")
def direct() -> str:
    return os.environ["STACK_URL"]
