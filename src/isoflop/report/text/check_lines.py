"""What the checks of a sweep say, in lines of plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from isoflop.curve.check.finding import SEVERITIES, SHOWN, Finding
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import TITLES, CheckReport, title
from isoflop.curve.result import FitReport
from isoflop.report.text.fit_lines import estimate
from isoflop.report.text.numerals import plural

PASSED, UNCHECKED = "passed", "not checked"
"""Outcomes of checks that found nothing, and of checks that could not be made."""


def heading(report: CheckReport) -> str:
    """Return how many runs were checked and what was found."""
    runs, configs = plural(report.runs, "run"), plural(report.configs, "configuration")
    return f"{runs} of {configs}: {counts(report)}"


def counts(report: CheckReport) -> str:
    """Return `2 faults, 3 warnings, 5 notes`, or that there is none."""
    number = Counter(found.severity for found in report.findings)
    parts = [plural(number[severity], severity) for severity in SEVERITIES if number[severity]]
    return ", ".join(parts) if parts else "nothing found"


def rows(report: CheckReport) -> Iterator[tuple[str, str]]:
    """Yield (outcome, sentence): findings, worst first, then what passed, then what could not be checked.

    What to do about a finding is a row of its own, without an outcome.
    """
    for found in report.findings:
        yield found.severity, f"{title(found)}: {found.sentence}"
        yield "", f"-> {found.what_to_do}{_runs(found)}"
    for outcome in report.outcomes:
        if outcome.passed is not None:
            yield PASSED, f"{TITLES[outcome.check]}: {outcome.passed}"
    for outcome in report.outcomes:
        if outcome.not_checked is not None:
            yield UNCHECKED, f"{TITLES[outcome.check]}: {outcome.not_checked}"


def _runs(found: Finding) -> str:
    """Return the ids of the runs that a finding is about, if they are not all."""
    ids = [run_id for subject in found.subjects for run_id in subject.run_ids]
    if not ids:
        return ""
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f" (runs {', '.join(ids[:SHOWN])}{more})"


def support_lines(supports: Sequence[tuple[FitReport, FloorSupport]]) -> list[str]:
    """Return what becomes of exponents and irreducible errors without the points of undertrained shapes."""
    if not supports:
        return []
    first = supports[0][1]
    names, runs = ", ".join(first.names), plural(first.runs, "run")
    lines = [f"undertrained: {names} ({runs}): training loss rose with size. Without them"]
    for report, support in supports:
        without = f"b {estimate(support.exponent_without)}, E {estimate(support.floor_without)}"
        if support.reason is not None:
            without = f"nothing can be fitted: {support.reason}"
        elif support.only_by_undertrained:
            without += "; no irreducible error is claimed, since none is identified without them"
        lines.append(f"  {report.y} against {report.x}: {without}")
    return [*lines, "  (--exclude undertrained fits without them)"]
