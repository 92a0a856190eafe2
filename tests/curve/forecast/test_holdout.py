import numpy as np
import pytest

from isoflop.curve.fit import Method
from isoflop.curve.forecast import holdout

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
    assert met.inside_new_run_interval >= met.runs - 1
    assert missed.inside_new_run_interval == 0
    row = met.rows[0]
    assert row.low < row.predicted < row.high
    assert met.log_rmse == pytest.approx(
        np.sqrt(np.mean([np.log(r.predicted / r.y) ** 2 for r in met.rows])), rel=1e-9
    )


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
        ("big", "Give a column"),
    ],
)
def test_what_cannot_be_held_out_is_refused(make_table, expression, message):
    table = make_table(X, X**-0.1)
    with pytest.raises(ValueError, match=message):
        holdout.fit_and_judge(table, expression, x="train_gflops", y="test_error", method=METHOD)
