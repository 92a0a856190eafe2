"""The claims of the paper, each with the result found here, its evidence and a verdict by a stated rule.

Every verdict is computed from the results of the other sections by the functions below; none is typed in. A
section that has not been run leaves its claims "cannot be tested here", with the command that would test
them.
"""

from __future__ import annotations

import dataclasses
import math

from isoflop.curve.result import Estimate, Interval
from isoflop.paper import facts, growth, language, overparameterised
from isoflop.paper.bending import said
from isoflop.paper.growth import GrowthResult
from isoflop.paper.implications import ImplicationsResult
from isoflop.paper.language import LanguageResult
from isoflop.paper.overparameterised import OverparameterisedResult
from isoflop.paper.published import PublishedResult
from isoflop.paper.section import Claim, Verdict

PAPER_WINDOW = (2012, 2020)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclasses.dataclass(frozen=True)
class Results:
    """Results of the other sections, None where one has not been run.

    `theory` holds that section's own claims.
    """

    published: PublishedResult | None = None
    implications: ImplicationsResult | None = None
    growth: GrowthResult | None = None
    overparameterised: OverparameterisedResult | None = None
    language: LanguageResult | None = None
    theory: tuple[Claim, ...] | None = None


@dataclasses.dataclass(frozen=True)
class ClaimsResult:
    """All claims, and the number of each verdict."""

    claims: tuple[Claim, ...]
    agrees: int
    disagrees: int
    untested: int
    rules: tuple[str, ...]


RULES = (
    "A value with an interval: agrees where the value found lies in the paper's interval or the paper's "
    "value in "
    "the interval found, disagrees where the two intervals are disjoint, else it cannot be tested.",
    "A bound: disagrees where the interval found lies wholly beyond it, else agrees; without an interval "
    "it cannot "
    "be tested.",
    "A wide interval agrees easily: see how wide it is.",
    "A form: disagrees where the other form predicts larger models better, the interval of the difference "
    "being "
    "clear of 0; else agrees.",
)


def judge(results: Results) -> ClaimsResult:
    """Return every claim with its verdict, in the order of the paper."""
    claims = (
        _bound(results.overparameterised),
        *_theory(results.theory),
        _form(results.published),
        _exponent(results.published),
        *_language(results.language),
        _a_year(results.growth),
        _above_hardware(results.growth),
        _bill(results.implications),
        _inference(results.overparameterised),
    )
    count = [claim.verdict for claim in claims].count
    return ClaimsResult(claims, count("agrees"), count("disagrees"), count("cannot be tested here"), RULES)


def against_interval(value: float, bounds: Interval, estimate: Estimate) -> Verdict:
    """Return the verdict on the paper's value and interval against an estimate: the first of RULES."""
    low, high = estimate.interval.low, estimate.interval.high
    if low is None or high is None or bounds.low is None or bounds.high is None:
        return "cannot be tested here"
    if bounds.low <= estimate.value <= bounds.high or low <= value <= high:
        return "agrees"
    return "disagrees" if high < bounds.low or low > bounds.high else "cannot be tested here"


def against_ceiling(ceiling: float, estimate: Estimate) -> Verdict:
    """Return the verdict on an estimate that should be at most `ceiling`: the second of RULES."""
    if estimate.interval.low is None:
        return "cannot be tested here"
    return "disagrees" if estimate.interval.low > ceiling else "agrees"


def _untested(claim: str, mark: facts.FactMark, paper: str, verb: str) -> Claim:
    assert mark in ("S", "D", "M")
    why = f"not run: isoflop paper {verb}"
    return Claim(claim, mark, paper, "not tested", why, "cannot be tested here")


def _text(estimate: Estimate, digits: int = 3) -> str:
    ends = [
        "unbounded" if v is None else _number(v, digits)
        for v in (estimate.interval.low, estimate.interval.high)
    ]
    return f"{_number(estimate.value, digits)} ({ends[0]} to {ends[1]})"


def _number(value: float, digits: int = 3) -> str:
    if abs(value) < 1000:
        return f"{value:.{digits}g}"
    return f"{float(f'{value:.{digits}g}'):,.0f}"


def _power(exponent: float) -> str:
    """Return a whole power of ten as text, such as 10¹⁹."""
    return f"10{f'{exponent:.0f}'.translate(_SUPERSCRIPT)}"


