"""Claims about what is trained here: the user's own sweep, growing data and width, text, and queries."""

from __future__ import annotations

import dataclasses

from isoflop.curve.judge.answer import Judgement
from isoflop.curve.result import Estimate
from isoflop.paper import facts
from isoflop.paper import language as texts
from isoflop.paper.bending import said
from isoflop.paper.language import LanguageResult
from isoflop.paper.overparameterised import OverparameterisedResult
from isoflop.paper.section import Claim
from isoflop.report.text import ruled

LIMIT = "error ∝ compute^−1/4 at best, root mean square error under growing data"


@dataclasses.dataclass(frozen=True)
class OwnSweep:
    """A sweep of the user's own: its name, what it trained, its runs, how its error falls, and the verdict.

    `verdict` is the object that `isoflop report` and `isoflop check` show of the same runs.
    """

    name: str
    trained: str
    runs: int
    configs: int
    falls: str
    verdict: Judgement


def number(value: float, digits: int = 3) -> str:
    """Return a number as a claim has it: a thousand and more in full, with commas."""
    if abs(value) < 1000:
        return f"{value:.{digits}g}"
    return f"{float(f'{value:.{digits}g}'):,.0f}"


def text(estimate: Estimate, digits: int = 3) -> str:
    """Return an estimate with its interval, whose missing ends are named."""
    ends = [
        "unbounded" if v is None else number(v, digits)
        for v in (estimate.interval.low, estimate.interval.high)
    ]
    return f"{number(estimate.value, digits)} ({ends[0]} to {ends[1]})"


def not_run(claim: str, mark: facts.FactMark, paper: str, verb: str) -> Claim:
    """Return a claim whose section has not been run, with the command that runs it."""
    assert mark in ("S", "D", "M")
    why = f"not run: isoflop paper {verb}"
    return Claim(claim, mark, paper, "not tested", why, "cannot be told", why)


def own(sweep: OwnSweep) -> Claim:
    """Return the row of a sweep of the user's own."""
    return Claim(
        f"{sweep.name}: {sweep.verdict.claim}",
        "M",
        LIMIT,
        f"{sweep.falls}{_fall(sweep.verdict)}",
        f"{sweep.runs} runs of {sweep.configs} configurations; {sweep.trained}",
        sweep.verdict.answer,
        _why(sweep.verdict),
    )


def _fall(verdict: Judgement) -> str:
    """Return how the root mean square error falls, semicolon first; empty where none is known."""
    if verdict.exponent is None:
        return ""
    return f"; {ruled.fall_of_rms(verdict)}"


def _why(verdict: Judgement) -> str:
    return "; ".join(reason.sentence for reason in verdict.reasons) or verdict.why


def bound(result: OverparameterisedResult | None) -> Claim:
    """Return the claim of the argument's limit, judged on the sweep in which data and width grow together."""
    claim = "k times less error needs at least k⁴ times the compute"
    if result is None:
        return not_run(claim, "M", LIMIT, "overparameterised DIR")
    verdict = result.limit
    found = "no root mean square error is known"
    if verdict.exponent is not None and verdict.alpha is not None:
        found = f"{ruled.fall_of_rms(verdict)}; k^{verdict.alpha.value:.3g} times the compute"
    return Claim(
        claim,
        "M",
        LIMIT,
        found,
        f"{result.runs} runs of {result.configs} shapes on data={result.data}, data and width together",
        verdict.answer,
        _why(verdict),
    )


def language(result: LanguageResult | None) -> tuple[Claim, ...]:
    """Return a claim for each language benchmark, not judged: other quantities are measured here."""
    found, evidence = "not measured", "not run: isoflop paper language DIR, of a sweep=isoflop_lm"
    if result is not None:
        found = f"bits a byte: alpha = {text(result.alpha)}{said(result.lack_of_fit)}"
        found += _along(result.best_exponent)
        evidence = (
            f"{result.runs} runs of {result.configs} configurations on {result.data}, {result.source}; bits "
            "a byte against counted training FLOPs, where the paper has metrics of published models against "
            "processors x peak x time"
        )
    why = "bits a byte of models trained alike are another quantity than a metric of published models"
    return tuple(
        Claim(
            f"In {texts.METRICS[name].partition(',')[0]} ({name}) k times less error takes "
            f"k^{facts.HARDWARE_ALPHA[name]:g} the hardware burden",
            "D",
            f"alpha about {facts.HARDWARE_ALPHA[name]:g}{_quoted(name)}",
            found,
            evidence,
            "cannot be told",
            why if result is not None else "not run: isoflop paper language DIR",
        )
        for name in texts.BENCHMARKS
    )


def _quoted(benchmark: str) -> str:
    quoted = facts.QUOTED_ALPHA.get(benchmark)
    return "" if quoted is None else f"; the authors' articles say {quoted:g}"


def _along(best: Estimate | None) -> str:
    """Return the exponent along the best split, which has no alpha: with an E the fall is no power law."""
    if best is None or not best.value > 0:
        return ""
    return f"; along the best split of compute they fall as compute to the power −b with b = {text(best)}"


def inference(result: OverparameterisedResult | None) -> Claim:
    """Return the claim on training against queries, which hangs on use and is not judged."""
    claim = "Training is the burden, not the answers that a trained model gives"
    usual = facts.PASSES_PER_EXAMPLE * facts.EPOCHS * facts.IMAGENET_TRAIN_IMAGES
    finding = f"a usual ImageNet training costs as much as {number(usual)} queries, whatever the model"
    images = f"{facts.IMAGENET_TRAIN_IMAGES:,} images"
    evidence = f"{facts.PASSES_PER_EXAMPLE} passes x {facts.EPOCHS} epochs x {images}"
    if result is not None:
        finding += f"; measured here: {text(result.queries_per_training)} queries a training"
        evidence += f"; {result.runs} runs of {result.configs} shapes, counted FLOPs"
    paper = "counts training; how many queries a model answers is not given"
    return Claim(claim, "S", paper, finding, evidence, "cannot be told", "it hangs on how many queries come")
