"""The section of the page on parallel limits, and its figures: what isoflop parallel measured in a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isoflop.parallel import limits, scaling
from isoflop.parallel.scaling import Group, Row
from isoflop.record import parallel
from isoflop.record.parallel import Scaling
from isoflop.report.figures import canvas
from isoflop.report.figures import scaling as figure
from isoflop.report.figures.canvas import Drawing
from isoflop.report.figures.scaling import Bar, Scaled, Series
from isoflop.report.text import scaling as scaling_text

CURVE_POINTS = 60


@dataclasses.dataclass(frozen=True)
class MeasuredScaling:
    """One payload: title, lines that say what its rows come to, the table, and a drawing of it."""

    title: str
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    drawing: Drawing


@dataclasses.dataclass(frozen=True)
class ScalingPanel:
    """The section: what the columns mean, and a part for each payload."""

    legend: str
    parts: tuple[MeasuredScaling, ...]


def scaling_panel(directory: Path) -> ScalingPanel | None:
    """Return the section on what DIR/parallel holds; None where it compares no numbers of workers.

    Raises:
        ValueError, OSError: as record.parallel.read_all.
    """
    shown = [group for group in scaling.groups(parallel.read_all(directory)) if _is_compared(group)]
    if not shown:
        return None
    parts = tuple(
        MeasuredScaling(
            scaling_text.title(group),
            tuple(map(_sentence, scaling_text.lines(group))),
            scaling_text.columns(group),
            scaling_text.rows(group),
            _drawing(group),
        )
        for group in shown
    )
    return ScalingPanel(" ".join(map(_sentence, scaling_text.notes(shown))), parts)


def write_figures(groups: Sequence[Group], directory: Path) -> None:
    """Write DIR/figures/parallel-*.png, .svg and .csv of what compares numbers of workers. Raises OSError."""
    canvas.write(tuple(_drawing(group) for group in groups if _is_compared(group)), directory)


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:]}."


def _is_compared(group: Group) -> bool:
    return any(row.workers > 1 for row in group.rows)


def _drawing(group: Group) -> Drawing:
    caption = (
        f"{scaling_text.title(group)}. Left: medians with 95% intervals; lines: Amdahl's law with the serial "
        "fraction fitted to strong scaling, Gustafson's with that of the largest number of workers. Right: "
        "medians of a step with a barrier before each exchange, which hides no communication behind compute."
    )
    return figure.draw(
        Scaled(
            f"parallel-{group.payload}-{group.group_id}",
            f"{scaling_text.PAYLOADS[group.payload]} on N workers",
            caption,
            _series(group),
            tuple(_bar(row) for row in _drawn_once(group)),
        )
    )


def _series(group: Group) -> tuple[Series, ...]:
    of_strong = group.serial_fraction
    of_weak = group.scaled_serial_fraction
    both: tuple[tuple[Scaling, str, str, bool], ...] = (
        ("strong", figure.STRONG, "Amdahl", of_strong is not None),
        ("weak", figure.WEAK, "Gustafson", of_weak is not None),
    )
    made = []
    for name, colour, law, fitted in both:
        if len(rows := group.of(name)) < 2:
            continue
        n = np.geomspace(1, rows[-1].workers, CURVE_POINTS) if fitted else np.array([])
        made.append(
            Series(
                f"{name} scaling",
                colour,
                tuple(row.workers for row in rows),
                *_speedups(rows),
                law,
                tuple(n.tolist()),
                tuple(_law(group, name, float(at)) for at in n),
            )
        )
    return tuple(made)


def _law(group: Group, name: Scaling, n: float) -> float:
    if name == "strong":
        assert group.serial_fraction is not None
        return limits.amdahl_speedup(group.serial_fraction.value, n)
    assert group.scaled_serial_fraction is not None
    return limits.gustafson_speedup(group.scaled_serial_fraction.value, n)


def _speedups(rows: Sequence[Row]) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Return values and ends of the speed-ups, which are bounded on both sides."""
    ends = [(row.speedup.value, row.speedup.low, row.speedup.high) for row in rows]
    value, low, high = (tuple(float(end or 0.0) for end in each) for each in zip(*ends, strict=True))
    return value, low, high


def _drawn_once(group: Group) -> tuple[Row, ...]:
    """Return the rows with one worker, which is the base of both scalings, once."""
    strong = group.of("strong")
    return (*strong, *(row for row in group.of("weak") if row.workers > 1))


def _bar(row: Row) -> Bar:
    step = 1e3 * row.split_seconds
    return Bar(str(row.workers), (step * row.compute, step * row.communication, step * row.waiting))
