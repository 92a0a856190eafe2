"""The critical batch size of simulated sweeps: recovered, censored, refused."""

import dataclasses

import numpy as np
import pytest

from isoflop.curve.batch import front
from isoflop.table.loss_curves import LossCurve, LossCurves

from .conftest import BATCHES, CRITICAL, LOSS, STEPS_MIN, Simulate


def without(curves: LossCurves, batch: float, losses: float) -> LossCurves:
    """The curves with no loss of one batch size under `losses`."""
    cut = tuple(
        dataclasses.replace(each, losses=np.maximum(each.losses, losses)) if each.batch == batch else each
        for each in curves.curves
    )
    return dataclasses.replace(curves, curves=cut)


def test_a_known_critical_size_is_recovered(simulate: Simulate) -> None:
    fit = front.critical_batch(simulate(), LOSS)
    assert fit.critical_batch is not None
    assert fit.critical_batch.value == pytest.approx(CRITICAL, rel=0.01)
    assert fit.steps_min is not None
    assert fit.steps_min.value == pytest.approx(STEPS_MIN, rel=0.01)
    assert [each.batch for each in fit.batch_sizes] == list(BATCHES)
    assert {each.lr for each in fit.batch_sizes} == {0.1}, "the best of three"
    assert {each.edge for each in fit.batch_sizes} == {None}
    assert fit.batch_sizes[4].efficiency == pytest.approx(0.5, abs=0.01)
    assert fit.chosen
    assert fit.warnings == ()


@pytest.mark.slow
def test_the_whole_way_from_noisy_losses_covers_the_truth(simulate: Simulate) -> None:
    held, found = 0, []
    for seed in range(100):
        fit = front.critical_batch(simulate(seed=seed, spread=0.1, jitter=0.05), LOSS)
        low, high = fit.critical_low, fit.critical_high
        held += (low or 0.0) <= CRITICAL <= (high or np.inf)
        found.append(fit.critical_batch.value if fit.critical_batch else np.nan)
    assert held >= 88, "95 of 100 expected, with a standard deviation of 2.2"
    assert np.median(found) == pytest.approx(CRITICAL, rel=0.05)


def test_the_best_rate_is_chosen_for_each_batch_size_and_its_edge_is_said(simulate: Simulate) -> None:
    fit = front.critical_batch(simulate(rates=(0.25, 0.5)), LOSS)
    assert {each.edge for each in fit.batch_sizes} == {"highest"}
    assert "the best rate is the lowest or highest tried at batch size 4 (highest)" in fit.warnings[0]
    assert fit.critical_batch is not None
    assert fit.critical_batch.value == pytest.approx(CRITICAL, rel=0.02), "all are slower by one factor"


def test_a_single_rate_has_no_edge(simulate: Simulate) -> None:
    fit = front.critical_batch(simulate(rates=(1.0,)), LOSS)
    assert {each.edge for each in fit.batch_sizes} == {None}


def test_a_batch_size_that_never_reaches_the_loss_is_a_lower_bound_and_left_out(simulate: Simulate) -> None:
    fit = front.critical_batch(without(simulate(), 512, 1.01 * LOSS), LOSS)
    last = fit.batch_sizes[-1]
    assert last.steps is None
    assert last.more_than == 2 * STEPS_MIN * (1 + CRITICAL / 512)
    assert last.reason == "no rate reaches the loss with all seeds within 90 steps"
    assert [each.batch for each in fit.fitted] == list(BATCHES[:-1])
    assert fit.critical_batch is not None
    assert fit.critical_batch.value == pytest.approx(CRITICAL, rel=0.02)
    assert any("expects 45 steps at batch size 512, which did not reach" in note for note in fit.warnings)


def test_a_bound_that_the_curve_agrees_with_is_no_warning(simulate: Simulate) -> None:
    short = simulate(batches=(4,), length=0.9)
    rest = simulate(batches=BATCHES[1:])
    both = dataclasses.replace(rest, curves=(*short.curves, *rest.curves))
    fit = front.critical_batch(both, LOSS)
    assert fit.batch_sizes[0].more_than is not None
    assert fit.warnings == ()


def test_a_rate_counts_only_if_all_its_seeds_reach_the_loss(simulate: Simulate) -> None:
    curves = simulate()
    failed = tuple(
        dataclasses.replace(each, losses=np.maximum(each.losses, 0.3))
        if (each.batch, each.lr, each.seed) == (64, 0.1, "2")
        else each
        for each in curves.curves
    )
    fit = front.critical_batch(dataclasses.replace(curves, curves=failed), LOSS)
    assert fit.batch_sizes[4].lr != 0.1
    assert fit.batch_sizes[4].edge is not None


def test_without_a_loss_it_is_the_lowest_that_all_batch_sizes_reach(simulate: Simulate) -> None:
    curves = without(simulate(), 128, 0.1613)
    fit = front.critical_batch(curves)
    assert not fit.chosen
    assert fit.loss == 0.17, "rounded up to two digits"
    assert all(each.reason is None for each in fit.batch_sizes)
    lower = front.critical_batch(curves, 0.16)
    assert [each.batch for each in lower.batch_sizes if each.reason is not None] == [128]


