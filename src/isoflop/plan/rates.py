"""GFLOPs a second and a joule that training reaches, as a trend in the size of the model."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.plan.amount import Amount, unknown
from isoflop.plan.sizes import FORWARD, GFLOPS, PARAMETERS, AmountAt, Sizes
from isoflop.plan.trend import LEAST_SIZES, RateTrend, rate_trend

Array = npt.NDArray[np.float64]

LEAST_GRADE = "C"
"""Joules of a lower grade say nothing of efficiency."""
_CALLED = {FORWARD: "FLOPs of a forward pass", PARAMETERS: "parameters", GFLOPS: "training compute"}


@dataclasses.dataclass(frozen=True)
class OtherDevice:
    """A device on which nothing was measured: its name, and its dense peak rate in FLOPs a second."""

    name: str
    peak: float


@dataclasses.dataclass(frozen=True)
class Rates:
    """GFLOPs a device-second and a joule at a compute, and what they rest on.

    Attributes:
        speed, efficiency: log10 of training GFLOPs -> GFLOPs a second of one device, and a joule.
        device: on which; None where it is unknown.
        notes: how they were formed.
        most: GFLOPs a second of one device that large models come to; None where speed is unknown.
    """

    speed: AmountAt
    efficiency: AmountAt
    device: str | None
    notes: tuple[str, ...]
    most: float | None = None


def chosen(gflops_per_second: float, watts: float | None, device: str | None) -> Rates:
    """Return rates that the user gives: constants, whatever the size."""
    speed = Amount(gflops_per_second, gflops_per_second, gflops_per_second)
    note = f"time: {gflops_per_second / 1e3:g} TFLOP/s whatever the size, as --gpu-tflops says"
    if watts is None:
        none = unknown("--gpu-watts was not given")
        return Rates(lambda _: speed, lambda _: none, device, (note,), gflops_per_second)
    joule = speed.times(1 / watts)
    notes = (note, f"energy: {watts:g} W, as --gpu-watts says")
    return Rates(lambda _: speed, lambda _: joule, device, notes, gflops_per_second)


def by_trend(trend: RateTrend, device: str, note: str) -> Rates:
    """Return the rates of a trend in size, for compute that is read as a size (run_cost.BY_SIZE)."""
    none = unknown(f"no energy was measured on {device}: give --gpu-tflops and --gpu-watts")
    return Rates(lambda log10: trend.at(10.0**log10), lambda _: none, device, (note,))


def measured(rows: pd.DataFrame, sizes: Sizes, device: str | None, level: float) -> Rates:
    """Return the trends of the rows' own rates.

    Args:
        rows: runs of one device, under the names of a sweep's columns, with GFLOPS.
        sizes: what a compute is spent on.
        device: its name.
        level: of intervals.
    """
    name = size_column(rows)
    size, gflops = _numbers(rows, name), _numbers(rows, GFLOPS)
    seconds, joules = _numbers(rows, "device_seconds"), graded_joules(rows)
    ceiling, of = _ceiling(rows)
    watts = _largest_watts(size, joules, seconds)
    speed = rate_trend(size, gflops / seconds, ceiling, level)
    bound = None if ceiling is None or watts is None else ceiling / watts
    efficiency = rate_trend(size, gflops / joules, bound, level)
    size_at = _size_at(name, sizes)
    return Rates(
        _rate_at(speed, size_at, "no run was timed: give --gpu-tflops"),
        _rate_at(efficiency, size_at, _no_joules(rows)),
        device,
        tuple(
            _note(what, unit, trend, name, _bound_text(of, what))
            for what, unit, trend in (("time", "GFLOP/s", speed), ("energy", "GFLOP/J", efficiency))
            if trend is not None
        ),
        None if speed is None else speed.most,
    )


def on_other(rows: pd.DataFrame, sizes: Sizes, other: OtherDevice, level: float) -> Rates:
    """Return rates on a device of which no run tells: its peak times the share that the runs reached.

    Joules stay unknown: a peak rate says nothing of power.
    """
    name = size_column(rows)
    size, gflops, seconds = _numbers(rows, name), _numbers(rows, GFLOPS), _numbers(rows, "device_seconds")
    peak = _peak(rows)
    no_joules = f"no energy was measured on {other.name}: give --gpu-tflops and --gpu-watts"
    if peak is None:
        reason = (
            f"nothing was timed on {other.name}, and no run says what share of its device's peak it reached"
        )
        both = f"{reason}: give --gpu-tflops"
        return Rates(lambda _: unknown(both), lambda _: unknown(no_joules), other.name, ())
    trend = rate_trend(size, gflops / seconds, peak, level)
    assert trend is not None
    moved = trend.scaled(other.peak * 1e-9 / peak)
    note = (
        f"time: nothing was timed on {other.name}: its dense peak of {other.peak * 1e-12:.4g} TFLOP/s times "
        f"the share of peak that the runs reached at each size ({_CALLED[name]})"
    )
    speed_at = _rate_at(moved, _size_at(name, sizes), "")
    return Rates(speed_at, lambda _: unknown(no_joules), other.name, (note,), moved.most)


def _rate_at(trend: RateTrend | None, size_at: AmountAt, reason: str) -> AmountAt:
    """Return the rate at a compute: that of the size which it is spent on, with both intervals."""
    if trend is None:
        return lambda _: unknown(reason)

    @functools.cache
    def amount(log10: float) -> Amount:
        size = size_at(log10)
        if size.value is None:
            return size
        here = trend.at(size.value)
        sides = []
        for own, end in ((here.low, size.low), (here.high, size.high)):
            moved = None if end is None else trend.at(end).value
            if own is None or moved is None or here.value is None:
                sides.append(own)
                continue
            decades = math.hypot(math.log10(own / here.value), math.log10(moved / here.value))
            sides.append(here.value * 10.0 ** math.copysign(decades, math.log10(own / here.value) or -1.0))
        low, high = sides
        if high is not None and trend.bound is not None and here.value is not None:
            high = max(min(high, trend.bound), here.value)
        return Amount(here.value, low, high)

    return amount


def _size_at(name: str, sizes: Sizes) -> AmountAt:
    if name == GFLOPS:
        return lambda log10: Amount(10.0**log10, 10.0**log10, 10.0**log10)
    return sizes.forward if name == FORWARD else sizes.parameters


def size_column(rows: pd.DataFrame) -> str:
    """Return the column of how large a run is: a pass's FLOPs, else parameters, else compute itself."""
    return next(name for name in (FORWARD, PARAMETERS, GFLOPS) if name in rows and rows[name].notna().any())


