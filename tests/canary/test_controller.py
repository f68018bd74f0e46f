"""A canary continues when its service is known to be well, is rolled back when it does harm, and does neither without data."""

import threading
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import translation

from apps.core.seam.client import call_observer
from apps.core.seam.client.call_observer import ObservedCall
from apps.extraction.routing import shares
from apps.extraction.routing.canary import controller, history
from apps.extraction.routing.canary.models import CanaryDeployment, CanaryState
from apps.extraction.routing.judge import explanation
from apps.extraction.routing.judge.measures import Rules
from tests.canary.conftest import COMMAND, ME, QUERY, SERVICE


def test_a_healthy_service_goes_from_step_to_step_and_is_promoted(rollout):
    run = rollout()
    for share, each in ((1, 50), (5, 12), (25, 4), (50, 4), (100, 4)):
        assert run.flag().percent == Decimal(share)
        run.calls(failing_local=0.001, each=each)
        assert run.look().judged_because == "time"
        run.later(400)
        assert run.look().judged_because in {"clear", "time"}, (run.read().judged_because, run.read().numbers)
    assert run.read().state == CanaryState.PROMOTED, run.read().numbers
    assert run.flag().percent == 100
    entries = run.read().entries.exclude(action="judge")[::-1]
    assert [(entry.action, entry.share) for entry in entries] == [
        ("deploy", 1),
        *(("go-on", share) for share in (5, 25, 50, 100, 100)),
    ]
    assert {entry.judged_because for entry in entries[1:]} == {"clear"}


def test_a_service_that_fails_is_taken_back_and_the_reason_has_its_numbers(rollout):
    run = rollout(steps=(5, 50, 100))
    run.calls(failing_remote=0.3)
    canary = run.look()
    assert canary.state == CanaryState.ROLLED_BACK
    assert run.flag().everyone is False
    entry = canary.entries.first()
    assert (entry.action, entry.who, entry.reason) == ("roll-back", controller.JUDGE, "errors")
    with translation.override("en"):
        text = explanation.words(entry.judged_because, entry.numbers, entry.evidence)
    assert f"{entry.numbers['canary_failing']} were on the canary's side and 0 on the local side" in text


def test_a_service_that_fails_after_a_healthy_step_is_taken_back(rollout):
    run = rollout(steps=(5, 50, 100))
    run.calls(failing_local=0.002, each=12)
    run.later(400)
    assert run.look().step == 1
    run.calls(failing_remote=0.03, failing_local=0.002)
    assert run.look().state == CanaryState.ROLLED_BACK


def test_a_slow_service_is_taken_back_and_one_slower_by_the_network_is_not(rollout):
    run = rollout(steps=(5, 100))
    run.calls(slow_remote=0.02)
    run.later(10)
    CanaryDeployment.objects.filter(id=run.canary.id).update(thresholds={"list": [0.003, 0.004]})
    run.report()
    run.calls(slow_remote=0.02)
    assert run.look().state == CanaryState.RUNNING
    run.calls(slow_remote=0.3)
    assert (run.look().state, run.read().judged_because) == (CanaryState.ROLLED_BACK, "latency")


def test_commands_that_are_refused_more_often_take_it_back(rollout):
    run = rollout(steps=(25, 100))
    remote = run.remote()
    for person in run.people:
        side = "away" if person in remote else "home"
        outcome = "conflict" if side == "away" else "ok"
        run.observer._calls.append(command_seen(person, side, outcome))
    run.report()
    assert (run.look().state, run.read().judged_because) == (CanaryState.ROLLED_BACK, "business")


def command_seen(person: str, side: str, outcome: str):
    return ObservedCall(COMMAND, person, side, side, outcome, 0.002, 1)


def test_a_caller_that_has_too_many_calls_under_way_says_nothing_about_the_service(rollout):
    run = rollout(steps=(5, 100))
    for person in run.remote():
        run.observer._calls.append(ObservedCall(QUERY, person, "away", "home", "ok", 0.002, None, "full"))
    run.report()
    canary = run.look()
    assert (canary.numbers["canary_calls"], canary.state) == (0, CanaryState.RUNNING)