def test_scatter_beyond_the_seeds_is_said(simulate: Simulate) -> None:
    curves = simulate(spread=0.01)
    slowed = tuple(
        dataclasses.replace(each, steps=each.steps * (1.3 if each.batch in (8, 64, 512) else 1.0))
        for each in curves.curves
    )
    fit = front.critical_batch(dataclasses.replace(curves, curves=slowed), LOSS)
    assert fit.lack_of_fit is not None
    assert fit.lack_of_fit.p_value is not None
    assert fit.lack_of_fit.p_value < 1e-6
    assert any("more than seeds explain" in note for note in fit.warnings)


def test_the_test_of_the_curve_rejects_at_its_level(simulate: Simulate) -> None:
    p_values = []
    for seed in range(60):
        fit = front.critical_batch(simulate(seed=seed, spread=0.1, rates=(1.0,)), LOSS)
        assert fit.lack_of_fit is not None
        p_values.append(fit.lack_of_fit.p_value or 0.0)
    assert sum(p < 0.05 for p in p_values) <= 9, "3 expected"
    assert 0.3 < np.median(p_values) < 0.7


def test_one_seed_has_no_test_of_the_curve(simulate: Simulate) -> None:
    fit = front.critical_batch(simulate(seeds=1, spread=0.1), LOSS)
    assert fit.lack_of_fit is not None
    assert fit.lack_of_fit.p_value is None
    assert fit.lack_of_fit.p_value_reason == "one seed a batch size"


def test_batches_on_one_side_give_a_bound_and_say_what_to_train(simulate: Simulate) -> None:
    small = simulate(batches=(0.01, 0.02, 0.04, 0.08), rates=(1.0,), seeds=2, spread=0.02)
    fit = front.critical_batch(small, LOSS)
    if fit.critical_batch is None:
        assert fit.steps_min is None
        assert fit.examples_min is not None
        assert "train larger batches" in str(fit.reason)
    else:
        assert any("an extrapolation" in note for note in fit.warnings)
    assert fit.critical_high is None
    near = front.critical_batch(simulate(batches=(4, 8, 16, 32)), LOSS)
    assert near.critical_batch is not None
    assert any("above the largest batch, 32" in note for note in near.warnings)
    above = front.critical_batch(simulate(batches=(4, 8, 16, 32, 65)), LOSS)
    assert not above.warnings
    below = front.critical_batch(simulate(batches=(66, 128, 256, 512)), LOSS)
    assert any("below the smallest batch, 66" in note for note in below.warnings)


def flat(batch: float, losses: list[float], seed: int = 0) -> LossCurve:
    steps = np.array([10.0 * (i + 1) for i in range(len(losses))])
    return LossCurve(f"{batch}-{seed}", batch, 0.1, str(seed), steps, np.array(losses))


def curves_of(*curves: LossCurve) -> LossCurves:
    return LossCurves("runs.csv", curves, "val_loss", "images")


@pytest.mark.parametrize(
    ("curves", "loss", "message"),
    [
        (curves_of(flat(8, [2, 1, 0.5])), None, "all runs have batch size 8: train at several"),
        (
            curves_of(flat(8, [2, 1, 0.5]), flat(16, [2, 1, 0.4])),
            0.3,
            "no batch size reaches it with all seeds of a rate: give a higher one, such as 0.5",
        ),
        (
            curves_of(flat(8, [2, 1, 0.5]), flat(16, [2, 1, 0.4])),
            0.45,
            "one batch size reaches it with all seeds of a rate: give a higher one, such as 0.5",
        ),
        (
            curves_of(flat(8, [2, 1, 0.5]), flat(16, [1.5, 1, 0.4])),
            3.0,
            r"val_loss is below it at the first evaluation \(up to 2 there\): give a lower one",
        ),
        (curves_of(flat(8, [2, 1, 0.5]), flat(16, [2, 1, 0.4])), 0.0, "--loss 0: give a loss above 0"),
        (
            curves_of(flat(8, [2, 1, 0.5]), flat(16, [2, 1, 0.4])),
            float("nan"),
            "--loss nan: give a loss above 0",
        ),
        (curves_of(flat(8, [np.inf] * 3), flat(16, [np.inf] * 3)), None, "diverged at all batch sizes"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(curves: LossCurves, loss: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        front.critical_batch(curves, loss)


def test_the_two_sides_of_what_can_be_fitted() -> None:
    both = curves_of(flat(8, [2, 1, 0.5]), flat(16, [2, 1, 0.4]))
    fit = front.critical_batch(both, 0.5)
    assert len(fit.fitted) == 2
    assert "two batch sizes: no interval, and no test of the curve" in fit.warnings
    assert front.critical_batch(both, 1.9).runs == 2


def test_a_batch_size_below_the_loss_at_its_first_evaluation_is_left_out() -> None:
    some = curves_of(flat(8, [2, 1, 0.5]), flat(16, [1.5, 1, 0.4]), flat(32, [0.9, 0.5, 0.3]))
    fit = front.critical_batch(some, 0.95)
    assert fit.batch_sizes[-1].reason == (
        "its first evaluation is below the loss already: evaluate more often, or lower --loss"
    )
    assert len(fit.fitted) == 2
