"""How fast the compute of training grew, over which years, and how fast the hardware beside it.

log10 FLOPs = a + g year by least squares: growth is 10^g a year. The record envelope holds the models that
used more compute than every model before them *within the window*; so its rate depends on where the window
opens.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from isoflop.curve.result import Estimate, Excluded, Interval
from isoflop.paper import regression
from isoflop.paper.notable import Notable

Array = npt.NDArray[np.float64]

WINDOWS = (
    (2012, 2016),
    (2012, 2018),
    (2012, 2020),
    (2012, 2024),
    (2014, 2020),
    (2016, 2024),
    (2018, 2024),
    (2012, 2026),
    (2018, 2026),
)
"""First year, and the year before which a model must be published. (2012, 2018) is that of OpenAI's "AI and
Compute" (2018), (2012, 2020) the paper's."""
LEAST_MODELS = 4
Kind = Literal["all", "records"]
KINDS: tuple[Kind, ...] = ("all", "records")

RELEASED = {
    "V100-SXM2-16GB": 2017.4,
    "A100-SXM4-40GB": 2020.4,
    "H100 80GB HBM3": 2022.2,
    "H200": 2023.9,
    "B200": 2024.2,
}
"""Data-centre GPUs of the meter's table -> decimal year of announcement: GTC of May 2017, May 2020 and
March 2022, SC of November 2023, GTC of March 2024 [M]."""
GAMING = {
    "GeForce RTX 2080 Ti": 2018.7,
    "GeForce RTX 3090": 2020.7,
    "GeForce RTX 4090": 2022.8,
    "GeForce RTX 5090": 2025.1,
}
"""The largest GeForce GPU of each generation -> decimal year of release [M]."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """Growth over one window. `times_a_year` is 10^g, `doubling_months` 12 log10(2) / g; both None with the
    reason where the window holds too few models."""

    first_year: float
    before_year: float
    of: Kind
    models: int
    times_a_year: Estimate | None
    doubling_months: Estimate | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class GpuPeak:
    """A GPU: its year, its dense peak in FLOP/s for the data type, and the source of the peak."""

    name: str
    line: Literal["data centre", "gaming"]
    year: float
    dtype: str
    peak_flops_per_second: float
    source: str


@dataclasses.dataclass(frozen=True)
class HardwareRate:
    """Growth of the peak rate over the GPUs of one line and data type.

    It has no interval, as the GPUs are all there are, not a sample; `boards` is their number."""

    line: Literal["data centre", "gaming"]
    dtype: str
    boards: int
    first_year: float
    last_year: float
    times_a_year: float


@dataclasses.dataclass(frozen=True)
class GrowthResult:
    """Rates by window, of all models and of the record envelope, with the hardware's beside them."""

    source: str
    models: tuple[Notable, ...]
    records: tuple[str, ...]
    rates: tuple[Rate, ...]
    boards: tuple[GpuPeak, ...]
    hardware: tuple[HardwareRate, ...]
    resamples: int
    seed: int
    excluded: tuple[Excluded, ...]


def records_of(models: Sequence[Notable]) -> list[Notable]:
    """Return the models that used more compute than each before them, earliest first."""
    records: list[Notable] = []
    for model in sorted(models, key=lambda m: (m.published, m.train_flops)):
        if not records or model.train_flops > records[-1].train_flops:
            records.append(model)
    return records


