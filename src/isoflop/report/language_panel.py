"""The section of the page on language models: what a sweep over text answers, beside what is published."""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve.language.result import LanguageAnswers, SizeAnswer
from isoflop.curve.result import FitFile
from isoflop.report.figures import language as drawings
from isoflop.report.figures import optimal_training
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text import costs, language_tables
from isoflop.report.text.language_tables import COUNTED, LanguageTable
from isoflop.report.text.numerals import estimate, number, percent, plural


@dataclasses.dataclass(frozen=True)
class LanguagePanel:
    """The section: paragraphs, drawings, tables, and why something is missing or weak."""

    paragraphs: tuple[str, ...]
    drawings: tuple[Drawing, ...]
    tables: tuple[LanguageTable, ...]
    missing: tuple[str, ...]


def language_panel(answers: LanguageAnswers, rows: pd.DataFrame, fits: FitFile) -> LanguagePanel:
    """Return the section on a sweep's answers.

    Args:
        answers: of the sweep.
        rows: one row a run, which are drawn.
        fits: the laws in compute alone, which the section refers to, with the held-out runs.
    """
    if answers.refused is not None:
        return LanguagePanel((), (), (), (_sentence(answers.refused),))
    first = answers.sizes[0]
    drawn = (
        None if answers.optimal is None else optimal_training.draw(answers.optimal, rows, fits.reports[:1]),
        drawings.draw_budgets(first),
        drawings.draw_split(first),
    )
    return LanguagePanel(
        paragraphs=tuple(
            filter(None, (answers.note, _law(answers, first), _parabolas(first), _in_compute(fits)))
        ),
        drawings=tuple(each for each in drawn if each is not None),
        tables=language_tables.tables(answers),
        missing=_missing(answers),
    )


def _law(answers: LanguageAnswers, first: SizeAnswer) -> str:
    runs, configs = plural(answers.runs, "run"), plural(answers.configs, "configuration")
    what = f"{runs} of {configs}, in test bits a byte. "
    if first.law is None:
        return f"{what}No joint law was fitted: {first.law_reason}."
    known = {each.name: each for each in first.law.parameters}
    law = (
        f"{what}The joint law L = E + A/N^α + B/D^β over parameters N {COUNTED[first.size]} and bytes D has "
        f"E = {estimate(known['E'])}, α = {estimate(known['exponent_parameters'])} and "
        f"β = {estimate(known['exponent_data'])}. "
    )
    if first.split is None:
        return f"{law}No best split of compute follows: {first.split_reason}."
    split = first.split
    return (
        f"{law}Compute is counted with attention, C = f(N) D, f being the FLOPs a byte of this sweep's "
        f"shapes (within {percent(split.cost.misfit, 2)} of a curve), not 6 N. So the best size grows as "
        f"compute to the power {estimate(split.size_exponent)}, the best number of bytes to the power "
        f"{estimate(split.seen_exponent)}. Where f grows more slowly than N the two sum to more than 1."
    )


def _parabolas(first: SizeAnswer) -> str:
    if first.profiles is None:
        return f"There is no picture at equal compute: {first.profiles_reason}."
    if first.profiles.growth is None:
        return f"The parabolas give no exponent: {first.profiles.growth_reason}."
    size, seen = first.profiles.growth
    text = (
        f"The parabolas are the picture; they give {estimate(size.exponent)} and {estimate(seen.exponent)}. "
        "Such fits are biased even without noise (Czech et al. 2026, arXiv 2603.22339)"
    )
    if size.bias is None or seen.bias is None:
        return f"{text}."
    parabolas, law = (
        " and ".join(number(getattr(each.bias, side)) for each in (size, seen))
        for side in ("by_parabolas", "by_law")
    )
    return (
        f"{text}: through the joint law's own values at these runs they give {parabolas}, where the law's "
        f"own optima there grow with {law}."
    )


def _in_compute(fits: FitFile) -> str:
    """Return what the law in compute alone says; the rest stands with the laws."""
    for report in fits.reports:
        law = costs.law(report, "power_law_floor")
        floor, b = costs.parameter(law, "E"), costs.parameter(law, "b")
        if report.x == "train_gflops" and report.y == "test_bits_per_byte" and floor and b:
            return (
                "In compute alone, through all runs, whatever their size, bits a byte fall to "
                f"E = {estimate(floor)} with exponent b = {estimate(b)}; see The laws."
            )
    return ""


def _missing(answers: LanguageAnswers) -> tuple[str, ...]:
    """Return what could not be answered, each with its reason, and the warnings of the fits."""
    missing = []
    if answers.shapes is None:
        missing.append(f"Width against depth: {answers.shapes_reason}")
    if all(each.joules is None for each in answers.joules):
        reasons = sorted({each.reason for each in answers.joules if each.reason})
        missing.append(f"Joules a byte: {'; '.join(reasons) or 'no run has a width and a depth'}")
    first, *others = answers.sizes
    if answers.optimal is None and first.split is not None:
        missing.append(f"Loss at the best size is not the headline: {answers.optimal_reason}")
    missing += [f"N {COUNTED[each.size]}: {each.split_reason}" for each in others if each.split_reason]
    for fitted in (first.law, first.profiles):
        missing += [] if fitted is None else fitted.warnings
    return tuple(_sentence(line) for line in missing)


def _sentence(line: str) -> str:
    """Return the line with a capital letter, unless it begins with the name of a column."""
    first = line if "_" in line.partition(" ")[0] else line[0].upper() + line[1:]
    return f"{first}."