def _numbers(rows: pd.DataFrame, name: str) -> Array:
    if name not in rows:
        return np.full(len(rows), np.nan)
    values = pd.to_numeric(rows[name], errors="coerce").to_numpy(float)
    return np.where(values > 0, values, np.nan)


def graded_joules(rows: pd.DataFrame) -> Array:
    """Return joules (n,), NaN where they are unknown or of a grade below LEAST_GRADE."""
    joules = _numbers(rows, "energy_joules")
    if "energy_grade" not in rows:
        return joules
    good = rows["energy_grade"].fillna("Z").astype(str) <= LEAST_GRADE
    return np.where(good.to_numpy() | rows["energy_grade"].isna().to_numpy(), joules, np.nan)


def _no_joules(rows: pd.DataFrame) -> str:
    reasons = rows["energy_reason"].dropna() if "energy_reason" in rows else pd.Series(dtype=object)
    why = str(reasons.value_counts().index[0]) if len(reasons) else "no run was metered"
    return f"{why}: give --gpu-tflops and --gpu-watts"


def _ceiling(rows: pd.DataFrame) -> tuple[float | None, str]:
    """Return the GFLOPs a second that the device can reach, and what that is: measured ceiling, or peak."""
    reached = _numbers(rows, "achieved_gflops_per_second")
    for name, called in (("ceiling_share", "measured ceiling"), ("mfu", "dense peak")):
        share = reached / _numbers(rows, name)
        if np.isfinite(share).any():
            return float(np.nanmedian(share)), called
    return None, ""


def _peak(rows: pd.DataFrame) -> float | None:
    """Return the dense peak of the runs' device in GFLOPs a second, None where no run knows it."""
    share = _numbers(rows, "achieved_gflops_per_second") / _numbers(rows, "mfu")
    return float(np.nanmedian(share)) if np.isfinite(share).any() else None


def _largest_watts(size: Array, joules: Array, seconds: Array) -> float | None:
    """Return the mean power of the largest metered size: no more FLOPs a joule than at the ceiling and this
    power can be."""
    watts = joules / seconds
    known = np.isfinite(watts) & np.isfinite(size)
    if not known.any():
        return None
    return float(np.median(watts[known & (size == size[known].max())]))


def _bound_text(of: str, what: str) -> str:
    if not of:
        return "; no ceiling or peak of the device is known to bound it"
    return f", at most the device's {of}{' at the power of the largest size' if what == 'energy' else ''}"


def _note(what: str, unit: str, trend: RateTrend, name: str, bound: str) -> str:
    first, last = trend.at(trend.least).value, trend.at(trend.largest).value
    if trend.sizes < LEAST_SIZES:
        return f"{what}: {first:.3g} {unit}, without an interval: a trend with size needs {LEAST_SIZES} sizes"
    beyond = "" if trend.bound is None else f" ({trend.bound:.3g})"
    holds = "that rate" if trend.bound is None else "that rate and the bound"
    return (
        f"{what}: the measured trend with {_CALLED[name]}, {first:.3g} {unit} at the smallest of "
        f"{trend.sizes} sizes to {last:.3g} at the largest{bound}{beyond}; beyond the largest size the "
        f"interval holds {holds}"
    )
