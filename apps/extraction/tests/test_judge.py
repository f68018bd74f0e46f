"""The judge: its bets are fair games, its rulings come in order, and every reason has a sentence."""

import itertools
import math

import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.extraction.routing.judge import evidence
from apps.extraction.routing.judge.evidence import LESS, MORE, SLOWER, Firsts, above, capital, highest, otherwise_split
from apps.extraction.routing.judge.explanation import SENTENCES, words
from apps.extraction.routing.judge.measures import ALONE_PART, BETS, MISMATCHES_PART, Event, Measure, Rules
from apps.extraction.routing.judge.ruling import Calls, Observation, Reason, Verdict, rule, weigh

SHARES = [0.01, 0.05, 0.25, 0.5, 0.9]
RULES = Rules(steps=(5, 50, 100))
SOUND = Observation(
    step=0,
    seconds=600.0,
    firsts={},
    canary=Calls(5_000, 5),
    local=Calls(95_000, 95),
    canary_units=20,
    local_units=380,
    failing_units=3,
    local_failing_units=57,
    compared=100,
    mismatched=0,
    is_shadowed=True,
    observed_ago=0.5,
    missed=0.0,
    is_flag_ours=True,
)
counts = st.integers(0, 10**7)
shares = st.floats(1e-6, 1 - 1e-6)


def errors(canary, local, share=0.05):
    return {Event.ERROR: [Firsts(share, canary, local)]}


# The mathematics


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("multiples", [MORE, SLOWER, LESS])
def test_a_bet_on_one_unit_is_a_fair_game(share, multiples):
    won, lost = capital([Firsts(share, 1, 0)], multiples), capital([Firsts(share, 0, 1)], multiples)
    assert share * won + (1 - share) * lost == pytest.approx(1.0, abs=1e-12)


def test_nothing_is_bet_twice():
    assert sum(part for _, part in MORE) == pytest.approx(1)
    assert sum(part for _, part in LESS) == pytest.approx(1)
    assert sum(part for _, part in SLOWER) == pytest.approx(1)
    assert sum(bet.part for bet in BETS) + MISMATCHES_PART + 2 * ALONE_PART <= 1 + 1e-12
    assert capital([], MORE) == 1.0
    assert capital([Firsts(0.05, 0, 0)] * 50, MORE) == pytest.approx(1)


def tree(share, per_period, periods, multiples):
    """Every sequence of sides that units may draw: its probability, and the capital after each unit."""
    for falls in itertools.product((True, False), repeat=per_period * periods):
        chance = math.prod(share if canary else 1 - share for canary in falls)
        path = []
        for length in range(1, len(falls) + 1):
            chunks = [falls[at : min(at + per_period, length)] for at in range(0, length, per_period)]
            path.append(capital([Firsts(share, sum(some), len(some) - sum(some)) for some in chunks], multiples))
        yield chance, path


@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize("multiples", [MORE, SLOWER, LESS])
@pytest.mark.parametrize("shape", [(1, 8), (2, 4), (8, 1)])
def test_the_capital_is_fair_over_every_way_units_may_fall_however_periods_cut_them(share, multiples, shape):
    ways = list(tree(share, *shape, multiples))
    for moment in range(8):
        assert sum(chance * path[moment] for chance, path in ways) == pytest.approx(1, abs=1e-9)
    for bound in (2, 5, 20, 100):
        assert sum(chance for chance, path in ways if max(path) >= bound) <= 1 / bound


def test_a_bet_at_other_odds_than_the_draw_is_seen_to_be_unfair():
    won, lost = capital([Firsts(0.05, 1, 0)], MORE), capital([Firsts(0.05, 0, 1)], MORE)
    assert 0.3 * won + 0.7 * lost > 2


def test_a_later_step_is_fair_for_people_served_locally_until_then():
    # Of 100 places 5 were the canary's; of the other 95 it takes 20 more.
    drawn = (25 - 5) / (100 - 5)
    assert sum(5 <= place < 25 for place in range(5, 100)) / 95 == drawn
    ways = [
        (first * second, capital([Firsts(0.05, a, 1 - a), Firsts(drawn, b, 1 - b)], MORE))
        for a, first in ((1, 0.05), (0, 0.95))
        for b, second in ((1, drawn), (0, 1 - drawn))
    ]
    assert sum(chance * value for chance, value in ways) == pytest.approx(1)


