"""The section on growth: models and their record holders over time, rates by window, hardware beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from isoflop.curve.result import Interval
from isoflop.paper import facts
from isoflop.paper.growth import GrowthResult, HardwareRate, Rate
from isoflop.paper.notable import Notable
from isoflop.paper.pages import drawing
from isoflop.paper.section import PaperSection, SectionTable
from isoflop.report.figures import canvas, style
from isoflop.report.text.numerals import interval, number, plural

NAME = "growth"
MODELS, RATES = "growth_models", "growth_rates"
LABEL_RATIO = 2.3
LARGEST_SHOWN = 1000.0
"""Rates beyond this many times a year are shown as `above`: the window holds too few records to say more."""


def section(result: GrowthResult, folder: Path) -> PaperSection:
    """Draw figures/growth_models.* and growth_rates.* in `folder` and return the section."""
    drawings = (
        drawing.draw(MODELS, "Training compute", _models_caption(result), lambda f: _models(f, result)),
        drawing.draw(RATES, "Rates", _rates_caption(result), lambda f: _rates(f, result), (7.6, 4.8)),
    )
    canvas.write(drawings, folder)
    records = [r for r in result.rates if r.of == "records" and r.times_a_year is not None]
    values = sorted((r.times_a_year.value, r) for r in records if r.times_a_year)
    paragraphs = [
        f"{plural(len(result.models), 'model')} ({result.source}); {len(result.records)} of them used more "
        f"compute "
        f"than every model before them. Estimates of training compute are good to a factor of about 2, the "
        "speculative ones to less.",
    ]
    if values:
        (low, first), (high, last) = values[0], values[-1]
        paragraphs.append(
            f"The rate of the record holders depends on the window: {number(low)} times a year in "
            f"{_window(first)}, "
            f"{number(high)} in {_window(last)}. A window that opens before or closes after a jump does "
            f"not see it. "
            f"The paper says {facts.GROWTH_A_YEAR:g} times a year for 2012 to 2019 [S]; OpenAI's doubling "
            f"every "
            f"{facts.OPENAI_DOUBLING_MONTHS} months [S] is {2 ** (12 / facts.OPENAI_DOUBLING_MONTHS):.3g} "
            f"times."
        )
    if result.hardware:
        fastest = max(result.hardware, key=lambda h: h.times_a_year)
        paragraphs.append(
            f"Over the years of these GPUs the peak rate of one GPU grew {number(fastest.times_a_year)} "
            f"times a "
            f"year at most ({fastest.line}, {fastest.dtype}): the rest is more processors, longer runs, "
            f"and money."
        )
    return PaperSection(
        name=NAME,
        title="Growth: compute of notable models against hardware",
        paragraphs=tuple(paragraphs),
        tables=(
            _rate_table(result),
            _hardware_table(result),
            _model_table(result),
            *drawing.excluded_table(result.excluded, "model"),
        ),
        figures=(MODELS, RATES),
        found=(),
        captions=tuple(d.caption for d in drawings),
    )


def _window(rate: Rate) -> str:
    return f"{rate.first_year:.0f}–{rate.before_year - 1:.0f}"


def _shown(bounds: Interval) -> str:
    high = bounds.high
    if high is not None and high > LARGEST_SHOWN:
        return f"{number(bounds.low)} to above {number(LARGEST_SHOWN)}"
    return interval(bounds)


def _rate_table(result: GrowthResult) -> SectionTable:
    rows = []
    for rate in result.rates:
        if rate.times_a_year is None:
            rows.append((_window(rate), rate.of, str(rate.models), rate.reason or "–", "–"))
            continue
        doubling = rate.doubling_months
        rows.append(
            (
                _window(rate),
                rate.of,
                str(rate.models),
                f"{number(rate.times_a_year.value)} ({_shown(rate.times_a_year.interval)})",
                f"{number(doubling.value)} ({interval(doubling.interval)})" if doubling else "–",
            )
        )
    columns = ("Years", "Of", "Models", "Times a year (95%)", "Doubling, months (95%)")
    return SectionTable("Growth of training compute by window", columns, tuple(rows))


def _hardware_table(result: GrowthResult) -> SectionTable:
    rows = tuple(
        (h.line, h.dtype, str(h.boards), f"{h.first_year:.1f}–{h.last_year:.1f}", number(h.times_a_year))
        for h in result.hardware
    )
    columns = ("Line of GPUs", "Arithmetic", "GPUs", "Years [M]", "Times a year")
    return SectionTable("Growth of the dense peak rate of one GPU (datasheets)", columns, rows)


def _model_table(result: GrowthResult) -> SectionTable:
    rows = tuple(
        (
            m.name,
            m.published,
            drawing.power_of_ten(float(np.log10(m.train_flops))),
            "record" if m.name in result.records else "",
            m.source,
            m.confidence,
        )
        for m in result.models[: 4 * drawing.SHOWN]
    )
    more = len(result.models) - len(rows)
    title = "The models" + (f", the first {len(rows)} of {len(result.models):,}" if more else "")
    return SectionTable(title, ("Model", "Published", "Training FLOPs", "", "Source", "Estimate"), rows)


def _models_caption(result: GrowthResult) -> str:
    first, last = result.models[0], result.models[-1]
    return (
        f"Training FLOPs of {plural(len(result.models), 'model')}, {first.published[:4]} to "
        f"{last.published[:4]}, on "
        "a logarithmic axis; the steps join the models that used more than every model before them."
    )


def _rates_caption(result: GrowthResult) -> str:
    return (
        "Growth in times a year by window of years, with 95% intervals: all models, record holders, and "
        "the peak "
        f"rate of one GPU. The dotted line is the paper's {facts.GROWTH_A_YEAR:g} times a year."
    )


def _models(figure: Figure, result: GrowthResult) -> None:
    axes = figure.add_subplot()
    axes.set_yscale("log")
    record = {name: name in result.records for name in (m.name for m in result.models)}
    for held, colour, label in ((False, style.MUTED, "Other models"), (True, "#0072B2", "Record holders")):
        chosen = [m for m in result.models if record[m.name] == held]
        years, flops = [m.year for m in chosen], [m.train_flops for m in chosen]
        axes.scatter(years, flops, s=26, c=colour, label=label, zorder=4, linewidths=0)
    holders = [m for m in result.models if record[m.name]]
    axes.step(
        [m.year for m in holders], [m.train_flops for m in holders], where="post", color="#0072B2", lw=1
    )
    for model in _labelled(holders):
        axes.annotate(
            model.name,
            (model.year, model.train_flops),
            xytext=(-5, 3),
            textcoords="offset points",
            ha="right",
            fontsize=7.5,
            color=style.MUTED,
        )
    dates = [m.year for m in result.models]
    axes.set_xlim(min(dates) - 2.2, max(dates) + 0.6)
    axes.set_xlabel("Year of publication")
    axes.set_ylabel("Training compute (FLOPs)")
    axes.grid(True, color=style.GRID, lw=0.7, zorder=0)
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")


def _labelled(holders: Sequence[Notable]) -> list[Notable]:
    """Return the record holders that get a label, latest first: those whose labels would not overlap."""
    labelled: list[Notable] = []
    for model in reversed(holders):
        if not labelled or labelled[-1].train_flops / model.train_flops > LABEL_RATIO:
            labelled.append(model)
    return labelled


def _rates(figure: Figure, result: GrowthResult) -> None:
    axes = figure.add_subplot()
    axes.set_xscale("log")
    lines: list[tuple[str, Rate | HardwareRate]] = [
        *((f"{_window(r)}, {r.of}", r) for r in result.rates if r.times_a_year is not None),
        *((f"GPU, {h.line}, {h.dtype}", h) for h in result.hardware),
    ]
    for row, (_, rate) in enumerate(lines):
        if isinstance(rate, HardwareRate):
            axes.plot(rate.times_a_year, row, "s", color="#D55E00", ms=6, zorder=4)
            continue
        times = rate.times_a_year
        assert times is not None
        colour = "#0072B2" if rate.of == "records" else style.MUTED
        ends = [v for v in (times.interval.low, times.interval.high) if v is not None]
        if len(ends) == 2:
            axes.plot(np.clip(ends, 0.5, LARGEST_SHOWN), [row, row], color=colour, lw=2, alpha=0.6, zorder=3)
        axes.plot(times.value, row, "o", color=colour, ms=6, zorder=4)
    axes.axvline(facts.GROWTH_A_YEAR, color=style.INK, lw=1, ls=(0, (1, 2)), zorder=2)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines], fontsize=8.5)
    axes.invert_yaxis()
    axes.set_xlim(1, LARGEST_SHOWN)
    canvas.log_ticks(axes.xaxis, 1, LARGEST_SHOWN)
    axes.set_xlabel("Times a year")
    axes.grid(True, axis="x", color=style.GRID, lw=0.7, zorder=0)
