"""The tables of the page's section on language models."""

from __future__ import annotations

import dataclasses
import itertools
import math

from isoflop.curve.isoflop.result import Budget, Profiles
from isoflop.curve.language.published import PUBLISHED, PublishedExponents
from isoflop.curve.language.result import CountedOptimum, LanguageAnswers, ShapePair, SizeAnswer, WidthDepth
from isoflop.curve.measured import BestValue
from isoflop.curve.result import Estimate, Interval
from isoflop.report.text.numerals import UNKNOWN, estimate, number
from isoflop.table import target

NARROW = 128
"""Below this width a step on a GPU is mostly launches of kernels and idle power."""
SAME_BUDGET = 1e-6
"""Computes of the two methods that differ by less, relatively, are one budget."""
COUNTED = {
    target.TEXTS.size: "without the embedding table",
    target.PARAMETERS: "with the embedding table",
}
"""Column of the size -> what it counts."""


@dataclasses.dataclass(frozen=True)
class LanguageTable:
    """A table with its heading and a sentence above it; `folded` ones open at a click."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False


def tables(answers: LanguageAnswers) -> tuple[LanguageTable, ...]:
    """Return the tables that have a row, in the order of the page."""
    made = (
        _exponents(answers),
        _budgets(answers.sizes[0]),
        _published(answers.sizes[0]),
        _shapes(answers.shapes),
        _joules(answers),
    )
    return tuple(table for table in made if table is not None)


def _exponents(answers: LanguageAnswers) -> LanguageTable | None:
    if all(a.split is None and (a.profiles is None or a.profiles.growth is None) for a in answers.sizes):
        return None
    rows = tuple(
        (
            f"{symbol}, N {COUNTED[answer.size]}",
            UNKNOWN if answer.split is None else estimate(getattr(answer.split, name)),
            _growth(answer.profiles, j),
        )
        for j, (symbol, name) in enumerate((("N*", "size_exponent"), ("D*", "seen_exponent")))
        for answer in answers.sizes
    )
    note = "Means over the budgets' range, with 95% intervals over configurations."
    if any(each.split is not None and each.split.outside is not None for each in answers.sizes):
        note += " Where the joint law's optima lie outside what was measured, they enter as extrapolated."
    return LanguageTable("Exponents in compute", note, ("Of", "Joint law", "Parabolas"), rows)


def _growth(profiles: Profiles | None, j: int) -> str:
    return UNKNOWN if profiles is None or profiles.growth is None else estimate(profiles.growth[j].exponent)


def _budgets(first: SizeAnswer) -> LanguageTable | None:
    joined = _joined(first)
    rows = []
    for compute, law, parabola in joined:
        optimum = None if parabola is None else parabola.optimum
        size, seen = (None, None) if optimum is None else optimum[:2]
        bits = UNKNOWN if law is None else estimate(law.bits)
        rows.append((number(compute), _range(law, size), *_pair(law, 0, size), *_pair(law, 1, seen), bits))
    columns = (
        "GFLOPs",
        "N measured",
        "N*, joint law",
        "parabola",
        "D* (MB), joint law",
        "parabola",
        "Bits a byte, joint law",
    )
    note = f"N {COUNTED[first.size]}, D in megabytes (10⁶), 95% intervals."
    if any(law is not None and law.outside for _, law, _ in joined):
        note += " A star marks an optimum outside the sizes or bytes measured at that compute."
    return LanguageTable("The optimum at each budget", note, columns, tuple(rows)) if rows else None


def _joined(first: SizeAnswer) -> list[tuple[float, CountedOptimum | None, Budget | None]]:
    """Return the compute of each budget, least first, with what the joint law and the parabola say of it."""
    by_law = () if first.split is None else first.split.at_budgets
    parabolas = () if first.profiles is None else first.profiles.budgets
    if len(by_law) == len(parabolas) and all(
        math.isclose(law.compute, each.compute, rel_tol=SAME_BUDGET)
        for law, each in zip(by_law, parabolas, strict=True)
    ):
        return [(each.compute, law, each) for law, each in zip(by_law, parabolas, strict=True)]
    apart: list[tuple[float, CountedOptimum | None, Budget | None]] = [
        *((law.compute, law, None) for law in by_law),
        *((each.compute, None, each) for each in parabolas),
    ]
    return sorted(apart, key=lambda each: each[0])


def _range(law: CountedOptimum | None, parabola: BestValue | None) -> str:
    """Return the sizes that runs of about a compute have."""
    best = parabola if law is None else law.size
    return UNKNOWN if best is None else f"{number(best.measured.least)} to {number(best.measured.largest)}"


def _pair(law: CountedOptimum | None, j: int, parabola: Estimate | None) -> tuple[str, str]:
    """Return both methods' optimal parameters (j = 0) or megabytes (1)."""
    scale = (1.0, 1e-6)[j]
    by_law = UNKNOWN if law is None else estimate(_scaled((law.size, law.seen)[j], scale))
    return by_law, UNKNOWN if parabola is None else estimate(_scaled(parabola, scale))


def _scaled(each: Estimate, factor: float) -> Estimate:
    ends = (None if end is None else factor * end for end in (each.interval.low, each.interval.high))
    return dataclasses.replace(each, value=factor * each.value, interval=Interval(*ends))


