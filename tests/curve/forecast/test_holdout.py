import dataclasses

import numpy as np
import pytest

from isoflop.curve.fit import Method
from isoflop.curve.forecast import holdout
from isoflop.curve.result import Band
from isoflop.table import held_out
from isoflop.table.held_out import PredictedPoint, Prediction

X = np.geomspace(1, 1e5, 24)
METHOD = Method(resamples=60, laws=("power_law_ols",))


def test_what_is_held_out_is_judged_and_not_fitted(make_table):
    table = make_table(X, 0.03 + 0.6 * X**-0.35, seeds=2, noise=0.02)
    report = holdout.fit_and_judge(table, "train_gflops>1e4", x="train_gflops", y="test_error", method=METHOD)
    changed = table.assign(test_error=table["test_error"].where(table["train_gflops"] <= 1e4, 0.5))
    again = holdout.fit_and_judge(
        changed, "train_gflops>1e4", x="train_gflops", y="test_error", method=METHOD
    )
    assert report.forecast == again.forecast
    assert report.x_max <= 1e4
    met, missed = report.held_out, again.held_out
    assert met.runs == int((table["train_gflops"] > 1e4).sum())
    assert met.largest_ratio == pytest.approx(1e5 / report.x_max)
    assert met.log_rmse < 0.15
    assert missed.inside_new_run_interval == 0
    row = met.rows[0]
    assert row.low < row.predicted < row.high
    assert met.log_rmse == pytest.approx(
        np.sqrt(np.mean([np.log(r.predicted / r.y) ** 2 for r in met.rows])), rel=1e-9
    )


def test_held_out_runs_lie_inside_as_often_as_the_interval_says(make_table):
    """Six sweeps: the five configurations held out of each share their noise between two seeds."""
    inside = runs = 0
    for seed in range(6):
        table = make_table(X, 0.03 + 0.6 * X**-0.35, seeds=2, noise=0.02, seed=seed)
        met = holdout.fit_and_judge(
            table, "train_gflops>1e4", x="train_gflops", y="test_error", method=METHOD
        ).held_out
        assert met is not None
        inside, runs = inside + met.inside_new_run_interval, runs + met.runs
    assert inside >= 0.85 * runs


def test_a_far_run_is_within_the_band(make_table):
    table = make_table(X, 0.03 + 0.6 * X**-0.35, seeds=2, noise=0.02)
    report = holdout.fit_and_judge(table, "train_gflops>300", x="train_gflops", y="test_error", method=METHOD)
    assert report.forecast.band.x[-1] > 1e5
    assert report.held_out.largest_ratio > 300


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("train_gflops>1e9", "no row is held out"),
        ("train_gflop>1", "did you mean train_gflops"),
        ("big", "no column big"),
    ],
)
def test_what_cannot_be_held_out_is_refused(make_table, expression, message):
    table = make_table(X, X**-0.1)
    with pytest.raises(ValueError, match=message):
        holdout.fit_and_judge(table, expression, x="train_gflops", y="test_error", method=METHOD)


@pytest.fixture
def declared(make_table):
    """A table whose largest configuration was held out before training, and its two rows."""
    table = make_table(X, 0.03 + 0.6 * X**-0.35, seeds=2, noise=0.02)
    table[held_out.COLUMN] = (table["train_gflops"] > 9e4).astype(float)
    held = table[held_out.mask(table)]
    assert len(held) == 2
    return table, held


def judged(table, stored, axes=(("train_gflops", "test_error"),)):
    return holdout.fit_sweep(table, source="s", method=METHOD, axes=axes, stored=stored).reports[0]


def prediction_of(held, *points, reason=None):
    made = tuple(
        PredictedPoint(run_id, 1e5, y, low, high, (1e5,))
        for run_id, (y, low, high) in zip(held["run_id"], points, strict=False)
    )
    of_forecast = (held_out.FORECAST, None, ("train_gflops",))
    return Prediction("train_gflops", "test_error", *of_forecast, "2026-01-01", "", 40, "", made, reason)


def test_the_prediction_written_before_training_is_judged_and_not_todays_fit(declared):
    table, held = declared
    seen = held["test_error"].to_numpy()
    stored = prediction_of(held, (2 * seen[0], seen[0] / 2, 3 * seen[0]), (seen[1], 1.1 * seen[1], 1.2))
    report, fitted = judged(table, stored), judged(table, None)
    assert [(r.predicted, r.low, r.high) for r in report.held_out.rows] == [
        (p.y, p.new_low, p.new_high) for p in stored.points
    ]
    assert report.held_out.inside_new_run_interval == 1
    assert report.held_out.log_rmse == pytest.approx(np.log(2) / np.sqrt(2))
    assert report.held_out.law == held_out.FORECAST
    assert report.held_out.expression.endswith("predicted there from 40 points at 2026-01-01")
    assert dataclasses.replace(report, held_out=None) == dataclasses.replace(fitted, held_out=None)
    assert fitted.held_out.expression == held_out.EXPRESSION
    assert fitted.held_out.rows != report.held_out.rows


def test_of_other_axes_the_fit_is_judged(declared):
    table, held = declared
    table["test_loss"] = table["test_error"]
    axes = (("train_gflops", "test_loss"),)
    stored = prediction_of(held, (0.9, 0.8, 1.0))
    assert judged(table, stored, axes) == judged(table, None, axes)


