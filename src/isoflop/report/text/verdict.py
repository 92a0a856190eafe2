"""What a sweep says about "The Computational Limits of Deep Learning" (arXiv 2007.05558), in plain words.

The paper: root mean square error falls at best as compute^(-1/4), so being k times better costs at least k^4.
Whether that holds is judged in curve/judge/limit.py; here it is put in words, with how the error falls.
"""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import CheckReport
from isoflop.curve.judge import limit as limits
from isoflop.curve.judge.answer import Answer, Judgement
from isoflop.curve.language.result import OptimalTraining
from isoflop.curve.result import Estimate, FitReport
from isoflop.report.text import costs, falls, lead, loss_verdict, measured, misfit, optimal_training, ruled
from isoflop.report.text.caveats import caveats
from isoflop.report.text.lead import Lead
from isoflop.report.text.numerals import percent
from isoflop.table import target
from isoflop.table.axis import capital
from isoflop.table.target import Target

_CLAIM = (
    "The paper claims a limit: being k times better costs at least k⁴ times the compute in theory, where "
    "the error is root mean square error and the data grow with compute, and more in practice."
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The answer, a headline, the sentences behind it, the outlook beyond the sweep, and the caveats.

    `lead` is what the headline says of the curve, from which its figures follow (headline_figures). `against`
    is how what was found stands to the paper's limit; empty where the paper claims nothing of it.
    """

    answer: Answer
    headline: str
    sentences: tuple[str, ...]
    outlook: tuple[str, ...]
    caveats: tuple[str, ...]
    lead: Lead
    against: str = ""

    @property
    def sentence(self) -> str:
        """The headline without the answer that it begins with: what was found."""
        begins = self.headline.lower().startswith(self.answer)
        said = self.headline.partition(": ")[2] if begins else self.headline
        return f"{said[:1].upper()}{said[1:]}"


def _bent(report: FitReport, support: FloorSupport | None, shown: Lead) -> str:
    """Return what is said of a curve that bends, or seems to; empty where it does not.

    A floor is claimed from the points of properly trained shapes only: where undertrained ones are among the
    points, the law is fitted again without them (`support`).
    """
    if support is not None and shown.kind == "undertrained":
        return (
            f"An irreducible error is supported only by {measured.undertrained(support)}: without them none "
            "is identified, so none is claimed."
        )
    if shown.kind == "bends":
        return _end(report)
    floor = costs.floor(report)
    if shown.kind != "floor" or floor is None:
        return ""
    reason = (
        "The law with a floor is clearly closer to the points than the plain power law. A fixed training set "
        "or wrong labels give such a floor; the paper's limit lets the data grow with compute."
    )
    if support is None:
        return reason
    claim = support.floor_without or floor
    return (
        f"{reason} Without {measured.undertrained(support)} the floor is {percent(claim.value, 3)} "
        f"({report.percent} interval {_percents(claim)}), with them {percent(floor.value, 3)}."
    )


def _percents(value: Estimate) -> str:
    return f"{percent(value.interval.low)} to {percent(value.interval.high)}"


def _end(report: FitReport) -> str:
    """Return why no exponent is compared with the paper's, and what it is where the curve ends."""
    local = misfit.instead(report)
    why = "The power law is rejected: its exponent changes along the points"
    return f"{why}; {local}, which holds at that point alone." if local else f"{why}."


def _of_text(
    rows: pd.DataFrame,
    report: FitReport | None,
    why_none: str,
    checked: CheckReport | None,
    support: FloorSupport | None,
    optimal: OptimalTraining | None,
) -> Verdict:
    """Return the verdict of a sweep on text; the arguments are those of `judge`."""
    seeds = rows.groupby("config_id")["seed"].nunique()
    if optimal is not None:
        headline, said = optimal_training.judge(optimal, seeds, checked, support)
        shown = Lead("short" if optimal_training.gaps(optimal, seeds) else "joint")
        sentences = (*said, loss_verdict.LIMIT, loss_verdict.scope(rows))
        outlook = optimal_training.outlook(optimal, report)
    else:
        headline, sentences = loss_verdict.judge(rows, report, why_none, seeds, checked, support)
        outlook = measured.outlook(report) if report is not None else ()
        shown = lead.lead(report, seeds, support)
    return Verdict("cannot be told", headline, sentences, outlook, caveats(rows, report, optimal), shown)


def judge(
    rows: pd.DataFrame,
    report: FitReport | None,
    why_none: str,
    checked: CheckReport | None = None,
    support: FloorSupport | None = None,
    optimal: OptimalTraining | None = None,
    judged_on: Target | None = None,
    scope: str = "",
    limit: Judgement | None = None,
) -> Verdict:
    """Return the verdict from the rows and their fit of error, or loss of text, against training GFLOPs.

    Args:
        rows: one row a run.
        report: the fit.
        why_none: the reason if there is no fit, that is if `report` is None.
        checked: what the checks of the rows say.
        support: what the fit says without undertrained shapes, where there are any among its points.
        optimal: compute-optimal training of a sweep of text, which is then the answer in place of the fit.
        judged_on: what the rows are judged on; of a sweep's, it is known.
        scope: what the numbers are of, in a sentence; of a sweep's, it is known.
        limit: the verdict on the paper's limit, where it is known already; else it is judged here.
    """
    judged_on = judged_on or target.of(rows)
    if judged_on.domain == target.TEXT:
        return _of_text(rows, report, why_none, checked, support, optimal)
    scope = scope or _scope(rows)
    if judged_on.domain == target.TABLE and not _is_claimed(report):
        return _of_table(rows, report, why_none, checked, support, judged_on, scope)
    kept = caveats(rows, report, judged_on=judged_on)
    if report is None:
        limit = limit or limits.judge(rows, checked)
        headline = "No law was fitted to error against training compute."
        no_fit = (_CLAIM, f"Here nothing was fitted: {why_none}.", scope)
        return Verdict(limit.answer, headline, no_fit, (), kept, Lead("unfitted"), ruled.against(limit))
    limit = limit or limits.of_report(rows, report, checked)
    assert limit is not None
    shown = lead.lead(report, rows.groupby("config_id")["seed"].nunique(), support)
    said = (
        _CLAIM,
        measured.measured(report),
        _flat(report),
        measured.check_sentence(checked, support, report),
        _bent(report, support, shown),
        f"{capital(limit.claim)}: {limit.answer}. {capital(ruled.because(limit))}.",
        _steep(limit),
        scope,
    )
    return Verdict(
        limit.answer,
        f"{capital(falls.sentence(report, shown, support))}.",
        tuple(sentence for sentence in said if sentence),
        measured.outlook(report),
        kept,
        shown,
        ruled.against(limit),
    )


def _flat(report: FitReport) -> str:
    """Return why no fall of the error is established, empty where one is."""
    flat = measured.no_fall(report)
    return "" if flat is None else flat[1]


def _steep(limit: Judgement) -> str:
    """Return what a fall that is steeper than the limit does not say."""
    if limit.answer != "disagrees":
        return ""
    return "A short stretch of small models can be steeper than larger ones, so this says nothing of others."


def _scope(rows: pd.DataFrame) -> str:
    """Return what the numbers of a sweep on images are of."""
    data = ", ".join(sorted(rows["data"].dropna().astype(str).unique())) or "unknown data"
    models = ", ".join(sorted(rows["family"].dropna().astype(str).unique())) or "unknown models"
    return (
        f"This sweep trained {models} on {data}: it cannot confirm or refute the paper's ImageNet figure "
        "(alpha about 9), which is per forward pass of published models, not per training compute."
    )


def _is_claimed(report: FitReport | None) -> bool:
    """Return whether the paper's limit speaks of the axes: of an error against compute, not of one pass."""
    if report is None:
        return False
    x, y = report.resource, report.quantity
    return y.noun == "error" and y.unit == "%" and x.is_compute and not x.a_pass


def _of_table(
    rows: pd.DataFrame,
    report: FitReport | None,
    why_none: str,
    checked: CheckReport | None,
    support: FloorSupport | None,
    judged_on: Target,
    scope: str,
) -> Verdict:
    """Return the verdict of a table of the user's own, of axes of which the paper claims nothing.

    Args:
        rows, report, why_none, checked, support: those of `judge`.
        judged_on: what the rows are judged on.
        scope: what they are of.
    """
    if report is None:
        headline = f"Cannot be told: no law was fitted to {judged_on.quantity.noun}."
        no_fit = (f"Nothing was fitted: {why_none}.", scope)
        return Verdict("cannot be told", headline, no_fit, (), (), Lead("unfitted"))
    seeds = rows.groupby("config_id")["seed"].nunique()
    headline, reason = loss_verdict.answer(report, seeds, support, of_text=False)
    said = (measured.measured(report), measured.check_sentence(checked, support, report), reason, scope)
    return Verdict(
        "cannot be told",
        headline,
        tuple(sentence for sentence in said if sentence),
        measured.outlook(report),
        caveats(rows, report, judged_on=judged_on),
        lead.lead(report, seeds, support),
    )
