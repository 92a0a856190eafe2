"""Claims about published models: the form, the exponent, growth, and the bill."""

from __future__ import annotations

import math

from isoflop.curve.judge import rules
from isoflop.curve.judge.answer import Ruling
from isoflop.curve.result import Estimate, Interval
from isoflop.paper import facts, growth
from isoflop.paper.bending import said
from isoflop.paper.claims_measured import not_run, text
from isoflop.paper.growth import GrowthResult
from isoflop.paper.hindsight import HindsightResult
from isoflop.paper.implications import Bill, ImplicationsResult
from isoflop.paper.published import PublishedResult
from isoflop.paper.section import Claim

PAPER_WINDOW = (2012, 2020)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(exponent: float) -> str:
    """Return a whole power of ten as text, such as 10¹⁹."""
    return f"10{f'{exponent:.0f}'.translate(_SUPERSCRIPT)}"


def form(result: PublishedResult | None) -> Claim:
    """Return the claim that error falls as a power: it must predict larger models better, clear of a tie."""
    claim, paper = "Error falls as a power of compute", "log(1/error) on log compute, R² 43% for ImageNet"
    if result is None:
        return not_run(claim, "M", paper, "published")
    scores = {s.form: s for s in result.forms.scores}
    difference = result.forms.difference
    ruling = rules.of_bound(difference.interval, 0.0, "at least", rules.LOG_ERROR)
    return Claim(
        claim,
        "M",
        paper,
        f"R² {scores['polynomial'].r_squared:.0%}; larger models are predicted to "
        f"{scores['polynomial'].extrapolation_rmse.value:.3g} in ln error by the power law, to "
        f"{scores['exponential'].extrapolation_rmse.value:.3g} by the exponential form; difference "
        f"{text(difference, 2)}",
        f"{result.count} models of {result.families} families, {result.source}; up to "
        f"{result.forms.horizon:.3g} times the compute that was fitted",
        ruling.answer,
        f"difference of the two in ln error, above 0 where the power law is closer: {ruling.why}",
    )


def exponent(result: PublishedResult | None) -> Claim:
    """Return the claim of the ninth root, judged against the interval that the paper gives it."""
    value, low, high = facts.IMAGENET_ALPHA
    claim = "For images, error falls with the 9th root of compute a pass"
    paper = f"alpha about {value:g} ({low:g} to {high:g})"
    if result is None:
        return not_run(claim, "M", paper, "published")
    mean = result.exponents[0]
    assert mean.inverse_alpha is not None
    ruling = rules.of_range(mean.alpha.interval, Interval(low, high), rules.EXPONENT)
    if mean.lack_of_fit is not None and mean.lack_of_fit.rejected:
        ruling = Ruling("cannot be told", "the models reject the power law, so that no exponent stands alone")
    return Claim(
        claim,
        "M",
        paper,
        f"alpha = {text(mean.alpha)}; regressed the other way {text(mean.inverse_alpha)}"
        f"{said(mean.lack_of_fit)}",
        f"{result.count} models of {result.families} families, {result.source}; per {result.compute_name}",
        ruling.answer,
        ruling.why,
    )


def a_year(result: GrowthResult | None) -> Claim:
    """Return the claim of growth tenfold a year."""
    claim = "The compute of the largest models grew tenfold a year, 2012 to 2019"
    paper = f"{facts.GROWTH_A_YEAR:g} times a year"
    if result is None:
        return not_run(claim, "S", paper, "growth")
    rate = growth.rate_in(result, PAPER_WINDOW, "records")
    if rate is None or rate.times_a_year is None:
        why = rate.reason if rate is not None and rate.reason else "no such window in these models"
        return Claim(claim, "S", paper, "not tested", why, "cannot be told", why)
    others = [r for r in result.rates if r.of == "records" and r.times_a_year is not None]
    values = [r.times_a_year.value for r in others if r.times_a_year is not None]
    claimed = rules.about(facts.GROWTH_A_YEAR)
    ruling = rules.of_range(rate.times_a_year.interval, claimed, rules.AMOUNT)
    return Claim(
        claim,
        "S",
        paper,
        f"record holders: {text(rate.times_a_year)} times a year; between {min(values):.3g} and "
        f"{max(values):.3g} in the {len(values)} windows tried",
        f"{rate.models} record holders of {PAPER_WINDOW[0]} to {PAPER_WINDOW[1] - 1}, {result.source}",
        ruling.answer,
        f"about {facts.GROWTH_A_YEAR:g} is {claimed.low:.3g} to {claimed.high:.3g}: {ruling.why}",
    )


