"""The paper's figure 2 as a drawing, and its section of the page."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.curve.estimate import Interval
from isoflop.curve.judge import rules
from isoflop.curve.judge.answer import Ruling
from isoflop.paper.section import Claim, PaperSection, SectionTable
from isoflop.paper.theory import laws
from isoflop.paper.theory.result import CASES, Case, Reach, SimulatedMean, TheoryResult, TheorySettings
from isoflop.report.figures import canvas, style
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.numerals import UNKNOWN, number, seconds

NAME = "paper_theory"
SIZE_INCHES = (9.2, 4.6)
FLOOR = -0.5
"""The least performance shown: below, the error is over three times that of guessing the mean."""
LOOKS: dict[Case, tuple[str, str, str]] = {
    "oracle": ("#009E73", "o", "Oracle: the right 10"),
    "expert": ("#E69F00", "s", "Expert: 9 right, 1 wrong"),
    "flexible": ("#0072B2", "^", "Flexible: least squares"),
    "regularised": ("#D55E00", "D", "Regularised: lasso"),
}


def draw(result: TheoryResult) -> Drawing:
    """Both panels: performance against examples, counted operations against performance."""
    with matplotlib.rc_context(canvas.RC):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        data, computation = figure.subplots(1, 2)
        _data_panel(data, result)
        _computation_panel(computation, result)
        images = canvas.render(figure)
    settings = result.settings
    sims, last = settings.simulations, result.of("regularised")[-1]
    alt = (
        "Two panels for the oracle, expert, flexible and regularised model. Left: performance against "
        "examples "
        f"from {settings.sizes[0]:,} to {settings.sizes[-1]:,}; at {last.examples:,} the lasso has "
        f"{last.performance.value:.2f}. Right: counted operations against performance."
    )
    caption = (
        f"Points are means of {sims:,} simulations with 95% intervals; thin lines in (a) are exact "
        "means. The flexible "
        f"model's mean is infinite at n = {settings.features:,}, its performance there lies below the axis."
    )
    return Drawing(NAME, "What four models get from data and computation", alt, caption, *images)


def _data_panel(axes: Axes, result: TheoryResult) -> None:
    settings = result.settings
    axes.set_xscale("log")
    top = max(row.performance.high for row in result.rows)
    axes.axhline(result.expert_ceiling, color=style.MUTED, lw=0.8, ls=(0, (1, 1.5)), zorder=1)
    handles = []
    for case in CASES:
        colour, marker, label = LOOKS[case]
        for n, y in _law(case, settings):
            axes.plot(n, y, color=colour, lw=1.0, alpha=0.6, zorder=2)
        rows = [row for row in result.of(case) if row.performance.value >= FLOOR]
        x = [row.examples for row in rows]
        if case == "regularised":
            axes.plot(x, [row.performance.value for row in rows], color=colour, lw=1.3, zorder=3)
        for row in rows:
            axes.vlines(
                row.examples, row.performance.low, row.performance.high, colors=colour, lw=1.2, zorder=3
            )
        axes.scatter(
            *(x, [row.performance.value for row in rows]),
            **_point(colour, marker),
        )
        if case == "flexible" and any(r.performance.value < FLOOR for r in result.of(case)):
            axes.scatter([settings.features], [FLOOR + 0.08], marker="v", s=34, color=colour, zorder=5)
        label = label.replace("10", str(settings.relevant)).replace("9 ", f"{settings.relevant - 1} ")
        handles.append(Line2D([], [], color=colour, marker=marker, ms=5, lw=1.3, label=label))
    axes.set_ylim(FLOOR, top + 0.2)
    axes.legend(handles=handles, loc="upper left", frameon=False, fontsize=8.5)
    axes.set_title("(a) Data", loc="left", fontsize=10)
    axes.set_xlabel("Examples n")
    axes.set_ylabel("Performance: −log₁₀ normalised squared error")


def _point(colour: str, marker: str) -> dict[str, Any]:
    return {"s": 30, "color": colour, "marker": marker, "edgecolors": "white", "linewidths": 0.5, "zorder": 4}


def _law(case: Case, settings: TheorySettings) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """The exact mean as performance over examples, left and right of its pole; nothing for the lasso."""
    p = settings.features if case == "flexible" else settings.relevant
    low, high = settings.sizes[0], settings.sizes[-1]
    parts = []
    for start, end in ((low, min(high, p - 2)), (max(low, p + 2), high)):
        if case == "regularised" or start >= end:
            continue
        # dense towards the pole, where the curve is steep
        gaps = np.geomspace(1, max(2, abs(end - start)), 300)
        near = (end - gaps + 1) if end < p else (start + gaps - 1)
        n = np.unique(np.clip(np.concatenate([near, np.geomspace(start, end, 200)]).round(), start, end))
        mean = [
            laws.expected_mse(
                case,
                int(value),
                features=settings.features,
                relevant=settings.relevant,
                kind=settings.coefficients,
                noise_variance=settings.noise_variance,
            )
            for value in n
        ]
        parts.append((n, -np.log10(np.array(mean, dtype=float))))
    return parts


def _computation_panel(axes: Axes, result: TheoryResult) -> None:
    axes.set_yscale("log")
    for case in CASES:
        colour, marker, _ = LOOKS[case]
        rows = result.of(case)
        if case == "flexible":
            # before the peak no performance worth the name is bought
            rows = tuple(r for r in rows if r.examples > result.settings.features) or rows
        rows = tuple(row for row in rows if row.performance.value >= 0)
        x, y = [row.performance.value for row in rows], [row.flops for row in rows]
        axes.plot(x, y, color=colour, lw=1.1, zorder=3)
        for row in rows:
            axes.hlines(row.flops, row.performance.low, row.performance.high, colors=colour, lw=1.2, zorder=3)
        axes.scatter(x, y, **_point(colour, marker))
    axes.set_xlim(left=-0.05)
    axes.set_title("(b) Computation", loc="left", fontsize=10)
    axes.set_xlabel("Performance")
    axes.set_ylabel("Counted operations (FLOPs)")


def section(result: TheoryResult, folder: Path) -> PaperSection:
    """Draw the figure into FOLDER/figures and return the section.

    Raises:
        OSError: disk full or not writable.
    """
    drawing = draw(result)
    canvas.write((drawing,), folder)
    return PaperSection(
        name="theory",
        title="Theory: a simulation of what flexibility costs",
        paragraphs=_paragraphs(result),
        tables=(_reach_table(result), _size_table(result), _check_table(result), *_sensitivity_table(result)),
        figures=(drawing.name,),
        found=claims(result),
        captions=(drawing.caption,),
    )


def _paragraphs(result: TheoryResult) -> tuple[str, ...]:
    s = result.settings
    rule = {
        "holdout": f"{s.holdout_share:.0%} of the n examples are held out to choose the lasso's penalty, "
        "and the coefficients are not refitted",
        "fresh": "n further examples, not counted in n, choose the lasso's penalty",
        "universal": "the lasso's penalty is σ√(2 ln p / n), with the noise known",
        "best": "the lasso's penalty is that of least true error, which nobody can know",
    }[s.penalty_rule]
    counting = {
        "as_run": "what the solvers used here do (normal equations by Cholesky; for the lasso X'X once and "
        "then coordinate descent on it, a pass over the gradient for each active feature and sweep)",
        "textbook": "Householder QR, and for the lasso coordinate descent on residuals, 4np a sweep",
    }[s.counting]
    ours = (
        f"The paper's figure 2 asks what it costs not to know which features matter: of {s.features:,} "
        f"candidates {s.relevant} do. The oracle fits the right ones, the expert has one wrong, the flexible "
        "model fits all by least squares (the shortest solution while n is below the number of features), "
        f"the regularised one fits all by the lasso. {s.simulations:,} simulations a case and size on "
        f"{result.hardware} took {seconds(result.seconds)}."
    )
    choices = (
        "We do not know the paper's noise, coefficients, penalty or counting. Our choices: independent "
        f"normal features, no intercept, {s.coefficients} coefficients, noise variance {s.noise_variance:g} "
        f"beside a signal of variance {s.relevant}; {rule}. Performance is −log₁₀ of the mean over "
        "simulations of the squared error against the optimal predictor, divided by the signal's variance. "
        f"Operations are counted at 2 a multiply-add, by {counting}."
    )
    return (ours, choices, *_findings(result))


def _findings(result: TheoryResult) -> tuple[str, ...]:
    target = result.settings.target
    oracle, lasso, flexible = (result.reach(c, target) for c in ("oracle", "regularised", "flexible"))
    if not (oracle.examples and lasso.examples and flexible.examples):
        return ()
    assert oracle.flops
    assert lasso.flops
    assert flexible.flops
    more, fewer = lasso.examples.value / oracle.examples.value, flexible.examples.value / lasso.examples.value
    cost, saved = lasso.flops.value / oracle.flops.value, flexible.flops.value / lasso.flops.value
    return (
        f"For performance {target:g} the lasso needs {number(lasso.examples.value)} examples, "
        f"{number(more)} times the oracle's; the flexible model needs {number(fewer)} times the lasso's. Its "
        f"operations are {number(cost)} times the oracle's; the flexible model's are {number(saved)} times "
        "the lasso's. Penalised flexibility makes up for not knowing which features matter, at a modest "
        "price in data and a large one in computation. How near is near depends on the choices below.",
    )


def claims(result: TheoryResult) -> tuple[Claim, ...]:
    """The figure's claims; each verdict follows from simulated intervals by a rule of curve/judge."""
    made = {check.name: check for check in result.checks}
    judged = [_beats_expert(result)]
    for name, what, claim in (
        ("lasso_data", "examples", "Regularised models come near the oracle in data"),
        ("lasso_computation", "flops", "Regularised models come near flexible ones in computation"),
    ):
        check, ruling = made.get(name), _nearer(result, what)
        finding = f"not all reach performance {result.settings.target:g}" if check is None else check.found
        rule = "" if check is None else "; judged by the decades to the one less those to the other"
        evidence = _evidence(result) + rule
        judged.append(Claim(claim, "D", "figure 2", finding, evidence, ruling.answer, ruling.why))
    return tuple(judged)


