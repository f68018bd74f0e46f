"""The cases of `make drill-canary`: how each lifted-out service is broken, the rules of its canary, and the expected outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.drills import canary_proxy as broken
from tests.drills.canary_proxy import Fault
from tests.drills.canary_rollout import Rollout

PROMOTED, ROLLED_BACK, NOT_KNOWN, AWAITING = "promoted", "rolled_back", "not_known", "awaiting"
# Steps of seconds instead of minutes: what is tolerated unseen fits the few calls of so short a step.
SHORT: dict[str, Any] = {
    "steps": (5, 25, 50, 100),
    "step_seconds": 6,
    "tolerated_errors": 0.2,
    "shadow_percent": 50,
}
GROSS_SECONDS = 60.0
# What the drill itself may take to turn the flag in every process, and for a call that is under way to end.
LAST_AWAY_SECONDS = 2.0


class Case(NamedTuple):
    """One rollout. `play` returns when it is over or has lasted long enough; `within` bounds the way from fault to rollback."""

    name: str
    expected: str
    play: Callable[[Rollout], None]
    rules: dict[str, Any] = {}
    seconds: float = 90.0
    within: float = 0.0


def healthy(run: Rollout) -> None:
    """Nothing is broken."""
    run.until_over()


def platform_busy(run: Rollout) -> None:
    """Two programs that only compute slow the platform and the canary alike."""
    with run.pressed():
        run.until_over()


def fault(kind: str, **how: float) -> Callable[[Rollout], None]:
    """Broken in one way from the beginning."""

    def play(run: Rollout) -> None:
        run.break_with(Fault(kind, **how))
        run.until_over()

    return play


def dying(run: Rollout) -> None:
    """Kill -9 while it answers."""
    run.until_used()
    run.kill_lifted()
    run.until_over()


def later(run: Rollout) -> None:
    """A healthy step first."""
    run.until_step(1)
    run.break_with(Fault(broken.ERROR, share=0.3))
    run.until_over()


def judge_stopped(run: Rollout) -> None:
    """The judge is stopped for two steps: the canary stays, `judged_at` ages; then it continues."""
    run.until_used()
    run.until_judged()
    seconds = 2.5 * run.rules.step_seconds
    with run.without_judge():
        before = run.read()
        time.sleep(seconds)
        after, age = run.read(), run.judged_age()
    run.expect(
        after.step == before.step and after.state == before.state, f"step {before.step} -> {after.step} unjudged"
    )
    run.expect(age >= seconds, f"judged_at is {age:.1f} s old after {seconds:.1f} s without a judge")
    run.facts["judged_age_seconds"] = round(age, 1)
    run.until_over()


def no_metric(run: Rollout) -> None:
    """The observers of calls cannot report them, while requests go on."""
    run.until_used()
    with run.without_reports():
        run.until_state(NOT_KNOWN)
        step = run.read().step
        time.sleep(1.0 * run.rules.step_seconds)
        run.settle_outcome()
        run.expect(run.read().step == step, "went on without a metric")


def no_traffic(run: Rollout) -> None:
    """The requests end a moment after it began."""
    run.until_used()
    run.load.pause()
    run.until_over()
    run.expect(run.read().step == 0, "went on without calls")


def little_traffic(run: Rollout) -> None:
    """A request each five seconds."""
    run.load.pace(0.2)
    run.until_over()
    run.expect(run.read().step == 0, "went on with next to no calls")


def by_hand(run: Rollout) -> None:
    """An administrator holds it, promotes it, and rolls it back, by `manage.py extraction`."""
    run.until_used()
    run.manage("hold")
    step = run.read().step
    run.until(lambda: run.read().verdict == "clear", "the judge's clear verdict")
    time.sleep(3)
    run.expect((run.read().state, run.read().step) == ("held", step), "a held canary moved")
    run.manage("promote")
    run.expect(run.read().step == step + 1, "promote did not go on")
    run.break_begins()
    run.manage("roll-back")
    run.until_over()
    run.expect(run.last_action() == ("roll-back", "drill by hand"), f"the last action is {run.last_action()}")


def web_restarted(run: Rollout) -> None:
    """The web server restarts while a quarter of people are served remotely: each stays on the same side."""
    run.until_step(1)
    run.manage("hold")
    before = run.sides_for(8)
    run.restart_web()
    after = run.sides_for(8)
    both = before.keys() & after.keys()
    moved = [person for person in both if before[person] != after[person]]
    remote = sum(1 for person in both if before[person] == {True})
    run.expect(len(both) >= run.people / 4, f"only {len(both)} people were seen before and after")
    run.expect(not moved, f"{len(moved)} of {len(both)} people changed sides")
    run.expect(remote > 0, "no person was served remotely")
    run.facts |= {"people_before_and_after": len(both), "of_them_away": remote, "changed_sides": len(moved)}
    run.manage("resume")
    run.until_over()


CASES = (
    Case("healthy", PROMOTED, healthy),
    Case("errors-5", ROLLED_BACK, fault(broken.ERROR, share=0.05), {"step_seconds": 60}, within=GROSS_SECONDS),
    Case("errors-1", ROLLED_BACK, fault(broken.ERROR, share=0.01), {"step_seconds": 30}, seconds=240),
    Case("errors-all", ROLLED_BACK, fault(broken.ERROR), {"step_seconds": 60}, within=GROSS_SECONDS),
    # A service is slow in comparison with the platform, whose speed depends on the machine: no bound on the time.
    Case("slow", ROLLED_BACK, fault(broken.SLOW, seconds=0.2), {"step_seconds": 60}, seconds=150),
    Case("slow-tail", ROLLED_BACK, fault(broken.SLOW, share=0.05, seconds=0.5), {"step_seconds": 25}, seconds=150),
    Case("wrong-answers", ROLLED_BACK, fault(broken.WRONG), {"step_seconds": 60}, within=GROSS_SECONDS),
    Case("hanging", ROLLED_BACK, fault(broken.HANG), {"step_seconds": 60}, within=GROSS_SECONDS),
    Case(
        "flapping",
        ROLLED_BACK,
        fault(broken.ERROR, after_seconds=5, on_seconds=10, every_seconds=30),
        {"step_seconds": 60},
    ),
    Case("dying", ROLLED_BACK, dying, {"step_seconds": 60}, within=GROSS_SECONDS),
    Case("lost-business", ROLLED_BACK, fault(broken.REFUSED, share=0.5), {"step_seconds": 90}, seconds=120),
    Case("from-25", ROLLED_BACK, later, within=GROSS_SECONDS),
    Case("judge-stopped", PROMOTED, judge_stopped, {"steps": (25, 100)}),
    Case("no-metric", NOT_KNOWN, no_metric, {"steps": (25, 100), "step_seconds": 12, "silent_seconds": 5}),
    Case("no-traffic", AWAITING, no_traffic, {"patience_seconds": 15}),
    Case("little-traffic", AWAITING, little_traffic, {"patience_seconds": 15}),
    Case("by-hand", ROLLED_BACK, by_hand, {"step_seconds": 20}),
    Case("web-restarted", PROMOTED, web_restarted, {"steps": (5, 25, 100)}),
    Case("healthy-home-busy", PROMOTED, platform_busy, seconds=150),
    Case("healthy-longer", PROMOTED, healthy, {"step_seconds": 20, "tolerated_errors": 0.1}, seconds=240),
)
# What CI runs: the same code with a larger first share, so that seconds are enough.
_QUICK = {"steps": (25, 50, 100), "step_seconds": 2, "tolerated_errors": 0.25, "least_compared": 3}
LIGHT = (
    Case("healthy", PROMOTED, healthy, _QUICK),
    Case(
        "errors-20", ROLLED_BACK, fault(broken.ERROR, share=0.2), {**_QUICK, "step_seconds": 60}, within=GROSS_SECONDS
    ),
    Case("hanging", ROLLED_BACK, fault(broken.HANG), {**_QUICK, "step_seconds": 60}, within=GROSS_SECONDS),
    Case("judge-stopped", PROMOTED, judge_stopped, {**_QUICK, "steps": (50, 100)}),
)