def _published(first: SizeAnswer) -> LanguageTable:
    ours: list[tuple[str, ...]] = []
    if first.split is not None:
        split, ends = first.split, (first.split.curve[0], first.split.curve[-1])
        exponents = (number(e.value) for e in (split.size_exponent, split.seen_exponent, split.bits_exponent))
        span = " to ".join(number(1e9 * each.compute, 2) for each in ends)
        ours.append(
            (
                "This sweep",
                "joint law",
                *exponents,
                "no embedding table; counted",
                "bytes",
                f"{span} FLOPs",
                "",
            )
        )
    of_one = itertools.groupby(PUBLISHED, key=lambda each: (each.study, each.counted))
    theirs = [_study(tuple(group)) for _, group in of_one]
    note = (
        "Published runs are larger by orders of magnitude and read tokens of about four bytes, of "
        "vocabularies whose embeddings and readout are a large part of a small model. R: read again for this "
        "table; M: recalled."
    )
    columns = (
        *("Study", "Method", "N* ∝ C^", "D* ∝ C^", "Loss ∝ C^−"),
        *("N and C hold", "Data in", "Range", "Source"),
    )
    return LanguageTable("Beside published exponents", note, columns, (*ours, *theirs))


def _study(methods: tuple[PublishedExponents, ...]) -> tuple[str, ...]:
    """Return the row of one study's methods that count alike."""
    first = methods[0]
    exponents = (
        _exponents_of([getattr(each, name) for each in methods]) for name in ("size", "seen", "loss")
    )
    return (
        first.study,
        "; ".join(each.method for each in methods),
        *exponents,
        *(first.counted, first.unit, first.range),
        f"{first.source} [{', '.join(dict.fromkeys(each.mark for each in methods))}]",
    )


def _exponents_of(values: list[float | None]) -> str:
    """Return exponents with the two or three digits that they are published with."""
    digits = (f"{value:.3f}".removesuffix("0") for value in values if value is not None)
    return "; ".join(digits) or UNKNOWN


def _shapes(shapes: WidthDepth | None) -> LanguageTable | None:
    if shapes is None:
        return None
    rows: tuple[tuple[str, ...], ...] = tuple(
        (
            number(pair.compute),
            f"w{pair.shallow.width:g} d{pair.shallow.depth:g}",
            f"w{pair.deep.width:g} d{pair.deep.depth:g}",
            number(pair.deep.size / pair.shallow.size),
            f"{pair.difference:+.4f}",
            _on_windows(pair),
            UNKNOWN if pair.explained is None else f"{pair.explained:+.4f}",
        )
        for pair in shapes.pairs
    )
    spread = (
        f"seeds of one configuration spread by {number(shapes.seed_spread, 2)}"
        if shapes.seed_spread is not None
        else f"the spread of seeds is unknown, as {shapes.seed_spread_reason}"
    )
    left = shapes.unexplained
    beyond = "" if left is None else f", and {_signed(left)} beyond what is expected"
    note = (
        f"At equal compute and parameters the deeper model has {_signed(shapes.difference)} bits a "
        f"byte{beyond}; {spread}. It costs more a byte and so sees fewer, for which the joint law expects a "
        "difference."
    )
    columns: tuple[str, ...] = (
        "GFLOPs",
        "Shallower",
        "Deeper",
        "Ratio of N",
        "Difference",
        "On the same windows",
        "Expected",
    )
    if any(pair.paired is not None for pair in shapes.pairs):
        note += (
            " On the same windows of the test text: the difference of means over seeds, ± its standard error "
            "over windows, taken as independent, as their documents are not kept; seeds add their own spread."
        )
    else:
        columns, rows = (*columns[:5], columns[6]), tuple((*row[:5], row[6]) for row in rows)
    return LanguageTable("Width against depth", note, columns, rows, folded=True)


def _on_windows(pair: ShapePair) -> str:
    if pair.paired is None:
        return f"{UNKNOWN} ({pair.paired_reason})"
    return f"{pair.paired.difference:+.4f} ± {pair.paired.standard_error:.4f}"


def _signed(each: Estimate) -> str:
    low, high = each.interval.low, each.interval.high
    ends = "" if low is None or high is None else f" ({low:+.2g} to {high:+.2g})"
    return f"{each.value:+.2g}{ends}"


def _joules(answers: LanguageAnswers) -> LanguageTable | None:
    if all(each.joules is None for each in answers.joules):
        return None
    rows: list[tuple[str, ...]] = [
        (
            f"w{each.width:g} d{each.depth:g}",
            UNKNOWN if each.batch is None else f"{each.batch:,g}",
            number(each.size),
            *(UNKNOWN if j is None else number(1e6 * j) for j in (each.joules, each.net_joules)),
            each.reason or "",
        )
        for each in answers.joules
    ]
    note = "Medians over runs, and net of idle power."
    if any(each.on_gpu and each.joules is not None for each in answers.joules):
        note += (
            f" Below width {NARROW} they are launches of kernels and idle power, and say nothing of larger "
            "models."
        )
    columns: tuple[str, ...] = (
        *("Shape", "Batch (bytes)", "N"),
        *("µJ a byte", "Net µJ a byte", "Unknown because"),
    )
    if not any(each.reason for each in answers.joules):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return LanguageTable("Joules a byte", note, columns, tuple(rows), folded=True)
