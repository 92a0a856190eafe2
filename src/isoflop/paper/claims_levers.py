"""The claim about ways to lessen the burden: a factor of compute, or another exponent?"""

from __future__ import annotations

from isoflop.curve.judge import levers as judging
from isoflop.curve.levers.result import LeverRow
from isoflop.paper.claims_measured import not_run
from isoflop.paper.levers import LeversResult
from isoflop.paper.section import Claim
from isoflop.report.text.lever_lines import signed
from isoflop.report.text.numerals import plural

CLAIM = "The ways to lessen the burden are worth a factor of compute and leave the exponent as it is"
PAPER = (
    "section 4 lists pruning, quantisation, distillation, architecture search and others; no exponent given"
)


def claim(result: LeversResult | None) -> Claim:
    """Return the claim on the exponent, judged over all levers that were trained."""
    if result is None:
        return not_run(CLAIM, "S", PAPER, "levers DIR, of a sweep=levers")
    compared = result.report.compared
    ruling = judging.of_levers(result.report.levers)
    found = "; ".join(_found(row) for row in compared)
    configs = plural(result.report.configurations, "configuration")
    return Claim(
        CLAIM,
        "S",
        PAPER,
        f"b changes by: {found}" if found else "no lever could be compared",
        f"{plural(result.runs, 'run')} of {plural(len(result.report.levers), 'lever')} and a baseline of "
        f"{configs} on {result.data or 'data that are not named'}, {result.report.y} against own training "
        "compute",
        ruling.answer,
        ruling.why,
    )


def _found(row: LeverRow) -> str:
    assert row.own is not None
    b = row.own.b
    seen = "none seen at any size" if b.smallest_seen is None else f"seen from {b.smallest_seen:.3f}"
    return f"{row.name} {b.value:+.3f} ({signed(b.interval)}, {seen})"
