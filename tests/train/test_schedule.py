from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.config import ScheduleConfig
from isoflop.train import schedule


def wsd(**changes: float | int | str | None) -> ScheduleConfig:
    base: dict[str, Any] = {
        "shape": "wsd",
        "cooldowns": (),
        "epochs": None,
        "steps": None,
        "train_gflops": None,
    }
    base |= {"warmup_fraction": 0.1, "decay_fraction": 0.3, "evaluations": 5}
    return ScheduleConfig(**(base | changes))


def test_warm_up_stable_decay_by_hand() -> None:
    rates = schedule.learning_rates(wsd(steps=10, warmup_fraction=0.2, decay_fraction=0.4), 10)
    assert rates == (0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25)


def test_a_decay_as_one_minus_the_root_of_progress_by_hand() -> None:
    """Haegele et al. 2024: 1 - sqrt(i / n) at step i of n, of a whole run and of a cooldown branch."""
    config = wsd(steps=10, warmup_fraction=0.2, decay_fraction=0.4, decay_shape="one_minus_sqrt")
    falling = (1.0, 0.5, 1 - math.sqrt(0.5), 1 - math.sqrt(0.75))
    assert schedule.learning_rates(config, 10) == pytest.approx((0.5, 1, 1, 1, 1, 1, *falling))
    trunk = dataclasses.replace(config, cooldowns=(0.5, 1.0))
    assert schedule.learning_rates(trunk, 20, 10) == pytest.approx((0.25, 0.5, 0.75, 1, 1, 1, *falling))


def test_linear_to_zero_is_a_decay_that_begins_where_the_warm_up_ends() -> None:
    rates = schedule.learning_rates(wsd(steps=10, warmup_fraction=0.2, decay_fraction=0.8), 10)
    assert rates == (0.5, 1.0, *(left / 8 for left in range(8, 0, -1)))
    for percent in range(101):
        warmup = percent / 100
        assert wsd(steps=10, warmup_fraction=warmup, decay_fraction=1 - warmup), "two decimals add up to 1"


@given(
    st.integers(1, 500),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.sampled_from(["linear", "one_minus_sqrt"]),
)
def test_no_step_is_wasted_and_none_exceeds_the_peak(
    steps: int, warmup: float, decay: float, shape: str
) -> None:
    config = wsd(steps=steps, warmup_fraction=warmup, decay_fraction=decay, decay_shape=shape)
    rates = schedule.learning_rates(config, steps)
    assert len(rates) == steps
    assert all(0 < rate <= 1 for rate in rates)


def test_length_by_epochs_steps_and_budget() -> None:
    common: dict[str, Any] = {"train_n": 1000, "batch_size": 32, "train_flops_per_example": 5e6}
    assert schedule.total_steps(wsd(epochs=2.0), **common) == 2 * 31
    assert schedule.total_steps(wsd(steps=7), **common) == 7
    assert schedule.total_steps(wsd(train_gflops=1.6), **common) == 10
    for nonsense in (wsd(train_gflops=1e-9), wsd(train_gflops=1e30), wsd(epochs=1e-3), wsd(steps=10**8)):
        with pytest.raises(ValueError, match="steps; give 1 to"):
            schedule.total_steps(nonsense, **common)


def test_bad_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size=64: larger than the 50 training examples"):
        schedule.total_steps(wsd(steps=7), train_n=50, batch_size=64, train_flops_per_example=1.0)
    with pytest.raises(ValueError, match="FLOPs are unknown"):
        schedule.total_steps(wsd(train_gflops=1.0), train_n=50, batch_size=5, train_flops_per_example=None)


@given(st.integers(1, 300), st.integers(1, 20))
def test_stops_rise_to_the_last_step(steps: int, evaluations: int) -> None:
    stops = schedule.stops(steps, evaluations)
    assert stops[-1] == steps
    assert list(stops) == sorted(set(stops))
    assert stops[0] > 0
    assert len(stops) <= evaluations


def test_loss_marks_are_spaced_in_the_logarithm_and_end_each_horizon() -> None:
    marks = schedule.loss_marks(10_000, (2500, 10_000))
    assert marks[0] == 1
    assert {2500, 10_000} <= set(marks)
    assert 30 <= len(marks) <= 41
    late = [
        later / earlier for earlier, later in itertools.pairwise(m for m in marks if m > 100 and m != 2500)
    ]
    assert max(late) / min(late) < 1.05
    assert schedule.loss_marks(1, (1,)) == (1,)
