"""What a sweep says about "The Computational Limits of Deep Learning" (arXiv 2007.05558), in plain words.

The paper: error falls at best as compute^(-1/4), so alpha = 1/b >= 4 and being k times better costs at least
k^4; measured on published ImageNet models, per forward pass, alpha is about 9.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import pandas as pd

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import CheckReport
from isoflop.curve.language.result import OptimalTraining
from isoflop.curve.result import Estimate, FitReport
from isoflop.report.text import costs, lead, loss_verdict, measured, misfit, optimal_training
from isoflop.report.text.caveats import caveats
from isoflop.report.text.lead import Lead
from isoflop.report.text.numerals import percent
from isoflop.table import target
from isoflop.table.target import Target

LEAST_ALPHA = 4.0

Answer = Literal["agrees", "disagrees", "cannot be told"]

_CLAIM = (
    "The paper claims that error falls only as a small power of compute: being k times better costs at least "
    "k⁴ times the compute in theory (alpha of 4 or more, for root mean square error), and more in practice."
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The answer, a headline, the sentences behind it, the outlook beyond the sweep, and the caveats.

    `lead` is what the headline says of the curve, from which its figures follow (headline_figures).
    """

    answer: Answer
    headline: str
    sentences: tuple[str, ...]
    outlook: tuple[str, ...]
    caveats: tuple[str, ...]
    lead: Lead

    @property
    def sentence(self) -> str:
        """The headline without the answer that it begins with: what was found."""
        begins = self.headline.lower().startswith(self.answer)
        said = self.headline.partition(": ")[2] if begins else self.headline
        return f"{said[:1].upper()}{said[1:]}"

    @property
    def against(self) -> str:
        """How what was found stands to the paper's claim; empty where the paper claims nothing of it."""
        if _CLAIM not in self.sentences:
            return ""
        return f"The paper's limit, alpha at least {LEAST_ALPHA:g}: {self.answer}."


def _floored(report: FitReport, support: FloorSupport | None) -> tuple[str, str]:
    """Return (headline, reason) of a curve that bends towards a floor, or seems to.

    A floor is claimed from the points of properly trained shapes only: where undertrained ones are among the
    points, the law is fitted again without them (`support`).
    """
    floor = costs.floor(report)
    assert floor is not None, "a lead of a floor has one"
    reason = (
        "The law with a floor is clearly closer to the points than the plain power law. A fixed training set "
        "or wrong labels give such a floor; the paper's limit lets the data grow with compute."
    )
    if support is None:
        claim, remark, of_which = floor, "", ""
    elif support.only_by_undertrained:
        return (
            "Cannot be told: the curve bends, but only through shapes that were not trained well.",
            f"An irreducible error is supported only by {measured.undertrained(support)}: without them none "
            "is identified, so none is claimed.",
        )
    else:
        claim, of_which = support.floor_without or floor, " without undertrained shapes"
        remark = f" Without {measured.undertrained(support)} the floor is {percent(claim.value, 3)} "
        remark += f"({report.percent} interval {_percents(claim)}), with them {percent(floor.value, 3)}."
    headline = (
        f"Cannot be told: the curve bends towards a floor of about {percent(claim.value, 2)}{of_which}, so "
        "no single exponent describes it."
    )
    return headline, reason + remark


def _percents(value: Estimate) -> str:
    return f"{percent(value.interval.low)} to {percent(value.interval.high)}"


def _answer(
    report: FitReport, seeds: pd.Series[int], support: FloorSupport | None, shown: Lead
) -> tuple[Answer, str, str]:
    """Return (answer, headline, reason) of what the points show."""
    flat = measured.no_fall(report)
    if flat is not None:
        return "cannot be told", f"Cannot be told: {flat[0]}", flat[1]
    gaps = measured.gaps(report, seeds)
    if gaps:
        fall = f"{report.quantity.noun} falls with {report.resource.short}"
        headline = f"Cannot be told: {fall}, but too little was measured."
        return "cannot be told", headline, f"Too little was measured for an answer: {'; '.join(gaps)}."
    if shown.kind in ("floor", "undertrained"):
        return "cannot be told", *_floored(report, support)
    if shown.kind == "bends":
        headline = "Cannot be told: the curve bends, so no single exponent describes it."
        return "cannot be told", headline, _end(report)
    plain = costs.law(report, "power_law_ols")
    alpha = plain.paper_alpha if plain else None
    low, high = (alpha.interval.low, alpha.interval.high) if alpha else (None, None)
    best = f"{LEAST_ALPHA:g}, the paper's theoretical best case"
    if low is not None and low >= LEAST_ALPHA:
        return (
            "agrees",
            f"Agrees, within the range measured: error falls as a small power of {report.resource.name}.",
            f"The whole {report.percent} interval of alpha lies above {best}.",
        )
    if high is not None and high < LEAST_ALPHA:
        return (
            "disagrees",
            "Disagrees, within the range measured: error falls faster than the paper's best case.",
            f"The whole {report.percent} interval of alpha lies below {LEAST_ALPHA:g}. The paper's limit is "
            "of root mean square error, for ever larger models and data; classification error over a short "
            "stretch of small models can be steeper, so this says nothing of others.",
        )
    return (
        "cannot be told",
        "Cannot be told: error falls with compute, but how steeply is too uncertain to compare.",
        f"The {report.percent} interval of alpha includes {best}.",
    )


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
    """
    seeds = rows.groupby("config_id")["seed"].nunique()
    judged_on = judged_on or target.of(rows)
    if judged_on.domain == target.TEXT:
        return _of_text(rows, report, why_none, checked, support, optimal)
    scope = scope or _scope(rows)
    if judged_on.domain == target.TABLE and not _is_claimed(report):
        return _of_table(rows, report, why_none, checked, support, judged_on, scope)
    if report is None:
        headline = "Cannot be told: no law was fitted to error against training compute."
        no_fit = (_CLAIM, f"Here nothing was fitted: {why_none}.", scope)
        kept = caveats(rows, None, judged_on=judged_on)
        return Verdict("cannot be told", headline, no_fit, (), kept, Lead("unfitted"))
    shown = lead.lead(report, seeds, support)
    answer, headline, reason = _answer(report, seeds, support, shown)
    checks = measured.check_sentence(checked, support, report)
    said = (_CLAIM, measured.measured(report), checks, reason, scope)
    sentences = tuple(sentence for sentence in said if sentence)
    kept = caveats(rows, report, judged_on=judged_on)
    return Verdict(answer, headline, sentences, measured.outlook(report), kept, shown)


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
