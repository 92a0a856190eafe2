"""The joint law's predictions of new runs of text: how often intervals hold, and when there are none."""

import numpy as np
import pytest

from isoflop.curve.fit import Method
from isoflop.curve.forecast import holdout
from isoflop.curve.language import law

AXES = {"x": "train_gflops", "y": "test_bits_per_byte"}
NEW = ((24, 1, 1e12), (48, 1, 1e13), (128, 2, 4e13), (192, 2, 1e14))
"""Width, depth and training FLOPs of new runs, the last two beyond all that is fitted."""
NOISE = 0.01


def _new_runs(language_sweep):
    size = [language_sweep.without_embeddings(w, d) for w, d, _ in NEW]
    seen = [compute / language_sweep.flops_per_byte(w, d) for w, d, compute in NEW]
    return np.column_stack([size, seen])


def test_intervals_of_new_runs_hold_about_95_percent(language_sweep):
    at = _new_runs(language_sweep)
    truth = np.array([language_sweep.LAW.bits(*each) for each in at])
    inside, widths = [], []
    for seed in range(12):
        rows = language_sweep.language_table(noise=NOISE, seed=seed).rows
        predicted, low, high = law.predict_new_runs(rows, at, resamples=100).T
        seen = truth * np.exp(NOISE * np.random.default_rng(1000 + seed).standard_normal(len(at)))
        inside += list((low <= seen) & (seen <= high))
        widths += list(np.log(high / low))
        assert predicted == pytest.approx(truth, rel=0.08)
    assert np.mean(inside) >= 0.88
    assert 2 * 1.96 * NOISE < np.median(widths) < 4 * 1.96 * NOISE, "wider than a seed, but not idle"


def test_a_prediction_is_made_at_the_size_and_bytes_of_the_run_and_not_at_its_compute(language_sweep):
    """Two runs of equal compute, one of them far too small: the law over compute gives them one value."""
    rows = language_sweep.language_table().rows
    shapes = ((8, 1), (128, 2))
    runs = rows.iloc[:2].assign(
        train_gflops=1e5,
        parameters_without_embeddings=[language_sweep.without_embeddings(*each) for each in shapes],
        examples_seen=[1e14 / language_sweep.flops_per_byte(*each) for each in shapes],
    )
    made = holdout.predict(rows, runs, method=Method(resamples=40), **AXES)
    assert (made.law, made.law_reason, made.resources) == (law.LAW, None, law.RESOURCES)
    resources = runs[list(law.RESOURCES)].to_numpy()
    truth = [language_sweep.LAW.bits(*each) for each in resources]
    assert truth[0] > 1.2 * truth[1]
    assert made.values[:, 0] == pytest.approx(truth, rel=0.03)
    assert (made.at == resources).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows[rows["width"] == 32], "cannot carry it"),
        (lambda rows: rows.assign(parameters_without_embeddings=2 * rows["examples_seen"]), "follows from"),
        (
            lambda rows: rows.assign(
                parameters_without_embeddings=rows["examples_seen"] * rows["width"].clip(10, 14)
            ),
            "sizes and budgets are not crossed",
        ),
        (lambda rows: rows.assign(config_id="one"), "give no interval"),
        (lambda rows: rows.assign(domain="image"), "no run of text"),
    ],
)
def test_without_a_joint_law_the_reason_is_said(language_sweep, change, reason):
    rows = change(language_sweep.language_table().rows)
    with pytest.raises(ValueError, match=reason):
        law.predict_new_runs(rows, _new_runs(language_sweep), resamples=40)


def test_where_sizes_are_not_crossed_the_law_over_compute_predicts_as_before(language_sweep):
    rows = language_sweep.language_table().rows
    seen = rows["examples_seen"]
    path = rows.assign(parameters_without_embeddings=2 * seen, train_gflops=1e-6 * seen)
    runs = path.iloc[-2:]
    made = holdout.predict(path, runs, method=Method(resamples=40), **AXES)
    assert (made.law, made.resources) == ("forecast", ("train_gflops",))
    assert "follows from" in made.law_reason
    other = holdout.predict(rows, runs, x="examples_seen", y=AXES["y"], method=Method(resamples=40))
    assert (other.law, other.law_reason) == ("forecast", None), "of other axes it is the fit's"


def test_held_out_rows_without_a_stored_prediction_are_judged_by_the_joint_law(language_sweep):
    rows = language_sweep.language_table().rows
    rows = rows.assign(held_out=(rows["train_gflops"] > 5000) & (rows["width"] > 64))
    report = holdout.fit_sweep(
        rows, source="synthetic", method=Method(resamples=40), axes=((AXES["x"], AXES["y"]),)
    ).reports[0]
    assert report.held_out.law == law.LAW
    assert report.held_out.log_rmse < 0.02
    at = rows[rows["held_out"]][list(law.RESOURCES)].to_numpy()
    assert [each.predicted for each in report.held_out.rows] == list(law.predict_new_runs(rows, at)[:, 0])
