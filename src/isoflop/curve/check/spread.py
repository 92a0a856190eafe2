"""Check of the seed spread of the training loss: does it jump with size?"""

from __future__ import annotations

import pandas as pd
from scipy import special

from isoflop.curve.check import finding, noise, shapes
from isoflop.curve.check.finding import Finding, Outcome
from isoflop.curve.check.noise import SeedNoise
from isoflop.curve.check.shapes import ShapeLoss

CHECK = "seed_spread"
LEVEL = 0.01
"""Probability, over all shapes, below which a spread is larger than that of healthy shapes."""


def check(table: pd.DataFrame) -> Outcome:
    """Return the shapes from which on seeds differ by more than those of healthy shapes do.

    A spread is large if an F test against the pooled noise says so over all shapes. It jumps with size if the
    next larger shapes with several seeds scatter as much, or there are none: one unlucky seed of a small
    shape is no jump.
    """
    if finding.known(table, "train_loss", "train_gflops").empty:
        return finding.needs(CHECK, "train_loss")
    if all(finding.known(table, name).empty for name in ("width", "depth")):
        return finding.needs(CHECK, "width or depth")
    every = shapes.shape_losses(table)
    pooled = noise.pooled_noise(every)
    repeated = tuple(shape for shape in every if shape.spread is not None)
    if pooled is None or len(repeated) < 2:
        return finding.needs(CHECK, "two seeds of at least four shapes")
    large = {s.key for s in repeated if _is_large(s, pooled, len(repeated))}
    jumped = [
        shape
        for shape in repeated
        if shape.key in large and all(each.key in large for each in shapes.next_larger(shape, repeated))
    ]
    passed = f"seeds differ by a s.d. of {pooled.deviation:.2g} in ln training loss, no more at larger shapes"
    alone = [s for s in repeated if s.key in large and s not in jumped]
    if alone:
        factors = ", ".join(f"{s.subject.name} {(s.spread or 0.0):.2g}" for s in alone)
        passed += f"; by more at single smaller shapes, which larger ones do not repeat: {factors}"
    return finding.outcome(CHECK, [_finding(jumped, pooled)] if jumped else [], passed)


def _is_large(shape: ShapeLoss, pooled: SeedNoise, tests: int) -> bool:
    assert shape.spread is not None
    ratio = (shape.spread / pooled.deviation) ** 2
    return bool(special.fdtrc(shape.seeds - 1, pooled.freedom, ratio) * tests < LEVEL)


def _finding(jumped: list[ShapeLoss], pooled: SeedNoise) -> Finding:
    each = ", ".join(
        f"{s.subject.name} {s.spread:.2g} ({s.spread / pooled.deviation:.2g} times)"
        for s in jumped
        if s.spread is not None
    )
    return Finding(
        *(CHECK, "warning", tuple(shape.subject for shape in jumped)),
        f"the spread of training loss between seeds (s.d. of ln) jumps with size: {pooled.deviation:.2g} at "
        f"healthy shapes, but {each}: training is close to unstable there",
        "lower the peak learning rate or warm up longer at these shapes; their mean needs more seeds",
    )
