"""Each threshold of the rules from both sides, by intervals laid by hand."""

import math

import pytest

from isoflop.curve.judge import rules
from isoflop.curve.judge.answer import ANSWERS, Answer, Ruling
from isoflop.curve.result import Interval

AGREES: Answer = "agrees"
DISAGREES: Answer = "disagrees"
OPEN: Answer = "compatible but not decisive"
UNKNOWN: Answer = "cannot be told"


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (0.13, 0.25, AGREES),  # the bound itself is within the claim
        (0.13, 0.2501, OPEN),
        (0.25, 0.40, OPEN),
        (0.2501, 0.40, DISAGREES),
        (0.2501, 90.0, DISAGREES),  # however wide
        (0.12, 0.2399, AGREES),
        (0.12, 0.24, OPEN),  # a factor of 2 is not narrower than a factor of 2
        (0.0, 0.1, OPEN),
        (-0.1, 0.1, OPEN),
        (None, 0.1, OPEN),
        (0.1, None, OPEN),
        (0.3, None, DISAGREES),
        (None, None, UNKNOWN),
    ],
)
def test_a_bound_from_above(low, high, answer):
    assert rules.of_bound(Interval(low, high), 0.25, "at most", rules.EXPONENT).answer == answer


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [(1.5, 14.9, AGREES), (1.5, 15.0, OPEN), (1.49, 2.0, OPEN), (1.0, 1.5, OPEN), (1.0, 1.49, DISAGREES)],
)
def test_a_bound_from_below_and_the_width_of_an_amount(low, high, answer):
    assert rules.of_bound(Interval(low, high), 1.5, "at least", rules.AMOUNT).answer == answer


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (7.0, 13.9, AGREES),
        (6.9, 10.0, OPEN),
        (8.0, 14.0, OPEN),
        (2.0, 50.0, OPEN),  # holds all that is claimed, and much else
        (2.0, 6.99, DISAGREES),
        (2.0, 7.0, OPEN),
        (13.9, 20.0, OPEN),
        (13.91, 20.0, DISAGREES),
        (None, 6.0, DISAGREES),
        (None, 9.0, OPEN),
        (14.0, None, DISAGREES),
        (None, None, UNKNOWN),
    ],
)
def test_a_value_with_its_interval(low, high, answer):
    assert rules.of_range(Interval(low, high), Interval(7.0, 13.9), rules.EXPONENT).answer == answer


def test_a_wide_claim_is_met_by_a_narrow_interval_only():
    wide = Interval(1.0, 100.0)
    assert rules.of_range(Interval(2.0, 3.99), wide, rules.EXPONENT).answer == AGREES
    assert rules.of_range(Interval(2.0, 4.0), wide, rules.EXPONENT).answer == OPEN


def test_eight_decades_agree_with_nothing():
    """The bill of 5% on ImageNet once agreed with an interval of 14 to 22.3 decades."""
    cell = Interval(19.0, 20.0)
    assert rules.of_range(Interval(14.0, 22.3), cell, rules.LOG10_AMOUNT).answer == OPEN
    assert rules.of_range(Interval(19.0, 19.99), cell, rules.LOG10_AMOUNT).answer == AGREES
    assert rules.of_range(Interval(19.0, 20.0), cell, rules.LOG10_AMOUNT).answer == OPEN


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (0.01, 0.2, AGREES),
        (-0.1, 0.2, OPEN),
        (-0.2, -0.01, DISAGREES),
        (0.01, 0.01 + math.log(2) + 1e-9, OPEN),
        (0.01, 0.01 + math.log(2) - 1e-9, AGREES),
    ],
)
def test_a_tie_of_two_forms_is_not_decisive(low, high, answer):
    assert rules.of_bound(Interval(low, high), 0.0, "at least", rules.LOG_ERROR).answer == answer


def test_a_figure_without_an_interval_is_known_to_a_factor():
    ten = rules.about(10.0)
    assert (ten.low, ten.high) == (pytest.approx(10 / math.sqrt(2)), pytest.approx(10 * math.sqrt(2)))


def test_a_claim_of_several_parts_agrees_only_where_all_do():
    made = {answer: Ruling(answer, "") for answer in ANSWERS}
    assert rules.together(made[AGREES], made[AGREES]).answer == AGREES
    assert rules.together(made[AGREES], made[OPEN]).answer == OPEN
    assert rules.together(made[OPEN], made[UNKNOWN]).answer == UNKNOWN
    assert rules.together(made[UNKNOWN], made[DISAGREES]).answer == DISAGREES


def test_how_wide_an_interval_is_stands_beside_what_decides():
    said = rules.of_bound(Interval(0.01, 0.2), 0.25, "at most", rules.EXPONENT).why
    assert "a factor of 20 wide, where less than a factor of 2 decides" in said
    assert "without bound" in rules.of_bound(Interval(None, 0.2), 0.25, "at most", rules.EXPONENT).why
