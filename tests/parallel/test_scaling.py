"""What timings of a known model say: serial fraction, communication, limits, and their error bars."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from isoflop.parallel import intervals, limits, scaling
from isoflop.parallel.intervals import Bounded

from . import simulated

REPEATED = 200


def _covers(bounded: Bounded | None, truth: float) -> bool:
    assert bounded is not None
    low = -math.inf if bounded.low is None else bounded.low
    high = math.inf if bounded.high is None else bounded.high
    return low <= truth <= high


def _group(*workers: int, seed: int = 0, communicates: bool = True, noise: float = 0.01) -> scaling.Group:
    made = simulated.records(*workers, seed=seed, communicates=communicates, noise=noise)
    (group,) = scaling.groups(made)
    return group


def test_communication_and_its_turning_point_are_recovered_within_their_error_bars() -> None:
    truths = {
        "fixed_seconds": simulated.FIXED,
        "seconds_per_worker": simulated.PER_WORKER,
        "turning_point": math.sqrt(simulated.SHARED / simulated.PER_WORKER),
    }
    fitted = [_group(1, 2, 4, 8, seed=seed) for seed in range(REPEATED)]
    for name, truth in truths.items():
        covered = np.mean([_covers(getattr(group, name), truth) for group in fitted])
        assert 0.90 <= covered <= 0.99, (name, covered)


def test_the_serial_fraction_is_recovered_within_its_error_bars() -> None:
    """Without communication Amdahl's f and those of Karp and Flatt at every N are s / (s + p)."""
    fitted = [_group(1, 2, 4, 8, seed=seed, communicates=False) for seed in range(REPEATED)]
    covered = np.mean([_covers(group.serial_fraction, simulated.SERIAL) for group in fitted])
    assert 0.90 <= covered <= 0.99, covered
    for index in (1, 2, 3):
        covered = np.mean([_covers(group.rows[index].serial_fraction, simulated.SERIAL) for group in fitted])
        assert covered >= 0.93, (index, covered)  # the median's interval is a little wider than 95%


def test_without_noise_every_number_is_that_of_the_formulas() -> None:
    group = _group(1, 2, 4, 8, noise=0.0)
    of_four = group.of("strong")[2]
    seconds = simulated.SERIAL + simulated.SHARED / 4 + simulated.FIXED + 4 * simulated.PER_WORKER
    speedup = 1 / seconds
    assert of_four.seconds.value == pytest.approx(seconds)
    assert of_four.speedup.value == pytest.approx(speedup)
    assert of_four.efficiency.value == pytest.approx(speedup / 4)
    assert of_four.serial_fraction is not None
    assert of_four.parallel_fraction is not None
    assert of_four.serial_fraction.value == pytest.approx(limits.serial_fraction(speedup, 4))
    assert of_four.parallel_fraction.value == pytest.approx(1 - of_four.serial_fraction.value)
    assert of_four.compute + of_four.communication + of_four.waiting == pytest.approx(1)
    assert group.fixed_seconds is not None
    assert group.seconds_per_worker is not None
    assert group.fixed_seconds.value == pytest.approx(simulated.FIXED)
    assert group.seconds_per_worker.value == pytest.approx(simulated.PER_WORKER)
    # Eight workers with eight times the work take as long as one, and the communication.
    of_eight = group.of("weak")[-1]
    assert of_eight.speedup.value == pytest.approx(8 / (1 + simulated.FIXED + 8 * simulated.PER_WORKER))
    assert group.scaled_serial_fraction == of_eight.scaled_serial_fraction
    assert group.scaled_serial_fraction is not None
    by_gustafson = limits.gustafson_speedup(group.scaled_serial_fraction.value, 8)
    assert of_eight.speedup.value == pytest.approx(by_gustafson)


@pytest.mark.parametrize(("workers", "known"), [((1, 2), False), ((1, 2, 4), True)])
def test_communication_is_fitted_from_three_numbers_of_workers_on(
    workers: tuple[int, ...], known: bool
) -> None:
    group = _group(*workers)
    for name in ("fixed_seconds", "seconds_per_worker", "turning_point"):
        assert (getattr(group, name) is not None) == known
        assert (getattr(group, f"{name}_reason") is None) == known
    if not known:
        assert group.turning_point_reason == "takes three numbers of workers or more, and there are 2"
    assert group.serial_fraction is not None


def test_a_speedup_above_the_number_of_workers_has_no_limit() -> None:
    base, two = simulated.records(1, 2, weak=False, communicates=False, noise=0.0)
    faster = dataclasses.replace(two, wall_seconds=tuple(w / 2 for w in two.wall_seconds))
    (group,) = scaling.groups([base, faster])
    assert group.rows[1].efficiency.value > 1
    assert group.speedup_limit is None
    assert group.speedup_limit_reason == "no serial fraction shows at 2 workers"


def test_communication_that_does_not_grow_has_no_turning_point() -> None:
    made = simulated.records(1, 2, 4, weak=False, noise=0.0)
    flat = [
        dataclasses.replace(
            record,
            split=tuple(
                dataclasses.replace(timing, communication_seconds=1.0 / record.workers)
                for timing in record.split
            ),
        )
        for record in made
    ]
    (group,) = scaling.groups(flat)
    assert group.turning_point is None
    assert group.turning_point_reason == "communication does not grow with the workers in these timings"


def test_records_without_one_worker_have_nothing_to_be_compared_with() -> None:
    assert scaling.groups(simulated.records(1, 2)[1:]) == ()


@pytest.mark.parametrize(("n", "ends"), [(5, (0, 4)), (6, (0, 5)), (9, (1, 7)), (20, (5, 14))])
def test_the_median_lies_between_the_order_statistics_of_the_sign_test(n: int, ends: tuple[int, int]) -> None:
    """Tables of the sign test: ranks 2 and 8 of 9, 6 and 15 of 20 (Conover, Practical Nonparametric
    Statistics)."""
    assert intervals.median(range(n)) == Bounded((n - 1) / 2, *ends)


def test_the_interval_of_a_ratio_adds_the_distances_of_both() -> None:
    ratio = intervals.ratio(Bounded(4.0, 3.0, 5.0), Bounded(2.0, 2.0, 2.0))
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((1.5, 2.0, 2.5))
    both = intervals.ratio(Bounded(4.0, 3.0, 5.0), Bounded(2.0, 1.5, 2.5))
    assert both.high == pytest.approx(2 * math.exp(math.hypot(math.log(5 / 4), math.log(2 / 1.5))))
