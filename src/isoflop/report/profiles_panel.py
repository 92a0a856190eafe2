"""IsoFLOP profiles on the page, of a sweep that crosses sizes and lengths of training."""

from __future__ import annotations

import contextlib
import dataclasses

import matplotlib
import pandas as pd

from isoflop.curve.isoflop.profiles import fit_profiles
from isoflop.curve.isoflop.result import Profiles
from isoflop.report.figures import canvas, isoflop_profiles
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.numerals import interval, number, plural
from isoflop.table import target
from isoflop.table.target import Quantity

RESAMPLES = 400
SEEN = "examples_seen"
LEAST_LENGTHS = 3
"""At equal compute, sizes differ by the data they see, and a parabola needs three points."""


@dataclasses.dataclass(frozen=True)
class ProfilesPanel:
    """The text with the drawing and the warnings."""

    text: str
    drawing: Drawing
    warnings: tuple[str, ...] = ()


def profiles_panel(rows: pd.DataFrame, quantity: Quantity | None = None) -> ProfilesPanel | None:
    """Fit IsoFLOP profiles of what the rows are judged on over width and, if it varies, depth; None where the
    runs do not cross sizes and lengths of training."""
    quantity = quantity or target.of(rows).quantity
    varied = tuple(name for name in ("width", "depth") if len(rows[name].dropna().unique()) > 1)
    if rows[SEEN].nunique() < LEAST_LENGTHS or "width" not in varied:
        return None
    known = rows.dropna(subset=list(varied))
    for sizes in dict.fromkeys((varied, ("width",))):
        with contextlib.suppress(ValueError):
            profiles = fit_profiles(
                *(known, "train_gflops", sizes, quantity.column, (SEEN,)), data=SEEN, resamples=RESAMPLES
            )
            return _with(profiles, quantity.noun)
    return None


def _with(profiles: Profiles, noun: str) -> ProfilesPanel:
    """Return the panel of fitted profiles; `noun` is what falls."""
    optimal = [each.optimum is not None for each in profiles.budgets]
    first, last = profiles.budgets[0], profiles.budgets[-1]
    sentences = [
        f"{plural(len(optimal), 'budget')} of training compute, from {number(first.compute)} to "
        f"{number(last.compute)} GFLOPs, are shared by enough sizes; in {sum(optimal)} of them the {noun} is "
        "least within the sizes measured."
    ]
    sentences += [
        f"The optimal {name} grows as compute to the power {number(each.exponent.value)} (95% interval "
        f"{interval(each.exponent.interval)})."
        for name, each in zip(profiles.sizes, profiles.growth or (), strict=False)
    ]
    sentences += [_bias(profiles)]
    if profiles.growth is None:
        sentences.append(f"No exponent is given: {profiles.growth_reason}.")
    with matplotlib.rc_context(canvas.RC):
        drawing = isoflop_profiles.draw(profiles)
    return ProfilesPanel(" ".join(sentences), drawing, profiles.warnings)


def _bias(profiles: Profiles) -> str:
    """Return how far parabolas miss the optima of the joint law on this design, or why it is unknown."""
    known = "Parabolas are biased where sizes reach further to one side of the optimum (arXiv 2603.22339)"
    if profiles.bias_law is None:
        return f"{known}; by how much here is unknown: {profiles.bias_reason}."
    factors = [budget.bias[0] for budget in profiles.budgets if budget.bias is not None]
    if not factors:
        return f"{known}; by how much here is unknown: the joint law has no optimum near these sizes."
    low, high = (f"{100 * (end - 1):+.0f}%" for end in (min(factors), max(factors)))
    by = low if low == high else f"{low} to {high}"
    text = f"{known}: through the joint law's own values they miss its optimal {profiles.sizes[0]} by {by}"
    exponents = [
        f"of {name} by {each.bias.by_parabolas - each.bias.by_law:+.3f}"
        for name, each in zip(profiles.sizes, profiles.growth or (), strict=False)
        if each.bias is not None
    ]
    return f"{text}, and its exponent {', '.join(exponents)}." if exponents else f"{text}."