def _bound(result: OverparameterisedResult | None) -> Claim:
    claim, paper = "k times less error needs at least k⁴ times the compute", "error ∝ compute^−1/4 at best"
    if result is None:
        return _untested(claim, "M", paper, "overparameterised DIR")
    measured = overparameterised.exponent(result, overparameterised.RMS, "train_gflops")
    evidence = f"{result.runs} runs of {result.configs} shapes on data={result.data}, data and width together"
    if measured is None:
        why = (
            "cannot be told: these records hold no Brier score, and the argument is of root mean square error"
        )
        return Claim(claim, "M", paper, why, evidence, "cannot be tested here")
    return Claim(
        claim,
        "M",
        paper,
        f"error ∝ compute^−b, b = {_text(measured.exponent)}; k^{measured.alpha.value:.3g} times the compute"
        f"{said(measured.lack_of_fit)}",
        f"{evidence}; root mean square error of the predicted probabilities",
        against_ceiling(facts.THEORY_ALPHA**-1, measured.exponent),
    )


def _theory(claims: tuple[Claim, ...] | None) -> tuple[Claim, ...]:
    if claims is None:
        claim = "A regularised model of all features beats an expert's choice of them, given enough data"
        return (_untested(claim, "S", "figure 2: lasso on 1000 candidates passes the expert", "theory"),)
    return claims


def _form(result: PublishedResult | None) -> Claim:
    claim, paper = "Error falls as a power of compute", "log(1/error) on log compute, R² 43% for ImageNet"
    if result is None:
        return _untested(claim, "M", paper, "published")
    scores = {s.form: s for s in result.forms.scores}
    difference = result.forms.difference
    both_open = difference.interval.low is None or difference.interval.high is None
    verdict: Verdict = "disagrees" if result.forms.better == "exponential" else "agrees"
    return Claim(
        claim,
        "M",
        paper,
        f"R² {scores['polynomial'].r_squared:.0%}; larger models are predicted to "
        f"{scores['polynomial'].extrapolation_rmse.value:.3g} in ln error by the power law, to "
        f"{scores['exponential'].extrapolation_rmse.value:.3g} by the exponential form; difference "
        f"{_text(difference, 2)}",
        f"{result.count} models of {result.families} families, {result.source}; up to "
        f"{result.forms.horizon:.3g} times the compute that was fitted",
        "cannot be tested here" if both_open else verdict,
    )


def _exponent(result: PublishedResult | None) -> Claim:
    value, low, high = facts.IMAGENET_ALPHA
    claim = "For images, error falls with the 9th root of compute a pass"
    paper = f"alpha about {value:g} ({low:g} to {high:g})"
    if result is None:
        return _untested(claim, "M", paper, "published")
    mean = result.exponents[0]
    assert mean.inverse_alpha is not None
    return Claim(
        claim,
        "M",
        paper,
        f"alpha = {_text(mean.alpha)}; regressed the other way {_text(mean.inverse_alpha)}"
        f"{said(mean.lack_of_fit)}",
        f"{result.count} models of {result.families} families, {result.source}; per {result.compute_name}",
        against_interval(value, Interval(low, high), mean.alpha),
    )


def _language(result: LanguageResult | None) -> tuple[Claim, ...]:
    """Return a claim for each language benchmark, not judged: other quantities are measured here."""
    found, evidence = "not measured", "not run: isoflop paper language DIR, of a sweep=isoflop_lm"
    if result is not None:
        found = f"bits a byte: alpha = {_text(result.alpha)}{said(result.lack_of_fit)}"
        found += _along(result.best_exponent)
        evidence = (
            f"{result.runs} runs of {result.configs} configurations on {result.data}, {result.source}; bits "
            "a byte against counted training FLOPs, where the paper has metrics of published models against "
            "processors x peak x time"
        )
    return tuple(
        Claim(
            f"In {language.METRICS[name].partition(',')[0]} ({name}) k times less error takes "
            f"k^{facts.HARDWARE_ALPHA[name]:g} the hardware burden",
            "D",
            f"alpha about {facts.HARDWARE_ALPHA[name]:g}",
            found,
            evidence,
            "cannot be tested here",
        )
        for name in language.BENCHMARKS
    )


def _along(best: Estimate | None) -> str:
    """Return the exponent along the best split, which has no alpha: with an E the fall is no power law."""
    if best is None or not best.value > 0:
        return ""
    return f"; along the best split of compute they fall as compute to the power −b with b = {_text(best)}"