def above_hardware(result: GrowthResult | None) -> Claim:
    """Return the claim that compute grew faster than hardware."""
    claim, paper = "That is far more than hardware gained", "GPUs 5 to 15 times at first, 35 times by 2012"
    if result is None:
        return not_run(claim, "S", paper, "growth")
    rate = growth.rate_in(result, PAPER_WINDOW, "records")
    if rate is None or rate.times_a_year is None or not result.hardware:
        why = "no rate of both"
        return Claim(claim, "S", paper, "not tested", why, "cannot be told", why)
    fastest = max(result.hardware, key=lambda h: h.times_a_year)
    ruling = rules.of_bound(rate.times_a_year.interval, fastest.times_a_year, "at least", rules.AMOUNT)
    return Claim(
        claim,
        "S",
        paper,
        f"record holders {text(rate.times_a_year)} times a year; peak rate of a GPU "
        f"{fastest.times_a_year:.3g} times ({fastest.line}, {fastest.dtype})",
        f"{rate.models} record holders; {fastest.boards} GPUs of {fastest.first_year:.0f} to "
        f"{fastest.last_year:.0f}",
        ruling.answer,
        ruling.why,
    )


def bill(result: ImplicationsResult | None) -> Claim:
    """Return the claim of the bill for ImageNet, of which GFLOPs and dollars are both judged."""
    target = next(
        c for c in facts.TABLE if c.benchmark == "ImageNet" and math.isclose(c.error, facts.BILL_ERROR)
    )
    gflops, _, dollars = target.polynomial
    price = f"{power(gflops)} GFLOPs, priced at {power(dollars)} dollars"
    claim = f"{target.error:.0%} error on ImageNet would take {price}"
    paper = f"so by the polynomial form; {power(target.exponential[0])} GFLOPs by the exponential"
    if result is None:
        return not_run(claim, "M", paper, "implications")
    own = [b for b in result.bills if b.source.startswith("models: ") and math.isclose(b.error, target.error)]
    bills = {b.form: b for b in own if b.per == "training, assumed"}
    made = bills.get("polynomial")
    if made is None or made.log10_gflops is None or made.interval is None:
        why = "no published models given"
        return Claim(claim, "M", paper, "not tested", why, "cannot be told", why)
    other = bills["exponential"].log10_gflops
    forms = "no compute" if other is None else f"{other:.3g}"
    log10_dollars = in_dollars(made)
    compute = rules.of_range(made.interval, facts.truncated(gflops), rules.LOG10_AMOUNT)
    money = rules.of_range(log10_dollars.interval, facts.truncated(dollars), rules.LOG10_AMOUNT)
    ruling = rules.together(compute, money)
    return Claim(
        claim,
        "M",
        paper,
        f"log₁₀ GFLOPs {text(Estimate('', made.log10_gflops, made.interval, ''))} by the polynomial form, "
        f"{forms} by the exponential; at the paper's conversion log₁₀ dollars {text(log10_dollars)}",
        "torchvision's models, one usual training assumed; counted FLOPs, while the paper's are processors x "
        "peak x time",
        ruling.answer,
        f"GFLOPs: {compute.answer}, {compute.why}; dollars: {money.answer}, {money.why}",
    )


def forecast(result: HindsightResult | None) -> Claim:
    """Return the claim of the forecast itself, judged by inequality: the polynomial form for COCO at 34%."""
    error = 0.34
    claim = f"{error:.0%} error on MS COCO would take about {power(20)} GFLOPs"
    paper = "by the polynomial form through the authors' points; 10²⁴ by the exponential"
    if result is None:
        return not_run(claim, "D", paper, "hindsight")
    outcome = next(o for o in result.outcomes if (o.reached.benchmark, o.reached.error) == ("MS COCO", error))
    straight, bent = outcome.demands
    return Claim(
        claim,
        "D",
        paper,
        f"{outcome.reached.model} in {outcome.reached.year}; demanded 10^{straight.log10_gflops:.1f} "
        f"GFLOPs, at least 10^{straight.low:.1f}; by the exponential form 10^{bent.log10_gflops:.1f}, at "
        f"least 10^{bent.low:.1f}",
        f"{outcome.reached.source}; pretrained on {outcome.reached.extra}; the largest training run known is "
        f"10^{result.log10_largest:.1f} GFLOPs",
        straight.ruling.answer,
        f"{straight.ruling.why}; the exponential form: {bent.ruling.answer}, {bent.ruling.why}",
    )


def in_dollars(made: Bill) -> Estimate:
    """Return log10 of a bill's dollars at the paper's conversion, whose own range widens the interval."""
    assert made.log10_dollars_paper is not None
    assert made.interval is not None
    few, many = (9 - math.log10(rate) for rate in reversed(facts.FLOPS_PER_DOLLAR_RANGE))
    low, high = made.interval.low, made.interval.high
    ends = Interval(None if low is None else low + few, None if high is None else high + many)
    return Estimate("log10_dollars", made.log10_dollars_paper, ends, "")
