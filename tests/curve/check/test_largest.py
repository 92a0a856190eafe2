import numpy as np
import pandas as pd
import pytest

from isoflop.curve.check import front, largest


@pytest.fixture
def sweep():
    """20 shapes with two seeds, error and training loss falling as powers of compute; the last one raised."""

    def make(factor=1.0, configs=20):
        rng = np.random.default_rng(0)
        compute = np.repeat(np.geomspace(1, 1e4, configs), 2)
        raised = np.where(compute == compute.max(), factor, 1.0)
        shape = np.repeat(0.03 * rng.standard_normal((2, configs)), 2, axis=1)
        return pd.DataFrame(
            {
                "run_id": [f"r{i}" for i in range(2 * configs)],
                "config_id": np.repeat([f"c{i}" for i in range(configs)], 2),
                "label": np.repeat([f"w{i}" for i in range(configs)], 2),
                "train_gflops": compute,
                "test_error": 0.6 * compute**-0.25 * raised * np.exp(shape[0]),
                "train_loss": 1.5 * compute**-0.2 * raised * np.exp(shape[1]),
            }
        )

    return make


def test_a_raised_top_is_a_warning_with_its_runs_and_what_it_changes(sweep):
    outcome = largest.check(sweep(1.3))
    (found,) = outcome.findings
    assert (found.kind, found.severity) == ("largest", "warning")
    assert [s.name for s in found.subjects] == ["w19"]
    assert found.subjects[0].run_ids == ("r38", "r39")
    assert found.sentence.startswith("the largest configuration (w19) lies above the curve of the smaller")
    assert "by test_error and training loss" in found.sentence
    assert "at 10 times the largest x" in found.sentence


def test_a_top_on_the_curve_passes_with_what_could_be_seen(sweep):
    passed = largest.check(sweep()).passed
    assert passed is not None
    assert passed.startswith("w19: ")
    assert "a deviation of less than that is not seen" in passed


def test_without_a_training_loss_or_error_the_other_serves(sweep):
    table = sweep(1.4)
    assert "by test_error: " in largest.check(table.drop(columns="train_loss")).findings[0].sentence
    of_loss = table.rename(columns={"test_error": "test_loss"})
    assert "by test_loss and training loss" in largest.check(of_loss).findings[0].sentence


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        (lambda t: t.drop(columns="train_gflops"), "needs test_error and train_gflops"),
        (lambda t: t.drop(columns="test_error"), "needs test_error and train_gflops"),
        (lambda t: t.head(10), "needs 6 configurations"),
        (lambda t: t.head(2), "needs 6 configurations at three or more compute scales"),
    ],
)
def test_what_is_absent_is_named(sweep, change, lacking):
    outcome = largest.check(change(sweep()))
    assert outcome.not_checked is not None
    assert outcome.not_checked.startswith(lacking)


def test_it_stands_in_the_report(sweep):
    assert [found.kind for found in front.check(sweep(1.3)).of("largest")] == ["largest"]
