"""Claims about parallel limits: the shares of peak that Vegh gives, and what they say of parallelism."""

from __future__ import annotations

from isoflop.paper import limits
from isoflop.paper.claims_measured import not_run, number
from isoflop.paper.limits import LimitsResult
from isoflop.paper.section import Claim


def claims(result: LimitsResult | None) -> tuple[Claim, ...]:
    """Return the claim on the figures, and that on what they mean."""
    return shares(result), fractions(result)


def shares(result: LimitsResult | None) -> Claim:
    """Return the claim on shares of peak, which is judged by the digits that are given."""
    claim = "The largest machines use most of their peak on HPL, and 1% to 3% of it on HPCG (Vegh 2020)"
    paper = "Fugaku 0.823 and 0.030, Summit 0.740 and 0.0146, Sierra 0.753 and 0.0143"
    if result is None:
        return not_run(claim, "M", paper, "limits")
    ruling = limits.judge(result)
    given = [each for each in result.reached if each.claimed is not None]
    found = "; ".join(f"{each.machine} {each.program} {number(each.efficiency)}" for each in given)
    return Claim(
        claim,
        "M",
        paper,
        found,
        f"rates and peaks of TOP500 and HPCG, {given[0].edition}",
        ruling.answer,
        ruling.why,
    )


def fractions(result: LimitsResult | None) -> Claim:
    """Return the claim on the parallel fraction, which shares of peak cannot judge."""
    claim = "What communicates as HPCG does is limited by its serial part, however many cores there are"
    paper = "alpha_eff of E = R/(N P), a share of peak taken as the efficiency of N workers"
    if result is None:
        return not_run(claim, "M", paper, "limits")
    ratios = [ratio for _, ratio in result.ratios]
    return Claim(
        claim,
        "M",
        paper,
        f"1 - alpha_eff of HPCG is {number(min(ratios))} to {number(max(ratios))} times that of HPL",
        f"{len(ratios)} machines, the newest {result.reached[-1].machine} of {result.reached[-1].edition}",
        "cannot be told",
        "a share of peak mixes in what one core fails to reach: isoflop parallel measures speed-ups",
    )