@given(shares, st.integers(0, 200), st.integers(0, 200))
def test_more_units_at_the_canary_are_more_evidence_and_more_local_ones_are_less(share, canary, local):
    more = capital([Firsts(share, canary, local)], MORE)
    assert capital([Firsts(share, canary + 1, local)], MORE) >= more
    assert capital([Firsts(share, canary, local + 1)], MORE) <= more
    less = capital([Firsts(share, canary, local)], LESS)
    assert capital([Firsts(share, canary + 1, local)], LESS) <= less
    assert capital([Firsts(share, canary, local + 1)], LESS) >= less


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_split_is_judged_alike_from_either_side(canary, local):
    assert otherwise_split(canary, local, 0.2) == pytest.approx(otherwise_split(local, canary, 0.8), rel=1e-6)


@given(shares, counts, counts)
@settings(deadline=None)
def test_no_count_is_too_large(share, canary, local):
    values = [
        capital([Firsts(share, canary, local)] * 3, MORE),
        capital([Firsts(share, canary, local)], LESS),
        otherwise_split(canary, local, share),
        above(min(canary, local), max(canary, local), 0.005),
    ]
    assert all(math.isfinite(value) and value >= 0 for value in values)


@given(counts, counts)
@settings(deadline=None)
def test_the_highest_possible_rate_is_never_below_what_was_seen(one, other):
    count, of = min(one, other), max(one, other)
    assert (count / of if of else 0) - 1e-9 <= highest(count, of) <= 1
    assert highest(count, of) >= highest(count, of + 1_000) - 1e-9


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_the_highest_possible_rate_covers_the_true_one_at_every_moment_at_once(rate):
    """Exactly, over all sequences of 150 calls: the probability that it is ever below the truth."""
    alive, missed = {0: 1.0}, 0.0
    for of in range(1, 151):
        after: dict[int, float] = {}
        for count, chance in alive.items():
            after[count + 1] = after.get(count + 1, 0) + chance * rate
            after[count] = after.get(count, 0) + chance * (1 - rate)
        alive = {}
        for count, chance in after.items():
            if highest(count, of) < rate:
                missed += chance
            else:
                alive[count] = chance
    assert missed <= 1 / evidence.CONFIDENCE
    assert missed < 0.05


def test_a_wrong_split_is_detected_by_chance_only_at_the_stated_rate():
    ways = list(itertools.product((0, 1), repeat=10))
    expected = sum(
        0.2 ** sum(way) * 0.8 ** (10 - sum(way)) * otherwise_split(sum(way), 10 - sum(way), 0.2) for way in ways
    )
    assert expected == pytest.approx(1)
    assert otherwise_split(0, 400, 0.05) > 100
    assert otherwise_split(20, 380, 0.05) < 1


# The rulings

REACHED = {
    Reason.ERRORS: (Verdict.HARM, {"firsts": errors(9, 1), "canary": Calls(100, 9)}),
    Reason.LATENCY: (Verdict.HARM, {"firsts": {Event.SLOW: [Firsts(0.05, 20, 5)]}}),
    Reason.MISMATCHES: (Verdict.HARM, {"compared": 100, "mismatched": 12}),
    Reason.BUSINESS: (Verdict.HARM, {"firsts": {Event.ACCEPTED: [Firsts(0.5, 0, 60)]}}),
    Reason.ALONE: (Verdict.HARM, {"step": 2, "canary_units": 400, "failing_units": 100}),
    Reason.FLAG_TURNED: (Verdict.NOT_KNOWN, {"is_flag_ours": False}),
    Reason.NOT_OBSERVED: (Verdict.NOT_KNOWN, {"observed_ago": 31.0}),
    Reason.SILENT: (Verdict.NOT_KNOWN, {"missed": 10.0}),
    Reason.SPLIT: (Verdict.NOT_KNOWN, {"canary_units": 200}),
    Reason.TOO_LITTLE: (Verdict.NOT_KNOWN, {"seconds": 1_801.0, "canary": Calls(30, 0)}),
    Reason.DOUBT: (Verdict.WATCHING, {"firsts": {Event.ERROR: [Firsts(0.05, 2, 1)]}, "canary": Calls(5_000, 50)}),
    Reason.TIME: (Verdict.WATCHING, {"seconds": 299.0}),
    Reason.CALLS: (Verdict.WATCHING, {"canary": Calls(100, 0)}),
    Reason.UNITS: (Verdict.WATCHING, {"canary_units": 4, "local_units": 76}),
    Reason.COMPARED: (Verdict.WATCHING, {"compared": 4}),
    Reason.CLEAR: (Verdict.CLEAR, {}),
}


