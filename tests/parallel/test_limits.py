"""The closed formulas: against exact fractions, each other, and figures worked out by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from isoflop.parallel import limits
from isoflop.parallel.limits import TimeModel

EXACT = 1e-12


@pytest.mark.parametrize("workers", [2, 3, 8, 7_630_848])
@pytest.mark.parametrize("speedup", [Fraction(3, 2), Fraction(19, 10), Fraction(7)])
def test_fractions_against_exact_arithmetic(workers: int, speedup: Fraction) -> None:
    alpha = Fraction(workers, workers - 1) * (speedup - 1) / speedup
    assert limits.parallel_fraction(float(speedup), workers) == pytest.approx(float(alpha), rel=EXACT)
    assert limits.serial_fraction(float(speedup), workers) == pytest.approx(float(1 - alpha), rel=EXACT)
    share = speedup / workers
    assert limits.parallel_fraction_of_efficiency(float(share), workers) == pytest.approx(
        float(alpha), rel=EXACT
    )
    assert limits.serial_fraction_of_efficiency(float(share), workers) == pytest.approx(
        float(1 - alpha), rel=EXACT
    )


@pytest.mark.parametrize("serial", [0.0, 1e-9, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("workers", [2, 5, 1024])
def test_karp_and_flatt_undo_amdahl(serial: float, workers: int) -> None:
    speedup = limits.amdahl_speedup(serial, workers)
    assert limits.serial_fraction(speedup, workers) == pytest.approx(serial, rel=1e-9, abs=EXACT)
    assert limits.amdahl_efficiency(serial, workers) == pytest.approx(
        1 / (workers * serial + 1 - serial), rel=EXACT
    )
    assert speedup <= limits.speedup_limit(serial) * (1 + EXACT)


def test_amdahl_and_gustafson_by_hand() -> None:
    assert limits.amdahl_speedup(0.05, 20) == pytest.approx(20 / 1.95, rel=EXACT)
    assert limits.speedup_limit(0.05) == pytest.approx(20.0, rel=EXACT)
    # Gustafson's own example: 0.4 to 0.8 per cent serial on 1,024 processors give 1,016 to 1,021.
    assert limits.gustafson_speedup(0.004, 1024) == pytest.approx(0.004 + 0.996 * 1024, rel=EXACT)
    assert round(limits.gustafson_speedup(0.008, 1024)) == 1016
    assert limits.amdahl_speedup(0.3, 1) == pytest.approx(1.0, rel=EXACT)
    assert limits.gustafson_speedup(0.3, 1) == pytest.approx(1.0, rel=EXACT)


def test_gustafson_and_amdahl_are_one_law_in_two_fractions() -> None:
    """The serial share of the time on N workers, as one of the time on one, gives the same speed-up."""
    scaled, workers = 0.1, 16
    of_one = scaled / (scaled + (1 - scaled) * workers)
    assert limits.amdahl_speedup(of_one, workers) == pytest.approx(
        limits.gustafson_speedup(scaled, workers), rel=EXACT
    )


def test_nothing_serial_and_more_than_n() -> None:
    assert limits.speedup_limit(0.0) == math.inf
    assert limits.speedup_limit(-0.01) == math.inf
    assert limits.parallel_fraction(2.2, 2) > 1
    assert limits.serial_fraction(2.2, 2) < 0


def test_draws_keep_their_shape() -> None:
    draws = np.array([[1.5, 1.9], [1.2, 2.0]])
    made = limits.serial_fraction(draws, 2)
    assert made.shape == (2, 2)
    assert made[1, 1] == pytest.approx(0.0, abs=EXACT)
    assert made[0, 0] == pytest.approx(limits.serial_fraction(1.5, 2), rel=EXACT)
    assert limits.speedup(np.array([4.0]), np.array([1.0]))[0] == 4.0


def test_workers_past_which_more_hurt() -> None:
    model = TimeModel(0.1, 1.0, 0.02, 1e-4)
    assert model.turning_point == pytest.approx(100.0, rel=EXACT)
    assert model.best_workers == 100
    assert model.seconds(100) == pytest.approx(0.1 + 0.01 + 0.02 + 0.01, rel=EXACT)
    assert model.seconds(1) == pytest.approx(1.1, rel=EXACT)
    assert model.seconds(100) < min(model.seconds(99), model.seconds(101))
    assert model.speedup(100) == pytest.approx(1.1 / 0.14, rel=EXACT)
    assert limits.turning_point(1.0, 1e-4) == pytest.approx(100.0, rel=EXACT)


def test_whole_best_number_lies_beside_the_turning_point() -> None:
    model = TimeModel(0.0, 1.0, 0.0, 1 / 6.2)  # N* = 2.49: three times 1/3 + 3/6.2 is more than 2
    assert model.best_workers == min(range(1, 10), key=model.seconds)
    # Communication that starts at two workers can cost more than all the rest gain.
    assert TimeModel(0.0, 1.0, 5.0, 0.1).best_workers == 1


def test_without_a_cost_a_worker_more_always_help() -> None:
    model = TimeModel(0.1, 1.0, 0.0, 0.0)
    assert model.turning_point is None
    assert model.best_workers is None


@pytest.mark.parametrize(
    "call", [lambda: limits.serial_fraction(1.0, 1), lambda: limits.parallel_fraction(1.0, 1)]
)
def test_one_worker_has_no_fraction(call) -> None:
    with pytest.raises(ValueError, match="1 workers: give at least 2"):
        call()


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_speedups_that_are_none(bad: float) -> None:
    with pytest.raises(ValueError, match="must be a positive number"):
        limits.serial_fraction(bad, 4)
    with pytest.raises(ValueError, match="must be a positive number"):
        limits.speedup(1.0, bad)