def test_held_out_runs_without_a_stored_prediction_are_named_and_not_judged(declared):
    table, held = declared
    one = judged(table, prediction_of(held, (0.05, 0.01, 0.1)))
    assert [row.run_id for row in one.held_out.rows] == [held["run_id"].iloc[0]]
    assert "1 held-out runs were trained without a prediction: their compute was unknown" in one.warnings
    none = judged(table, prediction_of(held, reason="too few points"))
    assert none.held_out is None
    assert "2 held-out runs were trained without a prediction: too few points" in none.warnings


def test_bands_end_15_per_cent_beyond_the_largest_run_held_out(declared):
    table, held = declared
    at = held["train_gflops"].to_numpy()
    fitted = table["train_gflops"][~held_out.mask(table)].max()
    near = dataclasses.replace(METHOD, beyond=1.5)
    assert holdout._reaching(table, at, "train_gflops", near).beyond == pytest.approx(1.15 * 1e5 / fitted)
    assert holdout._reaching(table, at, "train_gflops", METHOD).beyond == METHOD.beyond, "it is further"
    unknown = table.assign(train_gflops=table["train_gflops"].where(held_out.mask(table)))
    assert holdout._reaching(unknown, at, "train_gflops", near).beyond == 1.5


@dataclasses.dataclass(frozen=True)
class _Fits:
    reports: tuple[str, ...]


@pytest.fixture
def known_rows(monkeypatch):
    """What fit_sweep judges: run_id of the held-out rows, and the end of the bands; nothing is fitted."""

    def judge(table, axes=(("train_gflops", "test_error"),)):
        seen: dict[str, object] = {"runs": None}

        def fit_all(rows, *, source, method, axes):
            seen["beyond"] = method.beyond
            return _Fits(("first", "second"))

        def with_own(report, rows, known):
            assert report == "first"
            seen["runs"] = known["run_id"].tolist()
            return "judged"

        monkeypatch.setattr(holdout, "fit_all", fit_all)
        monkeypatch.setattr(holdout, "_with_own", with_own)
        made = holdout.fit_sweep(table, source="s", method=METHOD, axes=axes)
        assert made.reports == ("first" if seen["runs"] is None else "judged", "second")
        return seen["runs"]

    return judge


@pytest.mark.parametrize("column", ["train_gflops", "test_error"])
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_held_out_row_without_x_or_y_is_not_judged(declared, known_rows, column, value):
    table, held = declared
    assert known_rows(table) == held["run_id"].tolist()
    table.loc[held.index[0], column] = value
    assert known_rows(table) == [held["run_id"].iloc[1]]
    table.loc[held.index[1], column] = value
    assert known_rows(table) is None


def test_held_out_rows_are_judged_in_any_unit_and_on_axes_that_the_table_has(declared, known_rows):
    table, held = declared
    assert known_rows(table.assign(train_gflops=table["train_gflops"] / 1e6)) == held["run_id"].tolist()
    assert known_rows(table, (("absent", "test_error"),)) is None
    assert known_rows(table, (("train_gflops", "absent"),)) is None


def test_bands_need_no_more_than_their_own_reach_where_no_x_is_known(declared):
    table, held = declared
    at = held["train_gflops"].to_numpy()
    near = dataclasses.replace(METHOD, beyond=1.1)
    unknown = table.assign(train_gflops=table["train_gflops"].where(held_out.mask(table)))
    assert holdout._reaching(unknown, at, "train_gflops", near).beyond == pytest.approx(holdout.MARGIN)
    assert holdout.MARGIN == 1.15


@pytest.mark.parametrize("column", ["train_gflops", "test_error"])
def test_a_row_held_out_by_an_expression_needs_x_and_y_above_0(make_table, column):
    table = make_table(X, 0.03 + 0.6 * X**-0.35, seeds=2, noise=0.02)
    held = table.index[table["train_gflops"] > 9e4]
    table["chosen"] = 0.0
    table.loc[held, "chosen"] = 1.0
    table.loc[held[0], column] = 0.0
    met = holdout.fit_and_judge(table, "chosen>0", x="train_gflops", y="test_error", method=METHOD).held_out
    assert [row.run_id for row in met.rows] == table["run_id"][held[1:]].tolist()
    table.loc[held, column] = 0.0
    message = "no held-out row has train_gflops and test_error above 0"
    with pytest.raises(ValueError, match=message):
        holdout.fit_and_judge(table, "chosen>0", x="train_gflops", y="test_error", method=METHOD)


def test_a_band_is_read_off_on_logarithmic_axes():
    x = (1.0, 100.0)
    band = Band(x, (0.5, 0.05), (0.4, 0.04), (0.6, 0.06), (0.3, 0.03), (0.7, 0.07))
    read = holdout._read(band, np.array([10.0, 100.0]))
    np.testing.assert_allclose(read[0], np.sqrt([0.5 * 0.05, 0.3 * 0.03, 0.7 * 0.07]))
    np.testing.assert_allclose(read[1], [0.05, 0.03, 0.07])


def test_runs_at_an_end_of_their_interval_are_inside():
    predicted = np.array([[0.5, 0.4, 0.6]] * 4)
    y = np.array([0.4, 0.6, 0.3999, 0.6001])
    met = holdout._compare("e", list("abcd"), np.array([1.0, 2.0, 3.0, 40.0]), y, predicted, 10.0)
    assert (met.runs, met.inside_new_run_interval, met.largest_ratio) == (4, 2, 4.0)
    assert met.log_rmse == pytest.approx(np.sqrt(np.mean(np.log(0.5 / y) ** 2)))
