"""Measured scaling as one drawing: speed-up beside the laws, and where the time of a step goes."""

from __future__ import annotations

import dataclasses

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from isoflop.report.figures import canvas, style
from isoflop.report.figures.canvas import Drawing

SIZE_INCHES = (9.6, 3.9)
STRONG, WEAK = "#0072B2", "#D55E00"
PARTS = (("compute", "#009E73"), ("communication", "#E69F00"), ("waiting", "#CC79A7"))


@dataclasses.dataclass(frozen=True)
class Series:
    """Speed-up of strong or weak scaling: workers and value, low, high there; a law over `curve_n`."""

    name: str
    colour: str
    workers: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    law: str
    curve_n: tuple[float, ...]
    curve: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Bar:
    """Where the time of a step goes: `label` and the milliseconds of PARTS."""

    label: str
    milliseconds: tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Scaled:
    """What is drawn of one payload."""

    name: str
    title: str
    caption: str
    series: tuple[Series, ...]
    bars: tuple[Bar, ...]


def draw(shown: Scaled) -> Drawing:
    """Draw speed-ups (left) and parts of a step (right)."""
    with matplotlib.rc_context(canvas.RC):
        figure = canvas.blank(*SIZE_INCHES)
        left, right = figure.subplots(1, 2)
        _speedups(left, shown.series)
        _parts(right, shown.bars)
        images = canvas.render(figure)
    return Drawing(shown.name, shown.title, f"{shown.title}: {shown.caption}", shown.caption, *images)


def _speedups(axes: Axes, series: tuple[Series, ...]) -> None:
    ends = [1.0, float(max(each.workers[-1] for each in series))]
    axes.plot(ends, ends, color=style.MUTED, lw=1.0, ls=(0, (1, 2)), label="S = N")
    for each in series:
        distance = np.array([np.subtract(each.values, each.low), np.subtract(each.high, each.values)]).clip(0)
        axes.errorbar(
            *(each.workers, each.values, distance),
            fmt="o",
            color=each.colour,
            ms=5,
            capsize=2.5,
            lw=1.2,
            label=each.name,
            zorder=3,
        )
        if each.curve:
            axes.plot(each.curve_n, each.curve, color=each.colour, lw=1.3, label=each.law)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    numbers = sorted({n for each in series for n in each.workers})
    axes.set_xticks(numbers, [str(n) for n in numbers])
    low = min(min(each.low) for each in series)
    steps = np.arange(np.floor(np.log2(low)), np.ceil(np.log2(ends[1])) + 1)
    axes.set_yticks(list(2.0**steps), [f"{2.0**k:g}" for k in steps])
    axes.minorticks_off()
    axes.set_xlabel("Workers N")
    axes.set_ylabel("Speed-up S")
    axes.legend(frameon=False, fontsize=8)
    canvas.ruled(axes)


def _parts(axes: Axes, bars: tuple[Bar, ...]) -> None:
    places, bottom = np.arange(len(bars)), np.zeros(len(bars))
    for part, (name, colour) in enumerate(PARTS):
        height = np.array([bar.milliseconds[part] for bar in bars])
        axes.bar(places, height, bottom=bottom, width=0.65, color=colour, label=name, zorder=2)
        bottom += height
    axes.set_xticks(places, [bar.label for bar in bars])
    axes.set_ylim(0, 1.28 * float(bottom.max()))
    axes.set_xlabel("Workers N: strong scaling, then weak")
    axes.set_ylabel("Milliseconds of a step")
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper left")
    canvas.ruled(axes)
