"""What a sweep found, said at its end: the sentence that stands first on its page, checks, and joules.

The sentence is judged as the page judges it, from the fit of the page's main axes by the same method, so that
the two cannot differ; the page's other axes are left to `isoflop report`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from isoflop.api import rows as fitted_rows
from isoflop.api.rows import Choice, Rows
from isoflop.curve.fit import Method
from isoflop.curve.language.answers import language_answers
from isoflop.curve.result import FitReport
from isoflop.report import bill, check_panel
from isoflop.report import subject as subjects
from isoflop.report.text import check_lines, units
from isoflop.report.text.numerals import plural
from isoflop.report.text.verdict import judge
from isoflop.table.aggregate import RunTable

MOST_RUNS = 1000
"""Runs of a larger sweep are not fitted at its end, which would seem to hang: `isoflop report` does it."""


@dataclasses.dataclass(frozen=True)
class Ending:
    """What a sweep found.

    Attributes:
        verdict: the page's sentence; empty where nothing was fitted.
        lines: the same, or why there is none; then what the checks found, and the joules.
    """

    verdict: str
    lines: tuple[str, ...]


def is_bounded(table: RunTable) -> bool:
    """Return whether the runs are few enough to be fitted at the end of their sweep."""
    return len(table.rows) <= MOST_RUNS


def of_sweep(directory: Path, table: RunTable) -> Ending:
    """Return what a sweep found.

    Args:
        directory: its folder.
        table: its runs.
    """
    if table.rows.empty:
        return Ending("", ("no verdict: no run is done",))
    energy = f"energy: {_energy(table.rows)}"
    if not is_bounded(table):
        return Ending(
            "", (f"no verdict yet: isoflop report fits the {plural(len(table.rows), 'run')}", energy)
        )
    try:
        chosen = fitted_rows.of_sweep(table, directory, Choice(), custom=True)
        table = chosen.kept(table)
        subject = subjects.of_sweep(directory, table)
        report, why_none = _fit(directory, chosen)
        valid = check_panel.validity(subject.checked, subject.files, report)
    except ValueError as error:  # of runs that are no one curve
        return Ending("", (f"no verdict yet: {error}", energy))
    check = f"check: {check_lines.counts(valid.checked)}"
    if report is None:
        return Ending("", (f"no verdict yet: {why_none}", check, *chosen.of_levers, energy))
    answers = language_answers(table.rows, directory=directory)
    verdict = judge(
        *(subject.rows, report, "", valid.checked, valid.support, answers.optimal if answers else None),
        judged_on=subject.judged_on,
        scope=subject.scope,
    )
    return Ending(verdict.sentence, (verdict.sentence, check, *chosen.of_levers, energy))


def _fit(directory: Path, chosen: Rows) -> tuple[FitReport | None, str]:
    """Return the fit of the page's main axes, or None and why there is none."""
    try:
        return fitted_rows.fit(chosen, Method(), source=str(directory)).reports[0], ""
    except ValueError as error:  # NothingToFitError and ConfigError are
        return None, str(error)


def _energy(rows: pd.DataFrame) -> str:
    """Return the joules of all runs, or why none are known; those of a shared trunk are counted once."""
    known = rows["energy_joules"].notna()
    if not known.any():
        reasons = rows["energy_reason"].dropna()
        why = reasons.mode().iloc[0].partition(";")[0] if len(reasons) else "no reason recorded"
        return f"unknown ({why})"
    some = "" if known.all() else f", known for {known.sum():,} of {plural(len(rows), 'run')}"
    return f"{units.joules(bill.total(rows, 'energy_joules'))}{some}"
