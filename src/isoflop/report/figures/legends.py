"""The legend of an interactive chart: what curves, bands, colours and shapes stand for, each to be switched.

page.js makes it of HTML, since plotly's own legend shows neither bands nor shapes.
"""

from __future__ import annotations

from typing import Any

from isoflop.report.figures import style
from isoflop.report.figures.curves import Curves, Line
from isoflop.report.figures.views import FLAGGED, FLAGGED_NAME, ChartPoints

MEAN, NEW_RUN = "band:mean", "band:new run"
FRONTIER, HELD_OUT = "frontier", "held out"


def law_tag(line: Line) -> str:
    """Return the tag of the traces of one curve."""
    return f"law:{line.key}"


def tint_tag(value: object) -> str:
    """Return the tag of the points of one colour."""
    return f"colour:{value}"


def mark_tag(value: object) -> str:
    """Return the tag of the points of one shape."""
    return f"shape:{value}"


def groups(points: ChartPoints, fit_curves: Curves | None, used: set[str]) -> list[dict[str, Any]]:
    """Return the parts of a legend, each with its title and entries.

    An entry has a name, the tag of what it switches (none where it only explains), a colour, how it is drawn
    (line, dash, dot, band or a letter that shows a shape), and whether it is on at first.

    Args:
        points: what the chart shows.
        fit_curves: its curves, if any.
        used: the tags of its traces.
    """
    parts = [_part("", _of_curves(fit_curves, used)) if fit_curves is not None else None]
    colours = [
        _entry(f"{value:,}" if isinstance(value, int) else str(value), tint_tag(value), colour, "●")
        for value, colour in points.tints.items()
    ]
    parts.append(_part(points.tint_name.capitalize(), colours) if points.tint_name else None)
    shapes = [
        _entry(str(value), mark_tag(value), style.MUTED, style.GLYPHS[symbol])
        for value, (_, symbol) in points.marks.items()
    ]
    parts.append(_part(points.mark_name.capitalize(), shapes) if len(points.marks) > 1 else None)
    if points.seeds[FLAGGED].any():
        parts.append(_part("", [_entry(FLAGGED_NAME, "", style.MUTED, "○")]))
    return [part for part in parts if part is not None and part["entries"]]


def _of_curves(fit_curves: Curves, used: set[str]) -> list[dict[str, Any]]:
    main, entries = fit_curves.main, []
    for line in fit_curves.lines:
        drawn = "dash" if line.ahead else "line"
        entries.append(_entry(line.name, law_tag(line), line.colour, drawn, on=line.shown))
        if line is main:
            for tag, of, opacity in ((MEAN, "mean", "60"), (NEW_RUN, "new run", "30")):
                entries.append(_entry(f"{fit_curves.percent}, {of}", tag, f"{main.colour}{opacity}", "band"))
    entries.append(_entry("Frontier", FRONTIER, style.MUTED, "dot"))
    entries.append(_entry("Held out", HELD_OUT, style.INK, "○"))
    return [entry for entry in entries if entry["tag"] in used]


def _part(title: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"title": title, "entries": entries}


def _entry(name: str, tag: str, colour: str, drawn: str, *, on: bool = True) -> dict[str, Any]:
    return {"name": name, "tag": tag, "colour": colour, "drawn": drawn, "on": on}
