"""Closed formulas of parallel speed-up: what N workers gain of one, and what holds them back.

Sources:
    Amdahl, Validity of the single processor approach to achieving large scale computing capabilities (1967).
    Gustafson, Reevaluating Amdahl's law, Communications of the ACM 31 (1988).
    Karp and Flatt, Measuring parallel processor performance, Communications of the ACM 33 (1990).
    Vegh, How deep machine learning can be (arXiv 2005.00872, 2020), for the effective parallel fraction and
    what follows from it.

A speed-up is a float, or an array of any shape, such as the draws of a bootstrap; the result has its shape.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Value = TypeVar("Value", float, npt.NDArray[np.float64])


def speedup(one_worker_seconds: Value, seconds: Value) -> Value:
    """Return S = T(1) / T(N), the seconds of one worker over those of N for the same work."""
    _positive("seconds", one_worker_seconds)
    _positive("seconds", seconds)
    return one_worker_seconds / seconds


def efficiency(speedup: Value, workers: float) -> Value:
    """Return E = S / N, the share of N workers that is used."""
    _positive("speed-up", speedup)
    _at_least(workers, 1)
    return speedup / workers


def parallel_fraction(speedup: Value, workers: float) -> Value:
    """Return the effective parallel fraction alpha_eff = N/(N-1) (S-1)/S (Vegh 2020).

    It is the share of the work of one worker that would have to be parallel for Amdahl's law to give this
    speed-up: whatever holds the workers back (serial code, communication, waiting) counts as serial.
    Above 1 where the speed-up is above N.

    Raises:
        ValueError: fewer than two workers, or a speed-up that is not positive.
    """
    _positive("speed-up", speedup)
    _at_least(workers, 2)
    return (workers / (workers - 1)) * ((speedup - 1) / speedup)


def serial_fraction(speedup: Value, workers: float) -> Value:
    """Return the serial fraction (1/S - 1/N) / (1 - 1/N) of Karp and Flatt (1990).

    It is 1 - alpha_eff, formed without the cancellation near alpha_eff = 1.

    Raises:
        ValueError: fewer than two workers, or a speed-up that is not positive.
    """
    _positive("speed-up", speedup)
    _at_least(workers, 2)
    return (1 / speedup - 1 / workers) / (1 - 1 / workers)


def parallel_fraction_of_efficiency(efficiency: Value, workers: float) -> Value:
    """Return alpha_eff = (E N - 1) / (E (N - 1)), that of the speed-up E N.

    Where E is a share of peak, as in lists of supercomputers, what a single core fails to reach of its own
    peak counts as serial too.

    Raises:
        ValueError: fewer than two workers, or an efficiency that is not positive.
    """
    _positive("efficiency", efficiency)
    return parallel_fraction(efficiency * workers, workers)


def serial_fraction_of_efficiency(efficiency: Value, workers: float) -> Value:
    """Return 1 - alpha_eff = (1/E - 1) / (N - 1), that of the speed-up E N.

    Raises:
        ValueError: as `parallel_fraction_of_efficiency`.
    """
    _positive("efficiency", efficiency)
    _at_least(workers, 2)
    return (1 / efficiency - 1) / (workers - 1)


def amdahl_efficiency(serial_fraction: Value, workers: float) -> Value:
    """Return E = 1 / (N (1 - alpha) + alpha), with 1 - alpha the serial fraction (Vegh 2020)."""
    return amdahl_speedup(serial_fraction, workers) / workers


def amdahl_speedup(serial_fraction: Value, workers: float) -> Value:
    """Return S = 1 / (f + (1 - f) / N) of the same work on N workers, f its serial fraction (Amdahl 1967)."""
    _at_least(workers, 1)
    return 1 / (serial_fraction + (1 - serial_fraction) / workers)


def gustafson_speedup(serial_fraction: Value, workers: float) -> Value:
    """Return S = f + (1 - f) N of work that grows with N, f the serial share of the time on N workers.

    f is another quantity than Amdahl's, which is a share of the time on one worker (Gustafson 1988).
    """
    _at_least(workers, 1)
    return serial_fraction + (1 - serial_fraction) * workers


def speedup_limit(serial_fraction: float) -> float:
    """Return 1 / (1 - alpha), which the speed-up of any number of workers stays below.

    Infinite where nothing is serial, and where a speed-up above N left a serial fraction below 0.
    """
    return 1 / serial_fraction if serial_fraction > 0 else math.inf


@dataclasses.dataclass(frozen=True)
class TimeModel:
    """T(N) = s + p/N + a + bN: seconds of the same work on N workers, with communication from N = 2 on.

    s and a cannot be told apart by timings of N >= 2 alone: T(1) = s + p, which has no communication, does.

    Attributes:
        serial_seconds: s, of work that every worker does or waits for.
        parallel_seconds: p, of work that is divided.
        fixed_seconds: a, of communication whatever the number of workers.
        seconds_per_worker: b, of communication for each worker.
    """

    serial_seconds: float
    parallel_seconds: float
    fixed_seconds: float
    seconds_per_worker: float

    def seconds(self, workers: float) -> float:
        """Return T(N)."""
        _at_least(workers, 1)
        communication = self.fixed_seconds + self.seconds_per_worker * workers if workers > 1 else 0.0
        return self.serial_seconds + self.parallel_seconds / workers + communication

    def speedup(self, workers: float) -> float:
        """Return T(1) / T(N)."""
        return self.seconds(1) / self.seconds(workers)

    @property
    def turning_point(self) -> float | None:
        """N* = sqrt(p / b), past which T(N) grows: dT/dN = -p/N^2 + b = 0; None where b is not positive.

        With p = 1 it is the 1 / sqrt(b) of a serial fraction that grows as a + bN.
        """
        b = self.seconds_per_worker
        return math.sqrt(max(self.parallel_seconds, 0.0) / b) if b > 0 else None

    @property
    def best_workers(self) -> int | None:
        """The whole number of workers with the least T(N), 1 among them; None where T(N) falls for ever."""
        turning = self.turning_point
        if turning is None:
            return None
        near = {1, max(1, math.floor(turning)), max(1, math.ceil(turning))}
        return min(sorted(near), key=self.seconds)


def turning_point(parallel_seconds: float, seconds_per_worker: float) -> float | None:
    """Return N* = sqrt(p / b) (`TimeModel.turning_point`)."""
    return TimeModel(0.0, parallel_seconds, 0.0, seconds_per_worker).turning_point


def _positive(name: str, value: float | npt.NDArray[np.float64]) -> None:
    if not np.all(np.isfinite(value)) or np.any(np.asarray(value) <= 0):
        raise ValueError(f"{name} {value}: must be a positive number")


def _at_least(workers: float, least: int) -> None:
    if not (math.isfinite(workers) and workers >= least):
        raise ValueError(f"{workers:g} workers: give at least {least}")