def test_every_reason_is_reached():
    assert set(REACHED) == set(Reason)


@pytest.mark.parametrize("reason", REACHED, ids=str)
@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_reason_has_its_verdict_and_its_sentence(reason, language):
    verdict, changes = REACHED[reason]
    ruling = rule(RULES, SOUND._replace(**changes))
    assert (ruling.verdict, ruling.reason) == (verdict, reason)
    assert reason.value in SENTENCES
    with translation.override(language):
        sentence = words(ruling.reason, ruling.numbers, ruling.evidence)
    assert sentence
    assert "%(" not in sentence


def test_a_reason_of_another_release_is_named():
    assert "sunspots" in words("sunspots", {}, {})


def test_a_changed_flag_is_reported_first_then_harm_then_obstacles_then_missing_data():
    harm, hinders, missing = REACHED[Reason.ERRORS][1], {"observed_ago": None, "missed": 99.0}, {"compared": 0}
    everything = harm | hinders | missing | {"is_flag_ours": False}
    assert rule(RULES, SOUND._replace(**everything)).reason is Reason.FLAG_TURNED
    assert rule(RULES, SOUND._replace(**harm, **hinders, **missing)).verdict is Verdict.HARM
    assert rule(RULES, SOUND._replace(**hinders, **missing)).reason is Reason.NOT_OBSERVED
    assert rule(RULES, SOUND._replace(**missing)).reason is Reason.COMPARED


@given(
    seconds=st.floats(0, 10_000),
    canary=st.integers(0, 40),
    observed_ago=st.one_of(st.none(), st.floats(0, 10_000)),
    missed=st.floats(0, 1_000),
)
def test_too_little_is_never_clear(seconds, canary, observed_ago, missed):
    observation = SOUND._replace(
        seconds=seconds,
        canary=Calls(canary, 0),
        canary_units=min(canary, 20),
        observed_ago=observed_ago,
        missed=missed,
    )
    assert rule(RULES, observation).verdict in {Verdict.WATCHING, Verdict.NOT_KNOWN}


@given(observed_ago=st.one_of(st.none(), st.floats(30.001, 1e6)), seconds=st.floats(0, 1e6))
def test_observers_that_are_dead_make_nothing_clear(observed_ago, seconds):
    assert rule(RULES, SOUND._replace(observed_ago=observed_ago, seconds=seconds)).verdict in {
        Verdict.WATCHING,
        Verdict.NOT_KNOWN,
    }


def test_a_canary_without_a_request_is_not_known_in_the_end():
    nothing = SOUND._replace(canary=Calls(), canary_units=0, compared=0)
    assert rule(RULES, nothing._replace(missed=10.0)).reason is Reason.SILENT
    assert rule(RULES, nothing._replace(local_units=30)).reason is Reason.UNITS
    assert rule(RULES, nothing._replace(local_units=30, seconds=1_801.0)).reason is Reason.TOO_LITTLE


def test_a_difference_too_small_to_matter_rolls_nothing_back_however_certain():
    certain = SOUND._replace(firsts=errors(400, 2_000), canary=Calls(1_000_000, 1_500), local=Calls(19_000_000, 19_000))
    assert weigh(RULES, certain)[Measure.ERRORS] <= 1.0 + ALONE_PART
    assert rule(RULES, certain).verdict is not Verdict.HARM
    assert rule(RULES, certain._replace(canary=Calls(1_000_000, 2_100))).verdict is Verdict.HARM


def test_a_share_without_a_draw_is_no_bet():
    for share in (0.0, 1.0):
        with pytest.raises((ZeroDivisionError, ValueError)):
            capital([Firsts(share, 1, 1)], MORE)


def test_two_of_two_are_enough_at_five_percent_and_two_of_four_are_not():
    assert rule(RULES, SOUND._replace(firsts=errors(2, 0), canary=Calls(40, 2))).verdict is Verdict.HARM
    assert rule(RULES, SOUND._replace(firsts=errors(2, 2), canary=Calls(40, 2))).verdict is not Verdict.HARM


@given(st.integers(0, 50), st.integers(0, 500))
def test_the_same_counts_are_ruled_alike(canary, local):
    observation = SOUND._replace(firsts=errors(canary, local))
    assert rule(RULES, observation) == rule(RULES, observation)
