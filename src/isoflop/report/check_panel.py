"""The section of a sweep's page that says whether the sweep is valid."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pandas as pd

from isoflop.curve.check import floor, front
from isoflop.curve.check.finding import SEVERITIES, Finding, Severity
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import TITLES, CheckReport, title
from isoflop.curve.check.sweep_files import SweepFiles
from isoflop.curve.judge import limit
from isoflop.curve.judge.answer import Judgement
from isoflop.curve.judge.checked import Checked
from isoflop.curve.result import FitReport
from isoflop.report.figures import views
from isoflop.report.text.numerals import plural


@dataclasses.dataclass(frozen=True)
class Validity:
    """What the checks say of a sweep, of the floor of its first fit without undertrained shapes, and the
    verdict on the paper's limit; the last two None without a fit."""

    checked: CheckReport
    support: FloorSupport | None
    limit: Judgement | None = None


@dataclasses.dataclass(frozen=True)
class CheckLine:
    """One finding, as the page shows it: severity, the check's title, what was found, and what to do."""

    severity: Severity
    title: str
    sentence: str
    what_to_do: str


@dataclasses.dataclass(frozen=True)
class CheckPanel:
    """The section's headline, its findings by weight, and what passed or was not checked as (title, text).

    `lines` are faults and warnings, which the page shows in full; it folds `notes`.
    """

    headline: str
    lines: tuple[CheckLine, ...]
    notes: tuple[CheckLine, ...]
    passed: tuple[tuple[str, str], ...]
    not_checked: tuple[tuple[str, str], ...]

    @property
    def titles(self) -> tuple[tuple[Severity, str], ...]:
        """Severity and title of the faults and warnings, each once, with how many there are of it."""
        counted = Counter((line.severity, line.title) for line in self.lines)
        return tuple((of, f"{what} ×{n}" if n > 1 else what) for (of, what), n in counted.items())


def validity(
    rows: pd.DataFrame, files: SweepFiles, report: FitReport | None, known: Checked | None = None
) -> Validity:
    """Check rows with what a sweep keeps beside them.

    Args:
        rows: one row a run.
        files: what a sweep keeps beside them.
        report: the fit of the main axes, if any.
        known: what the checks say of the same rows and fits without `files`, where that is known already.
    """
    if known is not None and report is not None and known.axes == (report.x, report.y):
        return Validity(front.with_files(known.report, rows, files), known.supports[0], known.limit)
    checked = front.check(rows, files)
    if report is None:
        return Validity(checked, None)
    return Validity(checked, floor.support(rows, report, checked), limit.of_report(rows, report, checked))


def flagged(rows: pd.DataFrame, checked: CheckReport) -> pd.DataFrame:
    """Return the rows with the column views.FLAGGED: those of undertrained shapes, which are drawn hollow."""
    named = {entry.run_id for entry in checked.undertrained}
    return rows.assign(**{views.FLAGGED: rows["run_id"].isin(named)})


def panel(checked: CheckReport) -> CheckPanel:
    """Return the section of the page."""
    lines = tuple(
        CheckLine(found.severity, title(found), _said(found), _capital(found.what_to_do))
        for found in checked.findings
    )
    return CheckPanel(
        headline=_headline(checked),
        lines=tuple(line for line in lines if line.severity != "note"),
        notes=tuple(line for line in lines if line.severity == "note"),
        passed=tuple((TITLES[o.check], o.passed) for o in checked.outcomes if o.passed is not None),
        not_checked=tuple(
            (TITLES[o.check], o.not_checked) for o in checked.outcomes if o.not_checked is not None
        ),
    )


def _headline(checked: CheckReport) -> str:
    count = Counter(found.severity for found in checked.findings)
    parts = [plural(count[severity], severity) for severity in SEVERITIES if count[severity]]
    passed = sum(outcome.passed is not None for outcome in checked.outcomes)
    open_ = sum(outcome.not_checked is not None for outcome in checked.outcomes)
    said = ", ".join(parts) if parts else "nothing found"
    return f"{len(checked.outcomes)} checks: {said}; {passed} passed, {open_} not checked."


def _said(found: Finding) -> str:
    """Return the sentence of a finding. The name of a shape that it begins with keeps its small letter."""
    named = any(found.sentence.startswith(subject.name) for subject in found.subjects)
    return f"{found.sentence}." if named else _capital(found.sentence)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
