"""A lifted-out service to deploy a canary to, an observer of this test's own, and many people."""

import random
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models import F

from apps.core import topology
from apps.core.flags import snapshot
from apps.core.flags.models import Flag
from apps.core.seam.client.call_observer import ObservedCall
from apps.extraction.routing import shares
from apps.extraction.routing.canary import controller
from apps.extraction.routing.canary.models import CallObserver, CanaryDeployment
from apps.extraction.routing.canary.observer import Observer
from apps.extraction.routing.judge.measures import Rules
from apps.extraction.state.initiator import Initiator
from tests.seam.servers import lifted

SERVICE = "notifications"
# The same people each time: how many of them a share covers is chance.
SEED = 3
ME = Initiator("tester", "test", "to see")
QUERY = topology.key_of(SERVICE).operations["list"]
COMMAND = topology.key_of(SERVICE).operations["mark_all_read"]


@pytest.fixture(scope="module")
def apart() -> Iterator[str]:
    with lifted(SERVICE, "--no-worker") as (url, _):
        yield url


class Rollout:
    """A canary with an observer that is given calls one by one, without waiting for anything."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.canary = controller.deploy(SERVICE, rules, ME)
        self.observer = Observer()
        self.observer._ensure_thread = lambda: None  # this test reports itself
        chance = random.Random(SEED)
        self.people = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(1_500)]
        self.report()

    def report(self) -> None:
        snapshot.forget()
        self.observer._calls_reported_at = 0
        self.observer.work()

    def remote(self) -> set[str]:
        """The people whom the canary's share routes remotely."""
        share = self.rules.steps[self.read().step]
        return {person for person in self.people if snapshot.bucket(f"{SERVICE}_remote", person) / 100 < share}

    def calls(
        self, *, failing_remote=0.0, failing_local=0.0, slow_remote=0.0, operation=QUERY, each=2, outcome="ok"
    ) -> None:
        """Each person calls once; shares of people fail or are slow, the same people every time."""
        self.report()  # so that this step is known, as it is within half a second
        remote = self.remote()
        for number, person in enumerate(self.people):
            is_remote = person in remote
            fails = (number % 1000) / 1000 < (failing_remote if is_remote else failing_local)
            side = "away" if is_remote else "home"
            seconds = 0.002 + (slow_remote if is_remote else 0.0)
            for _ in range(each):
                answered = "home" if fails and is_remote else side
                ending = "fault" if fails and not is_remote else outcome
                self.observer._calls.append(ObservedCall(operation, person, side, answered, ending, seconds, None))
            if len(self.observer._calls) > 10_000:
                self.observer._count()
        self.report()

    def look(self) -> CanaryDeployment:
        controller.judge_all()
        return self.read()

    def later(self, seconds: float) -> None:
        """Shift the begin of the step into the past."""
        past = {name: F(name) - timedelta(seconds=seconds) for name in ("step_started_at", "not_known_since")}
        CanaryDeployment.objects.filter(id=self.canary.id).update(**past)

    def read(self) -> CanaryDeployment:
        return CanaryDeployment.objects.get(id=self.canary.id)

    def flag(self):
        return shares.flag(SERVICE, "remote")


@pytest.fixture
def rollout(apart: str) -> Iterator[type[Rollout]]:
    """Makes rollouts, and ends those left open."""
    CallObserver.objects.all().delete()
    yield lambda **rules: Rollout(Rules(**{"shadow_percent": 0, **rules}))
    CanaryDeployment.objects.filter(service=SERVICE).delete()
    Flag.objects.filter(name__startswith=f"{SERVICE}_").update(actors=[])
    shares.switch_off(SERVICE, "remote")
    shares.set_share(SERVICE, "shadow", 0)
    snapshot.forget()
    snapshot.current()  # this process has read the flags anew
