"""The claims of the paper, each with the result found here, its evidence and a verdict by a stated rule.

Every verdict is made by curve/judge, as those of `isoflop report` and `isoflop check` are; none is typed in.
A section that has not been run leaves its claims "cannot be told", with the command that would tell.
"""

from __future__ import annotations

import dataclasses

from isoflop.curve.judge import rules
from isoflop.curve.judge.answer import Answer
from isoflop.curve.judge.levers import WIDEST_UNSEEN
from isoflop.paper import claims_levers, claims_limits, claims_measured, claims_published
from isoflop.paper.claims_measured import OwnSweep
from isoflop.paper.growth import GrowthResult
from isoflop.paper.hindsight import HindsightResult
from isoflop.paper.implications import ImplicationsResult
from isoflop.paper.language import LanguageResult
from isoflop.paper.levers import LeversResult
from isoflop.paper.limits import LimitsResult
from isoflop.paper.overparameterised import OverparameterisedResult
from isoflop.paper.published import PublishedResult
from isoflop.paper.section import Claim


@dataclasses.dataclass(frozen=True)
class Results:
    """Results of the other sections, None where one has not been run.

    `theory` holds that section's own claims; `own` the sweeps of the user, whose rows come first.
    """

    published: PublishedResult | None = None
    implications: ImplicationsResult | None = None
    growth: GrowthResult | None = None
    overparameterised: OverparameterisedResult | None = None
    language: LanguageResult | None = None
    hindsight: HindsightResult | None = None
    limits: LimitsResult | None = None
    levers: LeversResult | None = None
    theory: tuple[Claim, ...] | None = None
    own: tuple[OwnSweep, ...] = ()


@dataclasses.dataclass(frozen=True)
class ClaimsResult:
    """All claims, and the number of each verdict."""

    claims: tuple[Claim, ...]
    agrees: int
    disagrees: int
    compatible: int
    undecided: int
    rules: tuple[str, ...]


RULES = (
    "Agrees: the whole 95% interval lies on the claim's side, and it is narrow enough to speak of it: an "
    f"exponent's ends less than a factor of {rules.WIDEST_EXPONENT:g} apart (the paper's own are 7.0 and "
    f"13.9), those of an amount or of its growth less than {rules.WIDEST_AMOUNT:g}.",
    "Disagrees: the whole interval lies beyond the claim.",
    "Compatible but not decisive: everything between; a tie, or an interval that would agree with nearly "
    "anything.",
    "Cannot be told: what the claim speaks of was not measured, too little of it was, or the points reject "
    "the law; the reason stands beside the verdict. That a lever leaves the exponent as it is cannot be told "
    f"where the smallest change that would have been seen is above {WIDEST_UNSEEN:g}.",
    f"A figure that the paper gives without an interval is read as known to a factor of {rules.ABOUT:.3g}; a "
    "power of ten of its table as truncated: 10¹⁹ is anything from there to 10²⁰.",
)


def judge(results: Results) -> ClaimsResult:
    """Return every claim with its verdict: the user's own sweeps first, then in the order of the paper."""
    claims = (
        *(claims_measured.own(each) for each in results.own),
        claims_measured.bound(results.overparameterised),
        *_theory(results.theory),
        claims_published.form(results.published),
        claims_published.exponent(results.published),
        *claims_measured.language(results.language),
        claims_published.a_year(results.growth),
        claims_published.above_hardware(results.growth),
        claims_published.bill(results.implications),
        claims_published.forecast(results.hindsight),
        claims_measured.inference(results.overparameterised),
        claims_levers.claim(results.levers),
        *claims_limits.claims(results.limits),
    )
    verdicts: list[Answer] = [claim.verdict for claim in claims]
    return ClaimsResult(
        claims=claims,
        agrees=verdicts.count("agrees"),
        disagrees=verdicts.count("disagrees"),
        compatible=verdicts.count("compatible but not decisive"),
        undecided=verdicts.count("cannot be told"),
        rules=RULES,
    )


def _theory(claims: tuple[Claim, ...] | None) -> tuple[Claim, ...]:
    if claims is None:
        claim = "A regularised model of all features beats an expert's choice of them, given enough data"
        paper = "figure 2: lasso on 1000 candidates passes the expert"
        return (claims_measured.not_run(claim, "S", paper, "theory"),)
    return claims