def test_without_any_call_nothing_goes_on_and_a_person_is_asked(rollout):
    run = rollout(steps=(5, 100))
    run.later(400)
    assert run.look().verdict == "watching"
    assert run.read().step == 0
    run.later(2_000)
    canary = run.look()
    assert (canary.verdict, canary.judged_because, canary.state) == ("not_known", "too_little", CanaryState.AWAITING)
    controller.promote(SERVICE, ME)
    assert run.read().step == 1
    assert run.read().entries.first().who == ME.who


def test_without_reports_the_canary_is_not_known(rollout):
    run = rollout(steps=(5, 100))
    run.calls(each=12)
    run.later(400)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE extraction_callobserver IN EXCLUSIVE MODE")  # processes report each second
        cursor.execute("UPDATE extraction_callobserver SET at = at - interval '5 minutes'")
        canary = run.look()
    assert (canary.verdict, canary.judged_because, canary.step) == ("not_known", "not_observed", 0)


def test_a_canary_that_falls_silent_while_the_local_side_is_busy_is_not_known(rollout):
    run = rollout(steps=(5, 100))
    run.calls(each=12)
    remote = run.remote()
    run.people = [person for person in run.people if person not in remote]
    run.calls(each=2)
    run.later(400)
    canary = run.look()
    assert (canary.verdict, canary.judged_because) == ("not_known", "silent")
    assert canary.step == 0


def test_a_flag_changed_by_hand_makes_the_canary_not_known_and_rolls_nothing_back(rollout):
    run = rollout(steps=(5, 100))
    run.calls(each=12)
    shares.set_share(SERVICE, "remote", Decimal(30))
    run.later(400)
    canary = run.look()
    assert (canary.verdict, canary.judged_because, canary.state) == ("not_known", "flag_turned", CanaryState.RUNNING)
    assert run.flag().percent == 30


def test_people_routed_remotely_by_name_are_not_counted(rollout):
    run = rollout(steps=(5, 100))
    listed = sorted(run.remote())[:20]
    flag = run.flag()
    flag.actors = listed
    flag.save()
    run.people = listed
    run.report()
    run.calls(failing_remote=1.0)
    assert run.look().numbers["canary_units"] == 0


def test_who_was_on_the_canary_before_this_step_is_not_counted_in_it(rollout):
    run = rollout(steps=(5, 50, 100))
    run.calls(each=12)
    first = sorted(run.remote())
    run.later(400)
    assert run.look().step == 1
    run.report()
    run.people = first
    run.calls(failing_remote=1.0)
    assert run.look().numbers["canary_units"] == 0


def test_a_held_canary_stays_where_it_is_and_harm_still_takes_it_back(rollout):
    run = rollout(steps=(5, 50, 100))
    run.calls(each=12)
    controller.hold(SERVICE, ME)
    run.later(400)
    assert (run.look().verdict, run.read().step) == ("clear", 0)
    with pytest.raises(controller.CanaryRefused):
        controller.hold(SERVICE, ME)
    run.calls(failing_remote=0.5)
    assert run.look().state == CanaryState.ROLLED_BACK


def test_two_judgements_at_once_take_one_step(rollout):
    run = rollout(steps=(5, 25, 50, 100))
    run.calls(each=12)
    run.later(400)
    barrier = threading.Barrier(4)

    def look() -> None:
        try:
            barrier.wait(10)
            controller.judge_all()
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert run.read().step == 1
    assert run.read().entries.filter(action="go-on").count() == 1


def test_who_promotes_what_has_gone_on_meanwhile_promotes_nothing(rollout):
    run = rollout(steps=(5, 25, 50, 100))
    position = controller.position(run.read())
    controller.promote(SERVICE, ME, position_seen=position)
    with pytest.raises(controller.CanaryRefused, match="meanwhile"):
        controller.promote(SERVICE, ME, position_seen=position)
    assert run.read().step == 1


