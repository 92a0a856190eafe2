"""What columns explain beside x, against regressions written out with statsmodels' formulas in numpy."""

import types
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from isoflop.curve.misfit import determination, unexplained
from isoflop.curve.result import ColumnShare, Determination, Estimate, Interval, LateDeviation

GENERATOR = np.random.default_rng(5)
N = 30
LOG_X = np.linspace(0.0, 7.0, N)
GROUP = np.arange(N) % 3
LOG_Y = (
    -0.3 * LOG_X + 0.02 * LOG_X**2 + np.array([0.0, 0.5, -0.4])[GROUP] + 0.1 * GENERATOR.standard_normal(N)
)


def squares(design):
    return float(np.sum((LOG_Y - design @ np.linalg.lstsq(design, LOG_Y, rcond=None)[0]) ** 2))


def judged(**columns):
    return determination.determination(pd.DataFrame(columns), "x", "y", LOG_X, LOG_Y)


def test_shares_are_adjusted_r2_of_a_cubic_and_of_the_levels_beside_it():
    cubic = np.vander(LOG_X, 4)
    levels = np.column_stack([cubic, GROUP == 1, GROUP == 2])
    total = float(np.sum((LOG_Y - LOG_Y.mean()) ** 2))
    found = judged(recipe=np.array(["a", "b", "c"])[GROUP])
    assert found.x_share == pytest.approx(1 - squares(cubic) / (N - 4) / (total / (N - 1)))
    (column,) = found.columns
    assert (column.column, column.levels) == ("recipe", 3)
    assert column.share == pytest.approx(1 - squares(levels) / (N - 6) / (squares(cubic) / (N - 4)))


def test_a_column_is_tested_by_f_over_what_it_leaves():
    cubic = np.vander(LOG_X, 4)
    design = np.column_stack([GROUP == 1, GROUP == 2]).astype(float)
    found = determination._explains("recipe", design, cubic, LOG_Y, 3)
    with_it = squares(np.column_stack([cubic, design]))
    f = (squares(cubic) - with_it) / 2 / (with_it / (N - 6))
    assert (found.name, found.rank) == ("recipe", 2)
    assert found.p_value == pytest.approx(stats.f.sf(f, 2, N - 6), rel=1e-9)


@pytest.mark.parametrize(("freedom", "known"), [(3, True), (2, False)])
def test_three_degrees_of_freedom_must_be_left(freedom, known):
    basis = np.linalg.qr(GENERATOR.standard_normal((N, N - 1 - freedom)))[0]
    design = (GROUP == 1).astype(float)[:, None]
    found = determination._explains("a", design, basis, LOG_Y, N - 2 - freedom)
    assert (found is not None) == known


def test_what_the_basis_holds_already_explains_nothing():
    cubic = np.vander(LOG_X, 4)
    assert determination._explains("x", LOG_X[:, None] * 2 + 1, cubic, LOG_Y, 3) is None


def test_few_rows_or_one_scale_or_one_error_say_nothing():
    rows = pd.DataFrame({"recipe": ["a", "b"] * 4})
    x, y = LOG_X[:8], LOG_Y[:8]
    assert determination.determination(rows, "x", "y", x, y) is not None
    assert determination.determination(rows.iloc[1:], "x", "y", x[1:], y[1:]) is None
    assert determination.determination(rows, "x", "y", np.zeros(8), y) is None
    assert determination.determination(rows, "x", "y", x, np.zeros(8)) is None


@pytest.mark.parametrize(("share", "named"), [(0.26, True), (0.24, False)])
def test_a_column_that_explains_a_quarter_of_the_rest_is_named(monkeypatch, share, named):
    made = determination._Explained("recipe", share, 2, 1e-9)
    monkeypatch.setattr(determination, "_explains", lambda name, *_: made if name == "recipe" else None)
    found = judged(recipe=np.array(["a", "b", "c"])[GROUP])
    assert bool(found.columns) == named


@pytest.mark.parametrize(("p", "named"), [(0.0049, True), (0.0051, False)])
def test_tests_are_corrected_for_the_number_of_columns(monkeypatch, p, named):
    """Two columns that are settings: each at half of 1%."""
    made = determination._Explained("recipe", 0.5, 2, p)
    monkeypatch.setattr(determination, "_explains", lambda name, *_: made if name == "recipe" else None)
    found = judged(
        recipe=np.array(["a", "b", "c"])[GROUP], width=GROUP + 1.0, run_id=[str(i) for i in range(N)]
    )
    assert bool(found.columns) == named


def design(values, name="width"):
    return determination._design(pd.DataFrame({name: values}), name, "x", "y")


