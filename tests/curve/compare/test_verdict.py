"""What a change moved, by the p of its tests, and the sentences that say it: from made contrasts."""

import dataclasses
import math

import pytest

from isoflop.curve.compare import contrast, verdict
from isoflop.curve.compare.contrast import Settings
from isoflop.curve.compare.result import Contrast, Difference, NullTest, Pairing
from isoflop.curve.result import Interval

PAIRING = Pairing("runs", "", 20, 0, 0, None)


def null_test(p, p_holm=None):
    return NullTest("", None if p is None else 1.0, p, p_holm, 199, "too few runs" if p is None else None)


def difference(quantity, given, value, interval, seen, p=None):
    return Difference(quantity, given, value, Interval(*interval), p, seen, "")


FACTOR = difference("ln factor", "one b", math.log(2), (math.log(1.5), math.log(3)), math.log(1.25))
WITHOUT_E = difference("b", "E = 0", 0.03, (-0.01, 0.07), 0.05)
WITH_E = difference("b", "an E each", 0.04, (None, 0.09), None)
FLOOR = difference("E", "a b each", -0.02, (-0.05, None), 0.04)


def of(*p, law="power_law", more=()):
    """A contrast whose tests have these p, in the order of verdict.py; adjusted where a pair is given."""
    tests = tuple(null_test(*each) if isinstance(each, tuple) else null_test(each) for each in p)
    differences = (FACTOR, WITHOUT_E, WITH_E, FLOOR, *more)
    return Contrast(
        *("old", "new", law, "as asked for", PAIRING, "cannot be told", (), tests, differences),
        gain=None,
        gain_reason="",
        warnings=(),
    )


@pytest.mark.parametrize(
    ("p", "moved"),
    [
        ((0.5, 0.051, 0.9), "cannot be told"),
        ((0.5, 0.05, 0.9), "factor"),
        ((0.5, (0.001, 0.06), 0.9), "cannot be told"),
        ((0.001, 0.001, (0.01, 0.051)), "factor"),
        ((0.001, 0.5, (0.06, 0.05)), "exponent"),
        ((None, None, None), "cannot be told"),
        ((0.001, 0.5, 0.05, 0.05, 0.051), "exponent"),
        ((0.001, 0.5, 0.05, 0.051, 0.05), "irreducible error"),
        ((0.001, 0.5, 0.05, 0.05, 0.05), "exponent and irreducible error"),
        ((0.001, 0.5, 0.05, 0.051, 0.051), "shape"),
        ((0.001, 0.001, 0.051, 0.001, 0.001), "factor"),
    ],
)
def test_what_moved_follows_from_the_tests_at_their_level(p, moved):
    made = of(*p, law="power_law_floor" if len(p) > 3 else "power_law")
    assert verdict.moved(made, 0.05) == moved


@pytest.mark.parametrize(
    ("p", "sentence"),
    [
        (
            (0.5, 0.2, 0.9),
            "new and old cannot be told apart: one curve fits both (p = 0.5).",
        ),
        ((0.05, 0.2, 0.9), "new and old are not one curve (p = 0.05), but what moves cannot be told."),
        ((0.051, 0.2, 0.9), "new and old cannot be told apart: one curve fits both (p = 0.051)."),
        ((None, None, None), "new and old cannot be told apart: too few runs."),
        (
            (0.01, (0.004, 0.008), (0.2, 0.4)),
            "new moves the curve by a factor of compute (p = 0.008 for none); that the factor depends on "
            "scale cannot be told (p = 0.4).",
        ),
        (
            (0.01, 0.01, None),
            "new moves the curve by a factor of compute (p = 0.01 for none); that the factor depends on "
            "scale cannot be told (not tested).",
        ),
        (
            (0.01, 0.01, 0.02),
            "What new is worth depends on scale (p = 0.02 for one factor of compute): the exponent b moves.",
        ),
        (
            (0.01, 0.01, 0.02, 0.5, 0.01),
            "What new is worth depends on scale (p = 0.02 for one factor of compute): the irreducible error "
            "E moves.",
        ),
        (
            (0.01, 0.01, 0.02, 0.01, 0.01),
            "What new is worth depends on scale (p = 0.02 for one factor of compute): exponent b and "
            "irreducible error E both move.",
        ),
        (
            (0.01, 0.01, 0.02, 0.5, 0.5),
            "What new is worth depends on scale (p = 0.02 for one factor of compute); whether b or E moves "
            "cannot be told.",
        ),
    ],
)
def test_the_first_sentence_says_what_moved(p, sentence):
    made = of(*p, law="power_law_floor" if len(p) > 3 else "power_law")
    assert contrast.judged(made, Settings()).verdict[0] == sentence


def test_the_other_sentences_give_sizes_intervals_and_what_would_have_been_seen():
    same = contrast.judged(of(0.5, 0.2, 0.9), Settings()).verdict
    assert same[1:] == (
        "For equal y old needs 2 times the compute of new (95% 1.5 to 3; a factor of 1.25 would have been "
        "seen).",
        "Exponent b (E = 0): +0.03 (95% -0.01 to 0.07); a change of 0.05 would have been seen.",
    )
    moved = contrast.judged(
        of(0.01, 0.01, 0.02, 0.5, 0.5, law="power_law_floor"), Settings(level=0.9)
    ).verdict
    assert moved[1:] == (
        "As one factor for all scales, for equal y old needs 2 times the compute of new (90% 1.5 to 3; a "
        "factor of 1.25 would have been seen).",
        "Exponent b (an E each): +0.04 (90% below 0.09); no change could have been seen.",
        "Irreducible error E (a b each): -0.02 (90% above -0.05); a change of 0.04 would have been seen.",
    )


def test_what_pairs_say_without_a_law_is_in_per_cent():
    pairs = difference("ln y", "5 pairs", math.log(0.9), (math.log(0.8), math.log(1.05)), None, 0.03)
    *_, said = contrast.judged(of(0.5, 0.2, 0.9, more=(pairs,)), Settings()).verdict
    assert said == "Without a law, over 5 pairs: y differs by -10% (95% -20% to +5%, p = 0.03)."
    untested = dataclasses.replace(pairs, p=None)
    assert (
        "(95% -20% to +5%)." in contrast.judged(of(0.5, 0.2, 0.9, more=(untested,)), Settings()).verdict[-1]
    )


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((None, None), "unbounded"),
        ((None, 0.25), "below 0.25"),
        ((0.125, None), "above 0.125"),
        ((0.1, 0.3), "0.1 to 0.3"),
    ],
)
def test_an_interval_says_the_ends_that_are_known(ends, said):
    assert verdict.bounds(Interval(*ends)) == said


def test_the_law_with_a_floor_is_shown_where_one_contrast_has_it():
    plain, floored = of(0.5, 0.2, 0.9), of(0.5, 0.2, 0.9, 0.5, 0.5, law="power_law_floor")
    assert contrast.widest_law((plain, plain)) == "power_law"
    assert contrast.widest_law((plain, floored, plain)) == "power_law_floor"