def test_a_flag_that_was_switched_off_is_not_turned_on_by_a_promotion(rollout):
    run = rollout(steps=(5, 25, 50, 100))
    shares.switch_off(SERVICE, "remote")
    with pytest.raises(controller.CanaryRefused, match="flag"):
        controller.promote(SERVICE, ME)
    assert run.flag().everyone is False


def test_a_canary_that_cannot_be_judged_does_not_keep_the_judge_from_another(rollout):
    run = rollout(steps=(5, 50, 100))
    run.calls(failing_remote=0.5)
    broken = CanaryDeployment.objects.create(service="datasync", rules={"steps": []}, who="tester")
    try:
        assert run.look().state == CanaryState.ROLLED_BACK
        broken.refresh_from_db()
        assert broken.judged_at is None
    finally:
        broken.delete()


def test_at_full_share_more_slow_calls_than_the_local_side_had_roll_it_back(rollout):
    run = rollout(steps=(50, 100))
    run.calls(each=4)
    CanaryDeployment.objects.filter(id=run.canary.id).update(thresholds={"list": [0.003, 0.004]})
    run.later(400)
    assert run.look().step == 1
    CanaryDeployment.objects.filter(id=run.canary.id).update(thresholds={"list": [0.003, 0.004]})
    run.report()
    run.calls(slow_remote=0.4, each=1)
    assert (run.look().state, run.read().judged_because) == (CanaryState.ROLLED_BACK, "latency")


def test_there_is_one_canary_of_a_service_at_a_time(rollout):
    run = rollout()
    with pytest.raises(controller.CanaryRefused, match="already"):
        controller.deploy(SERVICE, Rules(), ME)
    controller.roll_back(SERVICE, ME)
    assert run.read().ended_at is not None
    with pytest.raises(controller.CanaryRefused):
        controller.roll_back(SERVICE, ME)


def test_without_a_running_process_nothing_is_deployed():
    with pytest.raises(controller.CanaryRefused, match="does not answer"):
        controller.deploy("signatures", Rules(), ME)
    assert not CanaryDeployment.objects.filter(service="signatures").exists()


def test_while_people_are_routed_remotely_nothing_is_deployed(apart):
    shares.set_share(SERVICE, "remote", Decimal(10))
    try:
        with pytest.raises(controller.CanaryRefused, match="already"):
            controller.deploy(SERVICE, Rules(), ME)
    finally:
        shares.set_share(SERVICE, "remote", Decimal(0))


def test_shadowing_is_as_before_when_the_canary_has_ended(rollout):
    shares.set_share(SERVICE, "shadow", Decimal(3))
    rollout(shadow_percent=20)
    assert shares.flag(SERVICE, "shadow").percent == 20
    controller.roll_back(SERVICE, ME)
    assert shares.flag(SERVICE, "shadow").percent == 3


def test_both_sides_have_their_curve(rollout):
    run = rollout(steps=(25, 100))
    run.calls(failing_remote=0.01, each=3)
    points = history.curve(run.canary.id)
    assert {point.is_remote for point in points} == {True, False}
    assert sum(point.calls for point in points) == 3 * len(run.people)
    assert all(point.median is not None and 0.001 < point.median < 0.01 for point in points)
    assert sum(point.errors for point in points if not point.is_remote) == 0


def test_an_observer_that_fails_fails_no_call(monkeypatch):
    observed = []

    def fails(call: ObservedCall) -> None:
        observed.append(call)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(call_observer, "_take", fails)
    call_observer.offer(command_seen("a person", "away", "ok"))
    assert len(observed) == 1


def test_rules_that_make_no_sense_are_refused():
    for wrong in ({"steps": (5, 1)}, {"steps": ()}, {"steps": (50, 101)}, {"false_rollback": 0}, {"step_seconds": 0}):
        with pytest.raises(ValueError):
            Rules(**wrong)