def analyse(
    models: Sequence[Notable],
    boards: Sequence[GpuPeak],
    *,
    source: str,
    windows: Sequence[tuple[float, float]] = WINDOWS,
    excluded: tuple[Excluded, ...] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> GrowthResult:
    """Return the growth rates of models in each window, and of GPUs.

    Args:
        models: published models with their training FLOPs.
        boards: GPUs with their peak rates.
        source: where the models are from, for messages and the page.
        windows: (first year, year before which a model must be published) of each rate.
        excluded: models that were left out before.
        resamples: of models, for the intervals.
        seed: of the resampling.

    Raises:
        ValueError: no window holds LEAST_MODELS models.
    """
    rates = [
        _rate(models, window, of, resamples, np.random.default_rng(seed))
        for window, of in itertools.product(windows, KINDS)
    ]
    if all(rate.times_a_year is None for rate in rates):
        raise ValueError(
            f"{source}: no window of years holds {LEAST_MODELS} models with a date and training FLOPs"
        )
    shown = [m for m in models if any(first <= m.year < before for first, before in windows)]
    return GrowthResult(
        source=source,
        models=tuple(sorted(shown, key=lambda m: m.published)),
        records=tuple(m.name for m in records_of(shown)),
        rates=tuple(rates),
        boards=tuple(boards),
        hardware=_hardware(boards),
        resamples=resamples,
        seed=seed,
        excluded=excluded,
    )


def _rate(
    models: Sequence[Notable],
    window: tuple[float, float],
    of: Kind,
    resamples: int,
    generator: np.random.Generator,
) -> Rate:
    """Return the rate in one window.

    Each resample draws models of the window with replacement and takes its envelope anew, since which models
    hold records is uncertain too.

    Args:
        models: of all years.
        window: first year, and the year before which a model must be published.
        of: all models of the window, or its record holders.
        resamples: of models, for the interval.
        generator: draws the resamples.
    """
    first, before = window
    inside = sorted(
        (m for m in models if first <= m.year < before), key=lambda m: (m.published, m.train_flops)
    )
    chosen = inside if of == "all" else records_of(inside)
    if len(chosen) < LEAST_MODELS:
        kind = "models" if of == "all" else "records"
        return Rate(
            first, before, of, len(chosen), None, None, f"{len(chosen)} {kind}: {LEAST_MODELS} needed"
        )
    year, flops = np.array([m.year for m in inside]), np.log10([m.train_flops for m in inside])
    drawn = generator.multinomial(len(inside), np.full(len(inside), 1 / len(inside)), size=resamples)
    weights = np.vstack([np.ones((1, len(inside))), drawn])
    if of == "records":
        weights = _envelopes(flops, weights)
    slopes = regression.least_squares(year, flops, weights).slope
    low, high = _bounds(slopes[1:], len(chosen))
    growth = Interval(None if low is None else 10**low, None if high is None else 10**high)
    months = 12 * math.log10(2)
    doubling = Interval(
        months / high if high and high > 0 else None,
        months / low if low and low > 0 else None,
    )
    value = float(slopes[0])
    return Rate(
        first,
        before,
        of,
        len(chosen),
        Estimate("times_a_year", 10**value, growth, "a year"),
        Estimate("doubling_months", months / value, doubling, "months") if value > 0 else None,
        None,
    )


def _envelopes(flops: Array, weights: Array) -> Array:
    """Return weight 1 for records among the drawn models of each row, 0 for the others.

    `flops` (n,) is sorted by date; `weights` (resamples, n) says how often each model was drawn.
    """
    present = np.where(weights > 0, flops, -np.inf)
    highest = np.maximum.accumulate(present, axis=1)
    before = np.hstack([np.full((len(weights), 1), -np.inf), highest[:, :-1]])
    return (present > before).astype(float)


def _bounds(slopes: Array, points: int) -> tuple[float | None, float | None]:
    bounds = regression.interval(slopes[np.isfinite(slopes)], points)
    return bounds.low, bounds.high


def gpu_peaks(peaks: Mapping[str, tuple[tuple[str, float, str], ...]]) -> tuple[GpuPeak, ...]:
    """Return the GPUs of RELEASED and GAMING from peak rates, name -> (dtype, FLOP/s, source)."""
    lines: tuple[tuple[Literal["data centre", "gaming"], dict[str, float]], ...] = (
        ("data centre", RELEASED),
        ("gaming", GAMING),
    )
    return tuple(
        GpuPeak(name, line, year, dtype, rate, source)
        for line, years in lines
        for name, year in years.items()
        for dtype, rate, source in peaks.get(name, ())
    )


def _hardware(boards: Sequence[GpuPeak]) -> tuple[HardwareRate, ...]:
    rates = []
    for line, dtype in dict.fromkeys((b.line, b.dtype) for b in boards):
        own = [b for b in boards if (b.line, b.dtype) == (line, dtype)]
        year, rate = np.array([b.year for b in own]), np.log10([b.peak_flops_per_second for b in own])
        if len(own) < 3:
            continue
        slope = float(regression.least_squares(year, rate, np.ones((1, len(own)))).slope[0])
        rates.append(HardwareRate(line, dtype, len(own), float(year.min()), float(year.max()), 10**slope))
    return tuple(rates)


def rate_in(result: GrowthResult, window: tuple[float, float], of: str) -> Rate | None:
    """Return the rate of one window, or None."""
    return next((r for r in result.rates if (r.first_year, r.before_year, r.of) == (*window, of)), None)