def _a_year(result: GrowthResult | None) -> Claim:
    claim = "The compute of the largest models grew tenfold a year, 2012 to 2019"
    paper = f"{facts.GROWTH_A_YEAR:g} times a year"
    if result is None:
        return _untested(claim, "S", paper, "growth")
    rate = growth.rate_in(result, PAPER_WINDOW, "records")
    if rate is None or rate.times_a_year is None:
        why = rate.reason if rate is not None and rate.reason else "no such window in these models"
        return Claim(claim, "S", paper, "not tested", why, "cannot be tested here")
    others = [r for r in result.rates if r.of == "records" and r.times_a_year is not None]
    values = [r.times_a_year.value for r in others if r.times_a_year is not None]
    exact = Interval(facts.GROWTH_A_YEAR, facts.GROWTH_A_YEAR)
    return Claim(
        claim,
        "S",
        paper,
        f"record holders: {_text(rate.times_a_year)} times a year; between {min(values):.3g} and "
        f"{max(values):.3g} in the {len(values)} windows tried",
        f"{rate.models} record holders of {PAPER_WINDOW[0]} to {PAPER_WINDOW[1] - 1}, {result.source}",
        against_interval(facts.GROWTH_A_YEAR, exact, rate.times_a_year),
    )


def _above_hardware(result: GrowthResult | None) -> Claim:
    claim, paper = "That is far more than hardware gained", "GPUs 5 to 15 times at first, 35 times by 2012"
    if result is None:
        return _untested(claim, "S", paper, "growth")
    rate = growth.rate_in(result, PAPER_WINDOW, "records")
    if rate is None or rate.times_a_year is None or not result.hardware:
        return Claim(claim, "S", paper, "not tested", "no rate of both", "cannot be tested here")
    fastest = max(result.hardware, key=lambda h: h.times_a_year)
    low = rate.times_a_year.interval.low
    verdict: Verdict = "cannot be tested here"
    if low is not None:
        verdict = "agrees" if low > fastest.times_a_year else "disagrees"
    return Claim(
        claim,
        "S",
        paper,
        f"record holders {_text(rate.times_a_year)} times a year; peak rate of a GPU "
        f"{fastest.times_a_year:.3g} "
        f"times ({fastest.line}, {fastest.dtype})",
        f"{rate.models} record holders; {fastest.boards} GPUs of {fastest.first_year:.0f} to "
        f"{fastest.last_year:.0f}",
        verdict,
    )


def _bill(result: ImplicationsResult | None) -> Claim:
    target = next(
        c for c in facts.TABLE if c.benchmark == "ImageNet" and math.isclose(c.error, facts.BILL_ERROR)
    )
    gflops, _, dollars = target.polynomial
    price = f"{_power(gflops)} GFLOPs, priced at {_power(dollars)} dollars"
    claim = f"{target.error:.0%} error on ImageNet would take {price}"
    paper = f"so by the polynomial form; {_power(target.exponential[0])} GFLOPs by the exponential"
    if result is None:
        return _untested(claim, "M", paper, "implications")
    own = [b for b in result.bills if b.source.startswith("models: ") and math.isclose(b.error, target.error)]
    bills = {b.form: b for b in own}
    if not own or bills["polynomial"].log10_gflops is None or bills["polynomial"].interval is None:
        return Claim(claim, "M", paper, "not tested", "no published models given", "cannot be tested here")
    bill = bills["polynomial"]
    assert bill.log10_gflops is not None
    assert bill.interval is not None
    other = bills["exponential"].log10_gflops
    log10_gflops = Estimate("log10_gflops", bill.log10_gflops, bill.interval, "")
    forms = "no compute" if other is None else f"{other:.3g}"
    return Claim(
        claim,
        "M",
        paper,
        f"log₁₀ GFLOPs {_text(log10_gflops)} by the polynomial form, {forms} by the exponential; at the "
        f"paper's conversion log₁₀ dollars {bill.log10_dollars_paper:.3g}",
        "torchvision's models, one usual training assumed; counted FLOPs, while the paper's are processors x "
        "peak x time",
        against_interval(gflops, Interval(gflops - 0.5, gflops + 0.5), log10_gflops),
    )


def _inference(result: OverparameterisedResult | None) -> Claim:
    claim = "Training is the burden, not the answers that a trained model gives"
    usual = facts.PASSES_PER_EXAMPLE * facts.EPOCHS * facts.IMAGENET_TRAIN_IMAGES
    finding = f"a usual ImageNet training costs as much as {_number(usual)} queries, whatever the model"
    images = f"{facts.IMAGENET_TRAIN_IMAGES:,} images"
    evidence = f"{facts.PASSES_PER_EXAMPLE} passes x {facts.EPOCHS} epochs x {images}"
    if result is not None:
        finding += f"; measured here: {_text(result.queries_per_training)} queries a training"
        evidence += f"; {result.runs} runs of {result.configs} shapes, counted FLOPs"
    paper = "counts training; how many queries a model answers is not given"
    return Claim(claim, "S", paper, finding, evidence, "cannot be tested here")