def _nearer(result: TheoryResult, what: str) -> Ruling:
    """Judge by the decades from the oracle to the lasso, less those from the lasso to the flexible model.

    At most 0 where it is nearer the oracle, as claimed for examples; at least 0 for FLOPs.
    """
    cases: tuple[Case, ...] = ("oracle", "regularised", "flexible")
    needed = [getattr(result.reach(case, result.settings.target), what) for case in cases]
    if any(each is None for each in needed):
        return Ruling("cannot be told", f"not all reach performance {result.settings.target:g}")
    oracle, lasso, flexible = needed
    low = math.log10(lasso.low**2 / (oracle.high * flexible.high))
    high = math.log10(lasso.high**2 / (oracle.low * flexible.low))
    side: Literal["at most", "at least"] = "at most" if what == "examples" else "at least"
    return rules.of_bound(Interval(low, high), 0.0, side, rules.LOG10_AMOUNT)


def _evidence(result: TheoryResult) -> str:
    s = result.settings
    return (
        f"{s.simulations:,} simulations a case at {len(s.sizes)} sizes, performance {s.target:g}, "
        f"operations counted {s.counting.replace('_', ' ')}"
    )


def _beats_expert(result: TheoryResult) -> Claim:
    pairs = list(zip(result.of("regularised"), result.of("expert"), strict=True))
    lost = [i for i, (a, b) in enumerate(pairs) if a.performance.low <= b.performance.high]
    won = [a.examples for a, _ in pairs[lost[-1] + 1 if lost else 0 :]]
    lasso, expert = pairs[-1]
    ahead = Interval(
        lasso.performance.low - expert.performance.high, lasso.performance.high - expert.performance.low
    )
    ruling = rules.of_bound(ahead, 0.0, "at least", rules.LOG10_AMOUNT)
    since = f"from n = {won[0]:,} of the sizes tried" if won else "at no size tried"
    return Claim(
        "A regularised model of all features beats an expert's choice of them, given enough data",
        "S",
        "figure 2: the lasso on 1000 candidates passes the expert",
        f"ahead for good {since}; at n = {lasso.examples:,} {_measured(lasso.performance)} against "
        f"{_measured(expert.performance)}",
        f"{_evidence(result)}; judged by the difference of the two at the largest size",
        ruling.answer,
        ruling.why,
    )


