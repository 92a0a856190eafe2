"""Check of undertrained shapes: training loss that rises with size, or falls less than for small shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from isoflop.curve.check import finding, noise, rises, shapes, trend
from isoflop.curve.check.finding import Finding, Outcome
from isoflop.curve.check.noise import SeedNoise
from isoflop.curve.check.rises import Rise
from isoflop.curve.check.shapes import Key, ShapeLoss
from isoflop.curve.check.trend import Trend
from isoflop.curve.result import Excluded

CHECK = "undertrained"
BORDERLINE = "borderline"
ABOVE_TREND = "above_trend"

TRAIN = (
    "train it better (a lower peak learning rate, longer warm-up, mup, branches that start at zero) and run "
    "it again; until then fit without it: --exclude undertrained"
)
EXCLUDED = "undertrained: the training loss of its shape is above that of a smaller shape (isoflop check)"
REPEAT = "run more seeds of both shapes: it stays in the fit"
COMPARE = (
    "no fault by itself: fixed data and a fixed recipe can bend the curve so; a better learning rate at this "
    "shape would tell which"
)


def check(table: pd.DataFrame) -> Outcome:
    """Return the shapes whose training loss rose with size, those where it may have, and those off the trend.

    Only nested shapes are compared: more units or more layers can represent all that fewer can, so that
    training loss should not rise; between a wide shallow and a narrow deep network there is no such order.
    """
    lacking = _lacking(table)
    if lacking is not None:
        return finding.needs(CHECK, lacking)
    every = shapes.shape_losses(table)
    pairs = shapes.nested_pairs(every)
    if not pairs:
        return finding.needs(
            CHECK, "two shapes of which one is nested in the other, trained on equal data for equally long"
        )
    pooled = noise.pooled_noise(every)
    lines = trend.trends(every)
    if pooled is None:
        return _without_noise(pairs)
    rising, compared = rises.rises(every, pooled)
    named = {rise.large.key for rise in rising}
    findings = [_of_rise(rise, every, pooled, compared, lines) for rise in rising]
    findings.sort(key=lambda each: finding.SEVERITIES.index(each.severity))
    findings += _off_trend([shape for shape in every if shape.key not in named], lines)
    passed = (
        f"training loss falls with size over {compared} pairs of nested shapes (seed noise, s.d. of ln loss: "
        f"{pooled.deviation:.2g})"
    )
    return finding.outcome(CHECK, findings, passed)


def _lacking(table: pd.DataFrame) -> str | None:
    """Return the column that the check would need, or None."""
    for name in ("train_loss", "train_gflops"):
        if finding.known(table, name).empty:
            return name
    if all(finding.known(table, name).empty for name in ("width", "depth")):
        return "width or depth"
    return None


def _without_noise(pairs: Sequence[tuple[ShapeLoss, ShapeLoss]]) -> Outcome:
    """Return the rises of a sweep whose seed noise is not known: none can be judged."""
    rising = [(small, large) for small, large in pairs if large.log_loss > small.log_loss]
    seeds = "two seeds of at least four shapes, to know how far seeds differ in train_loss"
    if not rising:
        return finding.needs(CHECK, seeds)
    strongest: dict[Key, tuple[ShapeLoss, ShapeLoss]] = {}
    for small, large in sorted(rising, key=lambda pair: pair[1].log_loss - pair[0].log_loss):
        strongest[large.key] = (small, large)
    return Outcome(
        CHECK,
        tuple(
            Finding(
                *(BORDERLINE, "warning", (large.subject,)),
                f"{large.subject.name}: training loss {_above(large, small)}; without seeds it cannot be "
                "told whether that is luck",
                f"run {seeds}",
            )
            for small, large in strongest.values()
        ),
    )


def _above(large: ShapeLoss, small: ShapeLoss) -> str:
    """Return `0.283 is 1.31 times that of the smaller resnet w64 d2 (0.216)`."""
    factor = math.exp(large.log_loss - small.log_loss)
    return (
        f"{large.loss:.3g} is {factor:.3g} times that of the smaller {small.subject.name} ({small.loss:.3g})"
    )


def _shallower(rise: Rise, every: Sequence[ShapeLoss]) -> str:
    """Return the comparison with the next shallower shape of the same width, if the loss rises there too."""
    large = rise.large
    same = [s for s in every if shapes.is_nested(s, large) and s.width == large.width]
    nearest = max(same, key=lambda s: s.depth, default=None)
    if nearest is None or nearest is rise.small or nearest.log_loss >= large.log_loss:
        return ""
    factor = math.exp(large.log_loss - nearest.log_loss)
    return f", and {factor:.3g} times that of the shallower {nearest.subject.name} ({nearest.loss:.3g})"


def _of_rise(
    rise: Rise, every: Sequence[ShapeLoss], pooled: SeedNoise, compared: int, lines: Sequence[Trend]
) -> Finding:
    """Return what to say of one rise.

    Args:
        rise: the rise.
        every: all shapes.
        pooled: the noise of healthy shapes.
        compared: number of pairs that were compared.
        lines: the trends of the small shapes.
    """
    large = rise.large
    what = f"{large.subject.name}: training loss {_above(large, rise.small)}{_shallower(rise, every)}"
    what += _factor_of_trend(large, lines)
    healthy = f"{rise.score:.1f} standard errors of healthy seed noise (s.d. of ln {pooled.deviation:.2g})"
    own = f"{rise.own_score:.1f} of its own ({_own(rise)})"
    if rise.grade == "sure":
        sentence = f"{what}. It rose with size by {healthy} and {own}"
        return Finding(CHECK, "fault", (large.subject,), sentence, TRAIN)
    if rise.grade == "within own spread":
        sentence = f"{what}. Borderline: {healthy}, but only {own}"
    else:
        sentence = f"{what}. Borderline: {healthy}, which one of {compared} comparisons may show, and {own}"
    return Finding(BORDERLINE, "note", (large.subject,), sentence, REPEAT)


def _own(rise: Rise) -> str:
    if rise.large.seeds > 1:
        return f"s.d. of ln {rise.own_deviation:.2g} over {rise.large.seeds} seeds"
    return f"one seed; s.d. of ln {rise.own_deviation:.2g} at the next smaller shape with several"


def _factor_of_trend(shape: ShapeLoss, lines: Sequence[Trend]) -> str:
    line = next((line for line in lines if trend.above(line, shape)), None)
    return "" if line is None else f"; {math.exp(line.excess(shape)):.3g} times the trend of the small shapes"


def _off_trend(others: Sequence[ShapeLoss], lines: Sequence[Trend]) -> list[Finding]:
    """Return one remark a trend, on shapes whose loss falls with size but less than that of small ones."""
    remarks = []
    for line in lines:
        off = [shape for shape in others if trend.above(line, shape)]
        if not off:
            continue
        factors = ", ".join(f"{s.subject.name} {math.exp(line.excess(s)):.3g} times" for s in off)
        limit = math.exp(max(line.limit(shape.compute) for shape in off))
        sentence = (
            f"training loss falls as compute to the power -{line.exponent:.3g} over the {line.small} "
            "smallest shapes; above that trend, though not above a smaller shape by more than seeds differ: "
            f"{factors} (the small shapes' scatter explains {limit:.3g})"
        )
        remarks.append(Finding(ABOVE_TREND, "note", tuple(s.subject for s in off), sentence, COMPARE))
    return remarks


def excluded(outcome: Outcome) -> tuple[Excluded, ...]:
    """Return the runs of undertrained shapes with the reason, as a fit lists rows that it does not use."""
    return tuple(
        Excluded(run_id, EXCLUDED)
        for found in outcome.findings
        if found.kind == CHECK
        for subject in found.subjects
        for run_id in subject.run_ids
    )
