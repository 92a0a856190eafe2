"""The section of the page on language models: what a sweep over text answers, beside what is published."""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve.isoflop.result import Profiles
from isoflop.curve.language.answers import language_answers
from isoflop.curve.language.published import PUBLISHED
from isoflop.curve.language.result import CountedOptimum, LanguageAnswers, SizeAnswer, WidthDepth
from isoflop.curve.result import Estimate, FitFile
from isoflop.report.figures import language as drawings
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text import costs
from isoflop.report.text.numerals import UNKNOWN, estimate, interval, number, percent, plural

NARROW = 128
"""Below this width a step on a GPU is mostly launches of kernels and idle power."""
_COUNTED = {
    "parameters_without_embeddings": "without the embedding table",
    "parameters": "with the embedding table",
}


@dataclasses.dataclass(frozen=True)
class LanguageTable:
    """A table with its heading, a sentence above it, and whether it is folded away."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False


@dataclasses.dataclass(frozen=True)
class LanguagePanel:
    """The section: paragraphs, drawings, tables, and why something is missing."""

    paragraphs: tuple[str, ...]
    drawings: tuple[Drawing, ...]
    tables: tuple[LanguageTable, ...]
    missing: tuple[str, ...]


def language_panel(rows: pd.DataFrame, fits: FitFile) -> LanguagePanel | None:
    """Return the section of a sweep's table; None where no run is of text.

    Args:
        rows: one row a run.
        fits: the laws in compute alone, which the section refers to.
    """
    answers = language_answers(rows)
    if answers is None:
        return None
    first = answers.sizes[0]
    drawn = (drawings.draw_budgets(first), drawings.draw_split(first))
    return LanguagePanel(
        paragraphs=tuple(filter(None, (_law(answers, first), _in_compute(fits), _parabolas(first)))),
        drawings=tuple(each for each in drawn if each is not None),
        tables=tuple(
            each
            for each in (
                _exponents(answers),
                _budgets(first),
                _published(answers),
                _shapes(answers.shapes),
                _joules(answers),
            )
            if each is not None
        ),
        missing=_missing(answers),
    )


def _law(answers: LanguageAnswers, first: SizeAnswer) -> str:
    what = f"{plural(answers.runs, 'run')} of {plural(answers.configs, 'configuration')}, in test bits a byte. "
    if first.law is None:
        return f"{what}No joint law was fitted: {first.law_reason}."
    known = {each.name: each for each in first.law.parameters}
    law = (
        f"{what}The joint law L = E + A/N^α + B/D^β over parameters N {_COUNTED[first.size]} and bytes D has "
        f"E = {estimate(known['E'])}, α = {estimate(known['exponent_parameters'])} and "
        f"β = {estimate(known['exponent_data'])}. "
    )
    if first.split is None:
        return f"{law}No best split of compute follows: {first.split_reason}."
    split = first.split
    return (
        f"{law}Compute is counted, C = f(N) D, attention included, where f is the FLOPs a byte of this sweep's "
        f"shapes (within {percent(split.cost.misfit, 2)} of a curve) and not 6 N. Under it the best size grows as "
        f"compute to the power {estimate(split.size_exponent)} and the best number of bytes to the power "
        f"{estimate(split.seen_exponent)}. The two sum to more than 1 where f grows more slowly than N."
    )


def _in_compute(fits: FitFile) -> str:
    """Return what the law in compute alone says; the rest stands with the laws."""
    for report in fits.reports:
        law = costs.law(report, "power_law_floor")
        floor, b = costs.parameter(law, "E"), costs.parameter(law, "b")
        if report.x == "train_gflops" and report.y == "test_bits_per_byte" and floor and b:
            return (
                f"In compute alone, over all sizes, bits a byte fall to E = {estimate(floor)} with exponent "
                f"b = {estimate(b)}: see The laws."
            )
    return ""


def _parabolas(first: SizeAnswer) -> str:
    if first.profiles is None:
        return f"There is no picture at equal compute: {first.profiles_reason}."
    if first.profiles.growth is None:
        return f"The parabolas give no exponent: {first.profiles.growth_reason}."
    size, seen = (each.exponent for each in first.profiles.growth)
    text = (
        f"The parabolas are the picture: they give {estimate(size)} and {estimate(seen)}. Fits of parabolas are "
        "biased even without noise (Czech et al. 2026, arXiv 2603.22339)"
    )
    if first.without_noise is None or first.split is None:
        return f"{text}."
    return (
        f"{text}: through the joint law's own values at these runs they give {number(first.without_noise[0])} "
        f"and {number(first.without_noise[1])}, where the law has {number(first.split.size_exponent.value)} and "
        f"{number(first.split.seen_exponent.value)}."
    )


def _growth(profiles: Profiles | None, j: int) -> str:
    return UNKNOWN if profiles is None or profiles.growth is None else estimate(profiles.growth[j].exponent)


def _exponents(answers: LanguageAnswers) -> LanguageTable:
    rows = tuple(
        (
            f"{symbol}, N {_COUNTED[answer.size]}",
            UNKNOWN if answer.split is None else estimate(getattr(answer.split, name)),
            _growth(answer.profiles, j),
        )
        for j, (symbol, name) in enumerate((("N*", "size_exponent"), ("D*", "seen_exponent")))
        for answer in answers.sizes
    )
    note = "Mean exponents over the budgets' range, with 95% intervals over configurations."
    return LanguageTable("Exponents in compute", note, ("Of", "Joint law", "Parabolas"), rows)


def _budgets(first: SizeAnswer) -> LanguageTable | None:
    at_law = {} if first.split is None else {each.compute: each for each in first.split.at_budgets}
    parabolas = {} if first.profiles is None else {each.compute: each for each in first.profiles.budgets}
    if not at_law and not parabolas:
        return None
    rows = []
    for compute in sorted({*at_law, *parabolas}):
        law = at_law.get(compute)
        optimum = parabolas[compute].optimum if compute in parabolas else None
        size, seen = (None, None) if optimum is None else optimum[:2]
        rows.append((number(compute), *_pair(law, 0, size), *_pair(law, 1, seen), _bits(law)))
    columns = ("GFLOPs", "N*, joint law", "N*, parabola", "D*, joint law", "D*, parabola", "Least bits a byte")
    note = (
        f"N {_COUNTED[first.size]}, D in bytes. A star marks an optimum beyond the sizes measured; a dash, a "
        "parabola without one."
    )
    return LanguageTable("The optimum at each budget", note, columns, tuple(rows))


def _pair(law: CountedOptimum | None, j: int, parabola: Estimate | None) -> tuple[str, str]:
    star = "" if law is None or law.measured else " *"
    by_law = UNKNOWN if law is None else estimate((law.size, law.seen)[j]) + star
    return by_law, UNKNOWN if parabola is None else estimate(parabola)


def _bits(law: CountedOptimum | None) -> str:
    return UNKNOWN if law is None else estimate(law.bits)


def _published(answers: LanguageAnswers) -> LanguageTable:
    first = answers.sizes[0]
    ours: list[tuple[str, ...]] = []
    if first.split is not None:
        low, high = (first.split.curve[i].compute * 1e9 for i in (0, -1))
        split = first.split
        ours.append(
            (
                "This sweep, joint law",
                number(split.size_exponent.value),
                number(split.seen_exponent.value),
                UNKNOWN,
                "bytes",
                f"{_COUNTED[first.size]}, with the readout; counted FLOPs",
                f"{low:.2g} to {high:.2g} FLOPs",
            )
        )
    rows = (
        *ours,
        *(
            (
                f"{each.study}: {each.method} ({each.source}) [{each.mark}]",
                number(each.size),
                number(each.seen),
                number(each.loss),
                each.unit,
                each.counted,
                each.range,
            )
            for each in PUBLISHED
        ),
    )
    note = (
        "What differs stands beside each: a token is about four bytes and a vocabulary of tens of thousands makes "
        "embeddings and readout a larger part; the runs are 10⁴ and more times larger. R: read again for this "
        "table; M: recalled."
    )
    columns = ("Study", "N* ∝ C^", "D* ∝ C^", "Loss ∝ C^−", "Unit of data", "N and C hold", "Range")
    return LanguageTable("Beside published exponents", note, columns, rows)


def _shapes(shapes: WidthDepth | None) -> LanguageTable | None:
    if shapes is None:
        return None
    rows = tuple(
        (
            number(pair.compute),
            f"w{pair.shallow.width:g} d{pair.shallow.depth:g}",
            f"w{pair.deep.width:g} d{pair.deep.depth:g}",
            number(pair.deep.size / pair.shallow.size),
            f"{pair.difference:+.4f}",
            UNKNOWN if pair.explained is None else f"{pair.explained:+.4f}",
        )
        for pair in shapes.pairs
    )
    spread = (
        f"seeds of one configuration spread by {number(shapes.seed_spread)}"
        if shapes.seed_spread is not None
        else f"the spread of seeds is unknown: {shapes.seed_spread_reason}"
    )
    beyond = (
        ""
        if shapes.unexplained is None
        else f", {_signed(shapes.unexplained)} beyond what the joint law expects of their sizes and bytes"
    )
    note = (
        f"At equal compute and parameters the deeper model has {_signed(shapes.difference)} bits a byte{beyond}; "
        f"{spread}. A deeper model of equal size costs more a byte, so it sees fewer."
    )
    columns = ("GFLOPs", "Shallower", "Deeper", "Ratio of N", "Difference", "Of it expected")
    return LanguageTable("Width against depth", note, columns, rows, folded=True)


def _signed(each: Estimate) -> str:
    ends = "" if each.interval.low is None else f" ({each.interval.low:+.3g} to {each.interval.high:+.3g})"
    return f"{each.value:+.3g}{ends}"


def _joules(answers: LanguageAnswers) -> LanguageTable | None:
    if not any(each.joules is not None for each in answers.joules):
        return None
    rows = tuple(
        (
            f"w{each.width:g} d{each.depth:g}",
            number(each.size),
            number(each.joules),
            number(each.net_joules),
            each.reason or "",
        )
        for each in answers.joules
    )
    note = (
        f"Medians over runs; net is without idle power. Below width {NARROW} they are launches of kernels and idle "
        "power, and say nothing of larger models."
    )
    columns = ("Shape", "N", "Joules a byte", "Net joules a byte", "Unknown because")
    if not any(each.reason for each in answers.joules):
        columns, rows = columns[:-1], tuple(row[:-1] for row in rows)
    return LanguageTable("Joules a byte", note, columns, rows, folded=True)


def _missing(answers: LanguageAnswers) -> tuple[str, ...]:
    """Return what could not be answered, each with its reason."""
    missing = []
    if answers.shapes is None:
        missing.append(f"Width against depth: {answers.shapes_reason}.")
    unknown = {each.reason for each in answers.joules if each.joules is None}
    if len(unknown) and not any(each.joules is not None for each in answers.joules):
        missing.append(f"Joules a byte: {'; '.join(sorted(str(reason) for reason in unknown))}.")
    first = answers.sizes[0]
    for warning in (*(first.law.warnings if first.law else ()), *(first.profiles.warnings if first.profiles else ())):
        missing.append(f"{warning[0].upper()}{warning[1:]}.")
    return tuple(missing)