def _measured(value: SimulatedMean, digits: int = 3) -> str:
    return f"{number(value.value, digits)} ({number(value.low, digits)} to {number(value.high, digits)})"


def _name(case: Case) -> str:
    return case.capitalize()


def _reach_table(result: TheoryResult) -> SectionTable:
    def columns_of(reach: Reach) -> tuple[str, str]:
        if reach.examples is None or reach.flops is None:
            return reach.reason or UNKNOWN, UNKNOWN
        return _measured(reach.examples), _measured(reach.flops)

    rows = tuple((_name(r.case), f"{r.performance:g}", *columns_of(r)) for r in result.reaches)
    return SectionTable(
        "Examples and operations to reach a performance", ("Model", "Performance", "Examples", "FLOPs"), rows
    )


def _size_table(result: TheoryResult) -> SectionTable:
    rows = []
    for row in result.rows:
        law = UNKNOWN if row.expected_mse is None else number(-math.log10(row.expected_mse))
        if row.expected_mse is None and row.case != "regularised":
            law = "−∞"
        rows.append(
            (
                _name(row.case),
                f"{row.examples:,}",
                _measured(row.performance),
                law,
                number(row.flops),
                f"{1e3 * row.fit_seconds:.3g} ms",
            )
        )
    title = f"Performance by sample size ({result.settings.simulations:,} simulations a case)"
    columns = (
        "Model",
        "Examples",
        "Performance (95%)",
        "Exact",
        "FLOPs a fit",
        "SimulatedMean time of a fit",
    )
    return SectionTable(title, columns, tuple(rows))


def _check_table(result: TheoryResult) -> SectionTable:
    rows = tuple((c.statement, c.expected, c.found, "holds" if c.passed else "fails") for c in result.checks)
    return SectionTable("Facts that need none of our choices", ("Fact", "Expected", "Found", ""), rows)


def _sensitivity_table(result: TheoryResult) -> tuple[SectionTable, ...]:
    if not result.variations:
        return ()
    rows = tuple(
        (
            f"{v.setting.replace('_', ' ')} = {v.value.replace('_', ' ')}"
            + (" (chosen)" if v.chosen else ""),
            number(v.lasso_examples),
            *(f"{number(x)}×" for x in dataclasses.astuple(v)[5:9]),
            number(v.expert_ceiling),
        )
        for v in result.variations
    )
    columns = (
        "One choice changed",
        "Lasso's examples",
        "Lasso / oracle, data",
        "Flexible / lasso, data",
        "Lasso / oracle, FLOPs",
        "Flexible / lasso, FLOPs",
        "Expert's ceiling",
    )
    sims, target = result.variations[0].simulations, result.settings.target
    title = (
        f"What our choices change: reaching performance {target:g} ({sims:,} simulations of the lasso a size)"
    )
    return (SectionTable(title, columns, rows),)
