"""Notes on a fit: each once, what changes the result most first, five unless all are asked for."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterable, Sequence

from isoflop.curve.result import FitFile, FitReport

MOST = 5
"""Notes on the first screen."""
MOST_LINES = 2
"""Lines of a note there; the rest of it is under --notes."""

_RANKS = (
    r"^--where|^runs with a lever|of totals|^(dollars|grams_co2) by ",
    r"reject|lack of fit|misfit|does not fall|rises with|undertrained",
    r"repeat|under other labels|taken for a configuration|--group|did not finish",
    r"one law is fitted through|mixed data|at or above chance|0 errors|no logarithm",
    r"sounds like a logarithm|not used|without a prediction|in neither part|under two",
    r"\d+ configurations, under|robust standard deviations|--fix|not judged",
    r"^no forecast|rolling|untested",
    r"^mixed|fewer than 2 seeds",
    r"not identified|no interval|unbounded",
    r"at a bound|at its (least|greatest)|beyond ten times|compute scales carry",
    r"in simulations of",
)
"""What a note is about, from what decides which rows are fitted to what bears on one law only."""
_ELSEWHERE = 5
"""Rank of a note that is none of these."""


@dataclasses.dataclass(frozen=True)
class Note:
    """A note; the laws that it is about, if it is not about the whole fit; whether of further axes."""

    text: str
    laws: tuple[str, ...] = ()
    of_further_axes: bool = False

    @property
    def rank(self) -> int:
        """Place in the order of what notes change, 0 first."""
        matches = (i for i, words in enumerate(_RANKS) if re.search(words, self.text))
        return next(matches, _ELSEWHERE) + (len(_RANKS) if self.of_further_axes else 0)

    @property
    def shown(self) -> str:
        """The note as it is printed."""
        return f"{', '.join(self.laws)}: {self.text}" if self.laws else self.text


def of_report(report: FitReport) -> list[Note]:
    """Return the notes of a report: on the points, then on the laws, with laws of one note together."""
    by_text: dict[str, list[str]] = {}
    for fit in report.fits:
        for warning in fit.warnings:
            by_text.setdefault(warning, []).append(fit.law)
    forecast = report.forecast.warnings if report.forecast is not None else ()
    return [
        *(Note(text) for text in (*report.warnings, *forecast)),
        *(Note(text, tuple(laws)) for text, laws in by_text.items()),
    ]


def of_file(fits: FitFile) -> list[Note]:
    """Return the notes of all reports, those of the first before what others add."""
    first, *others = fits.reports
    said = of_report(first)
    for report in others:
        known = {note.text for note in said}
        added = [note for note in of_report(report) if note.text not in known]
        said += [
            Note(f"{report.y} against {report.x}: {note.text}", note.laws, of_further_axes=True)
            for note in added
        ]
    return said


def ranked(given: Iterable[Note]) -> list[Note]:
    """Return each note once, what changes most first."""
    return sorted(dict.fromkeys(given), key=lambda note: note.rank)


def wrapped(text: str, width: int) -> Sequence[str]:
    """Return a note in lines of the screen, cut after MOST_LINES."""
    return textwrap.wrap(
        text,
        width=max(40, width),
        subsequent_indent="  ",
        max_lines=MOST_LINES,
        placeholder=" ...",
        break_on_hyphens=False,
    )


def lines_of(
    given: Iterable[Note],
    width: int,
    *,
    every: bool = False,
    most_lines: int | None = None,
    more: str = "--notes",
    also: str = "",
) -> list[str]:
    """Return notes as lines of text.

    Args:
        given: the notes.
        width: letters a line.
        every: all of them in full, a line each; else at most MOST, and how many more there are.
        most_lines: lines that are left for them, None for as many as they take.
        more: where the others are, before how many they are.
        also: is said beside that.
    """
    said = ranked(given)
    if every:
        return [f"note: {note.shown}" for note in said]
    left = most_lines - 1 if most_lines is not None else MOST * MOST_LINES  # the last line says how many more
    shown: list[Sequence[str]] = []
    for note in said[:MOST]:
        parts = wrapped(f"note: {note.shown}", width)
        if len(parts) > left:
            break
        left -= len(parts)
        shown.append(parts)
    others = f"{more}: {len(said) - len(shown)} more" if len(said) > len(shown) else ""
    last = (others + also).removeprefix("; ")
    return [*(line for parts in shown for line in parts), *([last] if last else [])]
