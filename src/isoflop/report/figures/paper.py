"""Figures for papers: what a drawing becomes as a file of a physical width, and how that width is given."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from isoflop import record
from isoflop.report.figures import canvas, drawn_data, relayout
from isoflop.report.figures.canvas import Drawing

FORMATS = ("pdf", "svg", "png")
INCHES = {"in": 1.0, "mm": 1 / 25.4, "cm": 1 / 2.54, "pt": 1 / 72.27}
"""Inches of a unit; a point is TeX's, in which LaTeX says \\columnwidth."""
NARROWEST, WIDEST = 2.0, 20.0
"""Inches: below, type of 7 points leaves no room for a curve."""
TEXT_WIDTH = 6.75
"""Inches of a page of two columns, where no width is given."""
DPI = 300
FOLDER = "paper"
RC: Any = canvas.RC | {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path"}
"""PDF embeds TrueType, as journals ask, and SVG holds outlines: neither needs a font where it is read."""
METADATA: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
"""No dates: the same figure is the same file."""


@dataclasses.dataclass(frozen=True)
class Paper:
    """Kinds of files (of FORMATS) and the width in inches of figures for a paper."""

    formats: tuple[str, ...] = ("pdf",)
    width_inches: float = TEXT_WIDTH


def inches(given: str | float) -> float:
    """Return the inches of a width such as `3.3in`, `84mm`, `8.4cm` or `240pt`; a number that is no text
    is in inches.

    Raises:
        ValueError: no width, or none between NARROWEST and WIDEST.
    """
    text = given if isinstance(given, str) else f"{given}in"
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(in|mm|cm|pt)\s*", text)
    if match is None:
        raise ValueError(f"--width {given}: give a number with in, mm, cm or pt, such as 3.3in or 84mm")
    wide = float(match[1]) * INCHES[match[2]]
    if not NARROWEST <= wide <= WIDEST:
        raise ValueError(
            f"--width {given}: give {NARROWEST:g}in to {WIDEST:g}in: a column of a paper is about 3.3in"
        )
    return wide


def paper(formats: Sequence[str], width: str | float | None) -> Paper | None:
    """Return what is asked for, or None where nothing is.

    Args:
        formats: of FORMATS, each of which may be several with commas; none is PDF where a width is given.
        width: as in `inches`, None for TEXT_WIDTH.

    Raises:
        ValueError: an unknown format, or as in `inches`.
    """
    named = [name for each in formats for name in each.lower().split(",")]
    for name in named:
        if name not in FORMATS:
            raise ValueError(f"--format {name or 'nothing'}: give {', '.join(FORMATS)}, or several of them")
    if not named and width is None:
        return None
    wide = TEXT_WIDTH if width is None else inches(width)
    return Paper(tuple(dict.fromkeys(named)) or Paper.formats, wide)


def payload(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file of one of FORMATS, at the size that it has."""
    stream = io.BytesIO()
    with matplotlib.rc_context(RC):
        figure.savefig(stream, format=kind, dpi=DPI, metadata=METADATA[kind])
    return stream.getvalue()


def resized(figure: Figure, width_inches: float) -> None:
    """Lay a figure out anew at this width, with type of 7 to 9 points (relayout)."""
    with matplotlib.rc_context(RC):
        relayout.fit(figure, width_inches)


def write(drawings: Sequence[Drawing], directory: Path, chosen: Paper) -> tuple[Path, ...]:
    """Write DIR/figures/paper/NAME of each kind, and NAME.csv, each atomically; return their paths.

    The figures of the drawings are laid out anew, so this comes after all else that is made of them.

    Raises:
        OSError: disk full or not writable.
    """
    folder, paths = directory / "figures" / FOLDER, []
    for drawing in drawings:
        data = drawn_data.as_csv(drawing.figure).encode()
        resized(drawing.figure, chosen.width_inches)
        files = {kind: payload(drawing.figure, kind) for kind in chosen.formats} | {"csv": data}
        for kind, content in files.items():
            paths.append(folder / f"{drawing.name}.{kind}")
            record.write_bytes(paths[-1], content)
    return tuple(paths)
