"""How results show themselves, in a console and in a notebook: short, in the words of the command line."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Sequence
from html import escape

from isoflop.api.arguments import in_python
from isoflop.curve.check.front import CheckReport
from isoflop.curve.compare.result import Comparison
from isoflop.curve.judge.answer import Judgement
from isoflop.curve.levers.result import LeversReport
from isoflop.curve.result import FitFile
from isoflop.report.text import check_lines, compare_lines, lever_lines, lever_sentences, notes, ruled
from isoflop.report.text.first_screen import first_screen
from isoflop.report.text.numerals import plural

WIDTH = 88
"""Letters a line of a text."""
UNCUT = 10_000
"""Letters a line of HTML, which the notebook breaks where it must."""
ALIGNED = 'style="text-align:left; vertical-align:top"'


def fit_text(fits: FitFile) -> str:
    """Return what the first screen of `isoflop fit` says."""
    said = first_screen(fits, WIDTH, why=".notes")
    reworded = [dataclasses.replace(note, text=in_python(note.text)) for note in said.notes]
    noted = notes.lines_of(reworded, WIDTH, more=".notes")
    lines = (*said.curve, *_aligned(said.laws), *said.result, *noted, *said.last)
    return in_python("\n".join(lines))


def fit_html(fits: FitFile) -> str:
    """Return the same as HTML, with all notes folded away."""
    said = first_screen(fits, UNCUT, why=".notes")
    texts = [note.shown for note in notes.ranked(said.notes)]
    header, *laws = said.laws
    curve, *rest = said.curve
    head = f"<strong>{escape(curve)}</strong>{''.join(f'<br>{escape(line)}' for line in rest)}"
    parts = (
        f"<p>{head}</p>",
        _table(laws, header),
        _paragraph(said.result),
        _folded("note", texts),
        _paragraph(said.last),
    )
    return f"<div>{in_python(''.join(parts))}</div>"


def check_text(report: CheckReport, verdict: Judgement | None) -> str:
    """Return the findings of a check, how many checks passed or could not be made, and the verdict."""
    lines = [check_lines.heading(report)]
    for outcome, sentence in _findings(report):
        lines += textwrap.wrap(
            f"{outcome:9}{sentence}", WIDTH, subsequent_indent=" " * 9, break_on_hyphens=False
        )
    passed, unchecked = _others(report)
    lines.append(f"{len(passed)} passed, {len(unchecked)} not checked (.checks)")
    if verdict is not None:
        lines += textwrap.wrap(ruled.line(verdict), WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return in_python("\n".join(lines))


def check_html(report: CheckReport, verdict: Judgement | None) -> str:
    """Return the same as HTML, with what passed and what could not be checked folded away."""
    passed, unchecked = _others(report)
    parts = (
        f"<p><strong>{escape(check_lines.heading(report))}</strong></p>",
        _table(_findings(report)),
        _folded("passed", passed, "passed"),
        _folded("not checked", unchecked, "not checked"),
        "" if verdict is None else f"<p>{escape(ruled.line(verdict))}</p>",
    )
    return f"<div>{in_python(''.join(parts))}</div>"


def levers_text(report: LeversReport) -> str:
    """Return the table of levers, what it says and what is not in it."""
    table = _aligned((lever_lines.COLUMNS, *lever_lines.rows(report)))
    said = (*lever_sentences.sentences(report), *lever_lines.missing(report))
    lines = [part for line in said for part in textwrap.wrap(line, WIDTH, break_on_hyphens=False)]
    return in_python("\n".join((f"{report.source}: {lever_lines.heading(report)}", *table, *lines)))


def comparison_text(comparison: Comparison) -> str:
    """Return what is compared, and the verdict on each arm."""
    lines = compare_lines.heading(comparison)
    for contrast in comparison.contrasts:
        lines.append(f"{contrast.other} against {contrast.baseline}")
        for sentence in contrast.verdict:
            lines += textwrap.wrap(sentence, WIDTH, initial_indent="  ", subsequent_indent="  ")
    return in_python("\n".join((*lines, *_not_compared(comparison))))


def comparison_html(comparison: Comparison) -> str:
    """Return the same as HTML, with what to beware of folded away."""
    axes, *arms = compare_lines.heading(comparison)
    parts = [f"<p><strong>{escape(axes)}</strong>{''.join(f'<br>{escape(arm.strip())}' for arm in arms)}</p>"]
    for contrast in comparison.contrasts:
        verdict = "".join(f"<br>{escape(sentence)}" for sentence in contrast.verdict)
        parts.append(
            f"<p><strong>{escape(f'{contrast.other} against {contrast.baseline}')}</strong>{verdict}</p>"
        )
    warned = [*comparison.warnings, *(each for of in comparison.contrasts for each in of.warnings)]
    parts += [_paragraph(_not_compared(comparison)), _folded("note", list(dict.fromkeys(warned)))]
    return f"<div>{in_python(''.join(parts))}</div>"


def _findings(report: CheckReport) -> list[tuple[str, str]]:
    return [
        each
        for each in check_lines.rows(report)
        if each[0] not in (check_lines.PASSED, check_lines.UNCHECKED)
    ]


def _others(report: CheckReport) -> tuple[list[str], list[str]]:
    """Return the sentences on the checks that passed and on those that could not be made."""
    rows = list(check_lines.rows(report))
    passed, unchecked = (
        [sentence for outcome, sentence in rows if outcome == kind]
        for kind in (check_lines.PASSED, check_lines.UNCHECKED)
    )
    return passed, unchecked


def _not_compared(comparison: Comparison) -> list[str]:
    return [f"not compared: {each.run_id}: {each.reason}" for each in comparison.not_compared]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows of a table as lines, each column as wide as its longest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _table(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> str:
    made = ["".join(f"<th {ALIGNED}>{escape(text)}</th>" for text in header)] if header else []
    made += ["".join(f"<td {ALIGNED}>{escape(text)}</td>" for text in row) for row in rows]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in made)}</table>" if made else ""


def _paragraph(lines: Sequence[str]) -> str:
    return f"<p>{'<br>'.join(map(escape, lines))}</p>" if lines else ""


def _folded(noun: str, sentences: Sequence[str], many: str | None = None) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<details><summary>{plural(len(sentences), noun, many)}</summary><ul>{items}</ul></details>"
