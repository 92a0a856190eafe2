import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from isoflop.curve import forms

FORMS = {
    "power_law": forms.POWER_LAW,
    "power_law_floor": forms.POWER_LAW_FLOOR,
    "m3": forms.M3,
    "m4": forms.M4,
    "broken_power_law": forms.BROKEN_POWER_LAW,
}
SHARES = st.lists(st.floats(0.02, 0.98), min_size=5, max_size=5)


def _within(form, span, shares, *, relaxed=False):
    """Parameters (1, q) at those shares of the way from the lower to the upper bound."""
    low, high = (form.relaxed if relaxed else form.bounds)(span)
    return (low + np.array(shares[: len(low)]) * (high - low))[None]


@pytest.mark.parametrize("name", list(FORMS))
@settings(max_examples=60, deadline=None)
@given(span=st.floats(0.5, 14), shares=SHARES)
def test_derivatives_are_those_of_central_differences(name, span, shares):
    form = FORMS[name]
    theta, v = _within(form, span, shares), np.linspace(0, span, 7)
    derivatives = form.evaluate(theta, v)[1][0]
    for j in range(theta.shape[1]):
        step = 1e-6 * (1 + abs(theta[0, j]))
        above, below = theta.copy(), theta.copy()
        above[0, j] += step
        below[0, j] -= step
        values = [form.evaluate(at, v)[0][0] for at in (above, below)]
        numeric = (values[0] - values[1]) / (2 * step)
        # central differences lose what rounding takes of g over the step
        lost = 1e-15 * (1 + np.abs(values[0]).max()) / step
        np.testing.assert_allclose(derivatives[:, j], numeric, rtol=2e-5, atol=1e-7 + 50 * lost)


@pytest.mark.parametrize("name", ["power_law", "power_law_floor", "m3", "broken_power_law"])
@settings(max_examples=40, deadline=None)
@given(span=st.floats(0.5, 14), shares=SHARES)
def test_a_shape_rises_with_v_and_is_finite(name, span, shares):
    form = FORMS[name]
    shape = form.evaluate(_within(form, span, shares), np.linspace(0, span, 50))[0]
    assert np.isfinite(shape).all()
    assert np.all(np.diff(shape, axis=1) >= -1e-12 * (1 + np.abs(shape).max()))


@settings(max_examples=100, deadline=None)
@given(
    tau=st.floats(-40, 20),
    b=st.floats(1e-3, 8),
    k=st.floats(0.05, 20),
    share=st.floats(0, 0.999),
    v=st.floats(0, 14),
)
def test_m4s_inversion_solves_its_equation_to_rounding(tau, b, k, share, v):
    """(y - E) / (e0 - y)^k = A x^-b: in q its residual vanishes against the size of its terms."""
    theta = np.array([[tau, b, math.log(k), share]])
    shape, derivatives = forms.m4(theta, np.array([v]))
    t = tau + b * v

    def equation(q):
        return k * np.logaddexp(0, q) - np.logaddexp(0, -q) - t

    reach = (abs(t) + 50) * max(1, 1 / k)
    q = optimize.brentq(equation, -reach, reach, xtol=1e-14, rtol=1e-14)
    rise = 1 / (1 + math.exp(-q)) if q > -700 else 0.0
    expected = share + (1 - share) * rise
    assert math.exp(shape[0, 0]) == pytest.approx(expected, rel=1e-12 * (1 + abs(q)))
    assert np.isfinite(derivatives).all()


@pytest.mark.parametrize("k", np.geomspace(0.05, 20, 25))
def test_m4_holds_in_its_published_form(k):
    """y from the form, put back into the published equation, gives the power of x to 1e-12."""
    e, e0, b, tau = 0.1, 0.9, 0.4, -1.5
    v = np.linspace(0, 8, 30)
    y = e0 * np.exp(forms.m4(np.array([[tau, b, math.log(k), e / e0]]), v)[0][0])
    left = np.log((y - e) / (e0 - e)) - k * np.log((e0 - y) / (e0 - e))
    inside = (e0 - y) / (e0 - e) > 1e-3
    assert inside.sum() >= 2
    np.testing.assert_allclose(left[inside], (tau + b * v)[inside], rtol=0, atol=1e-12 * max(1, k) / 1e-3)


@pytest.mark.parametrize(
    ("form", "theta", "plainer", "of"),
    [
        (forms.POWER_LAW_FLOOR, [0.0, 0.3], forms.POWER_LAW, [0.3]),
        (forms.M3, [0.3, -40.0], forms.POWER_LAW, [0.3]),
        (forms.BROKEN_POWER_LAW, [-0.4, 0.3, 0.3, 2.0, 0.5], forms.POWER_LAW_FLOOR, [-0.4, 0.3]),
    ],
)
def test_a_form_holds_the_plainer_one(form, theta, plainer, of):
    v = np.linspace(0, 9, 20)
    shapes = [f.evaluate(np.array([t]), v)[0] for f, t in ((form, theta), (plainer, of))]
    np.testing.assert_allclose(shapes[0] - shapes[0][:, :1], shapes[1] - shapes[1][:, :1], atol=1e-12)


def test_the_broken_forms_slope_passes_from_one_exponent_to_the_other():
    """Without a floor, far on either side of the break the slope in v is b1 near x_max and b0 far below."""
    theta = np.array([[0.0, 0.2, 0.9, 10.0, math.log(0.3)]])
    shape = forms.broken_power_law(theta, np.array([0.0, 1.0, 19.0, 20.0]))[0][0]
    assert shape[1] - shape[0] == pytest.approx(0.9, abs=1e-6)
    assert shape[3] - shape[2] == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("name", list(FORMS))
@pytest.mark.parametrize("span", [0.4, 3.0, 14.0])
def test_every_start_lies_within_the_bounds_or_is_clipped_to_a_finite_shape(name, span):
    form = FORMS[name]
    low, high = form.bounds(span)
    wide_low, wide_high = form.relaxed(span)
    assert np.all(wide_low <= low)
    assert np.all(wide_high >= high)
    assert np.all(low < high)
    for starts in form.starts(span):
        assert starts.shape[1] == len(form.names) == form.free_parameters - 1
        clipped = np.clip(starts, low, high)
        assert np.isfinite(form.evaluate(clipped, np.linspace(0, span, 9))[0]).all()


def test_the_bounds_of_every_form_are_those_of_the_documentation():
    span, b = 7.0, (1e-3, 5.0)
    log_k, negative = (np.log(0.05), np.log(20.0)), np.log(20.0)
    expected = {
        "POWER_LAW": [b],
        "POWER_LAW_FLOOR": [(-5 * span - 5, 0.0), b],
        "M3": [b, (-12.0, span + 3)],
        "M4": [(-40.0, 20.0), (1e-3, 8.0), log_k, (0.0, 0.999)],
        "BROKEN_POWER_LAW": [
            *((-5 * span - 5, 0.0), (0.0, 6.0), (1e-3, 6.0), (-1.0, 1.2 * span)),
            (np.log(0.02 * span), np.log(span)),
        ],
    }
    relaxed = expected | {
        "POWER_LAW": [(-5.0, 5.0)],
        "POWER_LAW_FLOOR": [(-5 * span - 5, negative), b],
        "BROKEN_POWER_LAW": [(-5 * span - 5, negative), *expected["BROKEN_POWER_LAW"][1:]],
    }
    for name, pairs in expected.items():
        form = getattr(forms, name)
        np.testing.assert_allclose(np.transpose(form.bounds(span)), pairs)
        np.testing.assert_allclose(np.transpose(form.relaxed(span)), relaxed[name])
