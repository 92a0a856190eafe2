"""The section of the page on parallel limits: what isoflop parallel measured in the folder of a sweep."""

from __future__ import annotations

import dataclasses

from isoflop.report.figures.canvas import Drawing


@dataclasses.dataclass(frozen=True)
class MeasuredScaling:
    """One payload: its title, lines that say what its rows come to, the rows, and a drawing of them."""

    title: str
    lines: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    drawing: Drawing


@dataclasses.dataclass(frozen=True)
class ScalingPanel:
    """The section: titles of the columns, what they mean, and a part for each payload."""

    columns: tuple[str, ...]
    legend: str
    parts: tuple[MeasuredScaling, ...]
