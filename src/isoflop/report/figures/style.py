"""Colours and shapes, shared by the drawn figures and the interactive charts; all safe for colour blindness.

Points take viridis by size, laws take colours of Okabe and Ito (jfly.uni-koeln.de/color) that viridis lacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib
from matplotlib.colors import to_hex

INK = "#1b1f24"
MUTED = "#57606a"
GRID = "#e3e6ea"
EXTRAPOLATED = "#f1efe9"
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKS = (
    *(("o", "circle"), ("s", "square"), ("^", "triangle-up"), ("D", "diamond"), ("v", "triangle-down")),
    *(("P", "cross"), ("X", "x"), ("<", "triangle-left"), (">", "triangle-right"), ("*", "star")),
)
"""(matplotlib, plotly) names of one shape; they repeat beyond ten values."""
GLYPHS = dict(zip((plotly for _, plotly in MARKS), "●■▲◆▼✚✖◀▶★", strict=True))
"""Plotly's name of a shape -> the letter that shows it in a legend of text."""
PAPER = "#ffffff"
ON_DARK, ON_PALE = "#fffffe", "#1b1f25"
"""Text on a filled square, which stays as it is where the page is dark."""
UNTESTED = "#e4dfd3"
FORECAST = "forecast"
_LAWS = {
    FORECAST: ("#D55E00", "Forecast"),
    "power_law_ols": ("#000000", "Power law (OLS)"),
    "exponential": ("#CC79A7", "Exponential"),
    "power_law": ("#7F7F7F", "Power law"),
    "power_law_floor": ("#E69F00", "Power law with a floor"),
    "m3": ("#56B4E9", "M3"),
    "m4": ("#8C564B", "M4"),
    "broken_power_law": ("#A50F15", "Broken power law"),
}


SPAN = 0.88
"""Share of viridis that points take on a light page: its pale end is left out."""
_DARKEST = 0.34
"""Where viridis begins on a dark page, on which its dark end would not show."""


def _viridis(share: float) -> str:
    return to_hex(matplotlib.colormaps["viridis"](share))


DARK: Mapping[str, str] = {
    PAPER: "#14181d",
    INK: "#e6e9ed",
    MUTED: "#9aa4af",
    GRID: "#2c333b",
    EXTRAPOLATED: "#1c2127",
    UNTESTED: "#252b32",
    "#000000": "#f2f4f6",
    "#a50f15": "#ee6a6f",
    "#8c564b": "#c08a7e",
    **{
        _viridis(i / 255): _viridis(min(1.0, _DARKEST + (1.0 - _DARKEST) * i / 255 / SPAN))
        for i in range(math.ceil(255 * SPAN) + 1)
    },
}
"""Colour on a light page -> the same on a dark one, where they differ; the others show on both."""


def law_colour(law: str) -> str:
    """Return the colour of a law's curve, or of the forecast's."""
    return _LAWS.get(law, (MUTED, ""))[0]


def law_name(law: str) -> str:
    """Return a law's name for readers, or the forecast's."""
    return _LAWS.get(law, ("", law.replace("_", " ").capitalize()))[1]


def law_in_sentence(name: str) -> str:
    """Return a law's name for readers as it stands within a sentence: power law (OLS), but M3."""
    return name if name[1:2].isdigit() else f"{name[:1].lower()}{name[1:]}"


def tints(values: Iterable[Any]) -> Mapping[Any, str]:
    """Return {value: colour}: viridis without its pale end for numbers, Okabe-Ito for names."""
    distinct = sorted(set(values), key=lambda v: (isinstance(v, str), v))
    if any(isinstance(v, str) for v in distinct):
        return {v: OKABE_ITO[i % len(OKABE_ITO)] for i, v in enumerate(distinct)}
    return {v: _viridis(SPAN * i / max(1, len(distinct) - 1)) for i, v in enumerate(distinct)}


def marks(values: Iterable[Any]) -> Mapping[Any, tuple[str, str]]:
    """Return {value: (matplotlib, plotly) name of its shape}."""
    distinct = sorted(set(values), key=lambda v: (isinstance(v, str), v))
    return {v: MARKS[i % len(MARKS)] for i, v in enumerate(distinct)}
