"""The page's section of IsoFLOP profiles: the figure, or which sweep would give one."""

from __future__ import annotations

import dataclasses

import matplotlib
import pandas as pd

from isoflop.curve.isoflop import suggest
from isoflop.curve.isoflop.profiles import fit_profiles
from isoflop.curve.isoflop.result import Profiles
from isoflop.report.figures import canvas, isoflop_profiles
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.numerals import interval, number, plural

RESAMPLES = 400
LENGTHS = 3
"""At equal compute sizes differ by the data they see: a parabola goes through so many at least."""


@dataclasses.dataclass(frozen=True)
class Section:
    """`words` and the `drawing` with doubts, or, if it can be told, the `command` that would give one."""

    words: str
    drawing: Drawing | None = None
    warnings: tuple[str, ...] = ()
    command: str | None = None


def section(rows: pd.DataFrame) -> Section:
    """IsoFLOP profiles of test_error over width and, if it varies, depth, where runs share their compute."""
    lengths = rows["examples_seen"].nunique()
    if lengths < LENGTHS:
        told = "one amount" if lengths == 1 else "two amounts" if lengths == 2 else "an unknown amount"
        return _without(rows, f"the runs saw {told} of data, so that compute grows with size alone")
    varied = tuple(name for name in ("width", "depth") if len(rows[name].dropna().unique()) > 1)
    if "width" not in varied:
        return _without(rows, "the width does not vary")
    known = rows.dropna(subset=list(varied))
    reason = ""
    for sizes in dict.fromkeys((varied, ("width",))):
        try:
            return _with(fit_profiles(known, "train_gflops", sizes, "test_error", resamples=RESAMPLES))
        except ValueError as error:
            reason = reason or str(error)
    return _without(rows, reason)


def _with(found: Profiles) -> Section:
    told = [each.optimum is not None for each in found.budgets]
    words = [
        f"{plural(len(told), 'budget')} of training compute, from {number(found.budgets[0].compute)} to "
        f"{number(found.budgets[-1].compute)} GFLOPs, are shared by enough sizes; in {sum(told)} of them the "
        "error is least within the sizes measured."
    ]
    words += [
        f"The optimal {name} grows as compute to the power {number(each.exponent.value)} (95% interval "
        f"{interval(each.exponent.interval)})."
        for name, each in zip(found.sizes, found.growth or (), strict=False)
    ]
    if found.growth is None:
        words.append(f"No exponent is told: {found.growth_reason}.")
    with matplotlib.rc_context(canvas.RC):
        drawing = isoflop_profiles.draw(found)
    return Section(" ".join(words), drawing, found.warnings)


def _without(rows: pd.DataFrame, reason: str) -> Section:
    plan = suggest.command(rows)
    offer = " This sweep would give three budgets of six widths each (add your other settings):"
    return Section(f"None here: {reason}.{offer if plan else ''}", command=plan)
