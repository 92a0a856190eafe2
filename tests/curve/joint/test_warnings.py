"""What a law in several resources warns of: parameters at their bounds, from both sides."""

import math

import numpy as np
import pytest

from isoflop.curve.forms import B_MAX, B_MIN
from isoflop.curve.joint import forms
from isoflop.curve.joint.laws import JOINT_LAWS
from isoflop.curve.laws import AT_BOUND

CHINCHILLA, ROSENFELD = JOINT_LAWS["chinchilla"], JOINT_LAWS["rosenfeld"]
FINE = [0.0, math.log(0.5), 0.0, 0.3, 0.4]
"""c, s (half of y at x_max falls), w2, and the exponents of parameters and data."""


def warned(law, sample, *resamples):
    before = [] if law is CHINCHILLA else [0.0]
    rows = [[row[0], *before, *row[1:]] if len(row) == 5 else row for row in (sample, *resamples)]
    return law.warn(np.array(rows, dtype=float), 0.025)


def changed(**by):
    names = ["c", "s", "w2", "b1", "b2"]
    return [by.get(name, value) for name, value in zip(names, FINE, strict=True)]


@pytest.mark.parametrize("law", [CHINCHILLA, ROSENFELD], ids=["chinchilla", "rosenfeld"])
def test_parameters_within_their_bounds_call_for_no_warning(law):
    assert warned(law, FINE) == []
    assert warned(law, FINE, *[FINE] * 40) == []


@pytest.mark.parametrize(("above", "said"), [(0.9 * AT_BOUND, True), (1.1 * AT_BOUND, False)])
def test_the_level_of_small_models_is_unknown_at_its_bound(above, said):
    row = [FINE[0], forms.LOG_RATIO[0] + above, *FINE[1:]]
    warning = "e0 not identified: it is at its bound, no point is near the level of small models"
    assert warned(ROSENFELD, row) == ([warning] if said else [])
    # Neither the level itself nor a resample at the bound is that.
    assert warned(ROSENFELD, [forms.LOG_RATIO[0], 0.0, *FINE[1:]], *[row] * 3) == []


@pytest.mark.parametrize("law", [CHINCHILLA, ROSENFELD], ids=["chinchilla", "rosenfeld"])
@pytest.mark.parametrize(("floor", "said"), [(0.9 * AT_BOUND, True), (1.1 * AT_BOUND, False)])
def test_a_floor_at_0_is_not_identified(law, floor, said):
    warnings = warned(law, changed(s=math.log1p(-floor)))
    text = f"floor not identified: {law.floor} is at its bound 0, the points call for no floor"
    assert warnings == ([text] if said else [])


@pytest.mark.parametrize(("at_zero", "said"), [(1, False), (2, True)])
def test_a_floor_whose_interval_reaches_0_is_not_identified(at_zero, said):
    """Of 40 resamples one is 2.5%: the quantile lies between the least and the next."""
    resamples = [changed(s=0.0)] * at_zero + [FINE] * (40 - at_zero)
    warnings = warned(CHINCHILLA, FINE, *resamples)
    assert warnings == (["floor not identified: the interval of E includes 0"] if said else [])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("b1", B_MAX * (1 - 0.9 * AT_BOUND), "optimum at a bound: exponent_parameters is 5"),
        ("b1", B_MAX * (1 - 1.1 * AT_BOUND), None),
        ("b2", B_MAX * (1 - 0.9 * AT_BOUND), "optimum at a bound: exponent_data is 5"),
        ("b1", B_MIN * (1 + 0.9 * AT_BOUND), "parameters explains nothing here: no optimal split of compute"),
        ("b2", B_MIN * (1 + 0.9 * AT_BOUND), "data explains nothing here: no optimal split of compute"),
        ("b2", B_MIN * (1 + 1.1 * AT_BOUND), None),
        ("w2", forms.LARGEST_LOGIT, "parameters explains nothing here: no optimal split of compute"),
        ("w2", -forms.LARGEST_LOGIT, "data explains nothing here: no optimal split of compute"),
        ("w2", forms.LARGEST_LOGIT - 1.1, None),
    ],
)
def test_a_resource_at_a_bound_is_named(name, value, said):
    warnings = warned(CHINCHILLA, changed(**{name: value}))
    assert len(warnings) == (said is not None)
    assert said is None or warnings[0].startswith(said)


@pytest.mark.parametrize(("at_bound", "said"), [(2, None), (3, "8%")])
def test_an_exponent_at_a_bound_in_more_than_a_fortieth_of_the_resamples_is_cut_there(at_bound, said):
    resamples = [changed(b2=B_MAX)] * (at_bound - 1) + [changed(b2=B_MIN)] + [FINE] * (40 - at_bound)
    if said is None:
        resamples = resamples[1:] + [FINE] * 40
    warnings = warned(CHINCHILLA, FINE, *resamples)
    text = f"exponent_data is at a bound in {said} of the resamples: its interval is cut there"
    assert warnings == ([text] if said else [])