def test_few_values_enter_level_by_level_and_many_by_a_parabola_of_their_logarithm():
    assert design([1.0, 2.0, 4.0] * 10).shape == (30, 2)
    ten = design([float(2**i) for i in range(10)] * 3)
    assert ten.shape == (30, 9), "a third of thirty rows are few"
    eleven = design([float(2 ** (i % 11)) for i in range(30)])
    assert eleven.shape == (30, 2)
    logs = np.log(2.0) * (np.arange(30) % 11)
    standard = (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose(eleven, np.column_stack([standard, standard**2]))
    fifty, more = (design([float(1 + i % count) for i in range(300)]) for count in (50, 51))
    assert (fifty.shape[1], more.shape[1]) == (49, 2)


@pytest.mark.parametrize(
    "values",
    [[1.0] * 30, [float(i) for i in range(30)], [f"name{i}" for i in range(30)], [1.0, np.nan] * 15],
    ids=["one value", "a zero among many", "text of many values", "unknown values"],
)
def test_what_is_no_setting_has_no_design(values):
    assert design(values) is None


@pytest.mark.parametrize(
    "name", ["x", "y", "seed", "test_error", "energy_joules", "run_id", "code_version", "top1"]
)
def test_axes_outcomes_and_labels_are_no_settings(name):
    assert design([0.5, 0.25, 0.125] * 10, name) is None


def late(names=("w64",), **changes):
    factor = Estimate("factor", 1.2, Interval(1.05, 1.4), "")
    fields: dict[str, Any] = {
        "names": names,
        "run_ids": (),
        "factor": factor,
        "log_evidence": 2.0,
        "training_loss": False,
        "deviates": True,
        "exponent": 0.25,
        "exponent_without": 0.3,
        "at_10x": 0.1,
        "at_10x_without": 0.08,
    }
    return LateDeviation(**fields | changes)


def test_the_note_says_what_deviates_by_how_much_and_what_it_changes():
    assert unexplained.late_note(late(), "test_error") == (
        "the largest configuration (w64) lies above the curve of the smaller ones, 1.20 times (1.05 to "
        "1.40), by test_error: undertrained, or the curve breaks there. Without it b is 0.3 in place of "
        "0.25, and "
        "test_error at 10 times the largest x 0.08 in place of 0.1 (power law with a floor)"
    )
    two = unexplained.late_note(late(("w32", "w64"), training_loss=True), "test_error")
    assert two.startswith("the largest two configurations (w32, w64) lie above")
    assert "by test_error and training loss: undertrained" in two
    assert "Without them b is" in two
    assert unexplained.late_note(late(exponent_without=None), "y").endswith("or the curve breaks there")


def test_notes_are_given_of_what_deviates_and_of_columns_that_explain():
    columns = Determination(0.5, (ColumnShare("recipe", 0.6, 3),))
    of_rows = unexplained.Unexplained(late(), columns)
    assert len(unexplained.warnings(of_rows, "y")) == 2
    assert (
        unexplained.warnings(unexplained.Unexplained(late(deviates=False), Determination(0.5, ())), "y") == ()
    )
    assert unexplained.warnings(unexplained.Unexplained(None, None), "y") == ()


def test_the_training_loss_of_a_mean_is_the_geometric_one_of_its_runs():
    chosen: Any = types.SimpleNamespace(
        mean_of=np.array([0, 0, 1]),
        means=types.SimpleNamespace(x=np.array([1.0, 2.0]), repeats=np.array([2.0, 1.0])),
    )
    rows = pd.DataFrame({unexplained.TRAIN_LOSS: [0.2, 0.8, 0.5]})
    np.testing.assert_allclose(unexplained._mean_log_loss(rows, chosen), np.log([0.4, 0.5]))
    for value in (0.0, np.nan, np.inf):
        assert unexplained._mean_log_loss(rows.replace(0.5, value), chosen) is None
    assert unexplained._mean_log_loss(pd.DataFrame({"a": [1, 2, 3]}), chosen) is None


@pytest.mark.parametrize(("weight", "counted"), [(0.01, True), (0.0099, False)])
def test_laws_count_for_the_exponent_at_the_end_from_a_weight_on(weight, counted):
    members = [
        types.SimpleNamespace(law="m4", weight=weight),
        types.SimpleNamespace(law="power_law", weight=0.9),
    ]
    end = Estimate("local_exponent", 0.2, Interval(0.1, 0.3), "")
    forecast: Any = types.SimpleNamespace(local_exponent=end, members=[*members, members[1]])
    found = unexplained.exponent_at_end([], forecast, 10, 0.95)
    assert found.laws == (("m4", "power_law") if counted else ("power_law",))
    assert unexplained.exponent_at_end([], None, 10, 0.95) is None
