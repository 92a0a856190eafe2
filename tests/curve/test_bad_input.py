"""What cannot be fitted is one clear line; what is doubtful is a named warning; never a silent number."""

import math
from typing import Any

import numpy as np
import pytest

from isoflop import record
from isoflop.curve.fit import Method, fit_table

X = np.geomspace(1, 1e5, 12)
Y = 0.05 + 0.6 * X**-0.3
FEW: dict[str, Any] = {"resamples": 60, "forecast": False}


def _report(table, **options):
    return fit_table(table, method=Method(**FEW | options))


def _numbers(value):
    if isinstance(value, float):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _numbers(each)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _numbers(getattr(value, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[:2], "2 distinct compute scales in 2 usable runs.*at least 3"),
        (lambda t: t.assign(train_gflops=5.0), "1 distinct compute scales"),
        (lambda t: t.assign(test_error=0.3), "0.3 in every run"),
        (lambda t: t.assign(test_error=0.9), "12 excluded, 12 of them: .*at chance"),
        (lambda t: t.assign(test_error=0.95), "at chance"),
        (lambda t: t.assign(test_error=t["test_error"] * 100), "as a fraction"),
        (lambda t: t.assign(test_error=np.nan), "12 of them: unknown test_error"),
        (lambda t: t.assign(train_gflops=np.inf), "12 of them: train_gflops is infinite"),
        (lambda t: t.assign(train_gflops=np.nan, train_gflops_reason="op foo"), "op foo"),
        (lambda t: t.assign(run_id="same"), "11 of them: listed twice"),
        (lambda t: t.drop(columns="test_error"), "no column test_error"),
        (lambda t: t.drop(columns="config_id"), "no column config_id"),
        (lambda t: t.assign(git_commit=["a", "b"] * 6), "say --mixed"),
        (lambda t: t.assign(test_error="low"), "holds text"),
        (lambda t: t.assign(test_error=0.0), "0 in every run"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(make_table, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        _report(change(make_table(X, Y)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantile": 0.0}, "quantile is 0: give a number between 0 and 1"),
        ({"quantile": 1.0}, "quantile is 1"),
        ({"quantile": math.nan}, "quantile is nan"),
        ({"chance": 0.0}, "chance is 0: give the error of guessing"),
        ({"chance": 90.0}, "chance is 90"),
        ({"chance": math.nan}, "chance is nan"),
        ({"wild": True, "of_frontier": True}, "drop one"),
        ({"resamples": 39}, "at least 40"),
        ({"least_energy_grade": "E"}, "no energy grade E"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(make_table, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        _report(make_table(X, Y), **options)
    assert "\n" not in str(caught.value)


def test_runs_above_the_chance_that_is_given_are_left_out(make_table):
    """M4's level held below the errors would be a silent, wrong number: such runs are left out by name."""
    table = make_table(X, Y).drop(columns="chance_error")
    report = _report(table, laws=("power_law",), chance=0.3)
    above = [f"run{i}" for i in np.flatnonzero(table["test_error"] >= 0.3)]
    assert above
    assert [e.run_id for e in report.excluded] == above
    assert any("at or above chance are left out" in warning for warning in report.warnings)
    with pytest.raises(ValueError, match="at chance"):
        _report(table, chance=0.05)


def test_chance_is_not_used_for_losses_and_gives_a_warning(make_table):
    table = make_table(X, Y, noise=0.02).assign(test_loss=3 * Y)
    given, not_given = (
        fit_table(table, y="test_loss", method=Method(**FEW, laws=("m4",), chance=chance))
        for chance in (0.9, None)
    )
    assert given.fits == not_given.fits
    assert any("chance 0.9 is not used" in warning for warning in given.warnings)


def test_a_frontier_of_one_configuration_mean_is_refused(make_table):
    with pytest.raises(ValueError, match=r"the frontier holds 1 configuration means, fewer than 3: fit all"):
        _report(make_table(X, 0.1 * X**0.1), of_frontier=True)


def test_a_frontier_of_few_places_keeps_every_resample_finite(make_table):
    """Of 12 configurations 3 are efficient: a resample that loses one is judged as the sample is."""
    y = np.where(np.arange(12) % 4 == 0, 0.5 * X**-0.1, 0.8)
    report = _report(make_table(X, y, seeds=3, noise=0.05), of_frontier=True)
    assert report.of == "frontier"
    assert all(math.isfinite(number) for number in _numbers(report))


def test_outliers_are_named_and_counted(make_table):
    table = make_table(X, Y, seeds=3, noise=0.01)
    table.loc[10, "test_error"] *= 1.5
    assert any(
        "run10" in warning and warning.startswith("1 run lies over 4") for warning in _report(table).warnings
    )
    assert not any(
        "lie over" in warning for warning in _report(make_table(X, Y, seeds=3, noise=0.01)).warnings
    )


def test_duplicated_rows_are_left_out_by_name_and_change_nothing(make_table):
    table = make_table(X, Y, seeds=2, noise=0.03)
    doubled = table.loc[[*range(len(table)), 3, 7]]
    one, other = _report(table), _report(doubled)
    assert other.fits == one.fits
    assert [e.run_id for e in other.excluded] == ["run3", "run7"]


@pytest.mark.parametrize(
    "make", ["plain", "no counts", "three scales", "noiseless", "zeros", "rising", "near chance"]
)
@pytest.mark.parametrize("options", [{}, {"wild": True}, {"of_frontier": True}, {"quantile": 0.5}])
@pytest.mark.filterwarnings("error")
def test_every_number_of_a_report_is_finite(make_table, make, options):
    table = {
        "plain": lambda: make_table(X, Y, seeds=2, noise=0.05),
        "no counts": lambda: make_table(X, Y, noise=0.05).assign(test_n=np.nan, chance_error=np.nan),
        "three scales": lambda: make_table(X[:3], Y[:3], seeds=2, noise=0.05),
        "noiseless": lambda: make_table(X, 0.7 * X**-0.2),
        "zeros": lambda: make_table(X, np.where(X > 1e4, 0.0, 0.5 * X**-0.5), seeds=2),
        "rising": lambda: make_table(X, 0.1 * X**0.1, noise=0.02),
        "near chance": lambda: make_table(X, np.minimum(0.899, 0.95 * X**-0.01), seeds=2),
    }[make]()
    if make == "rising" and "of_frontier" in options:
        pytest.skip("refused: test_a_frontier_of_one_configuration_mean_is_refused")
    report = _report(table, **{"forecast": True} | options)
    assert all(math.isfinite(number) for number in _numbers(report))
    assert record.problem(report, "report") is None
