"""Where training loss rises with size: a shape above one that is nested in it, judged against seed noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np
from scipy import special

from isoflop.curve.check.noise import SeedNoise, own_deviation
from isoflop.curve.check.shapes import Key, ShapeLoss, nested_pairs

LEVEL = 0.01
"""Probability under healthy seed noise below which a rise counts, over all comparisons (sure) or in one."""
OWN_LEVEL = 0.05
"""Probability under the noise of the shape's own seeds below which a rise is likely to be seen again."""

Grade = Literal["sure", "within own spread", "one of many"]


@dataclasses.dataclass(frozen=True)
class Rise:
    """A shape whose training loss is above that of a shape nested in it.

    `score` is the rise of ln loss over its standard error under the noise of healthy shapes, `own_score` that
    under the spread of the two shapes' own seeds. `grade`: `sure` rises are beyond both noises, allowing for
    all comparisons; of the others, `within own spread` is beyond healthy noise only, and `one of many` beyond
    it in one comparison, but not allowing for all of them.
    """

    large: ShapeLoss
    small: ShapeLoss
    score: float
    own_score: float
    own_deviation: float
    grade: Grade

    @property
    def factor(self) -> float:
        """Training loss of the large shape over that of the small one."""
        return float(np.exp(self.large.log_loss - self.small.log_loss))


def rises(shapes: tuple[ShapeLoss, ...], noise: SeedNoise) -> tuple[tuple[Rise, ...], int]:
    """Return the strongest rise of each shape that has one, least compute first, and the number of pairs.

    Two tests are needed. Healthy noise, well known from many shapes, is the sharper; it is corrected for the
    number of nested pairs (Bonferroni). A network that is not trained well also scatters more, so that a rise
    beyond healthy noise may be one unlucky seed: it must also exceed what the shape's own seeds differ by. A
    test on these alone is too weak, since three seeds hardly know their spread.
    """
    pairs = nested_pairs(shapes)
    limits = _Limits(
        in_one=-float(special.stdtrit(noise.freedom, LEVEL)),
        over_all=-float(special.stdtrit(noise.freedom, LEVEL / max(1, len(pairs)))),
        own=-float(special.ndtri(OWN_LEVEL)),
    )
    expected = {s.key: own_deviation(s, shapes, noise) for s in shapes}
    by_shape: dict[Key, list[Rise]] = {}
    for small, large in pairs:
        rise = _rise(small, large, expected, noise, limits)
        if rise is not None:
            by_shape.setdefault(large.key, []).append(rise)
    order = ("sure", "within own spread", "one of many")
    strongest = (
        min(found, key=lambda rise: (order.index(rise.grade), -rise.own_score)) for found in by_shape.values()
    )
    return tuple(sorted(strongest, key=lambda rise: rise.large.compute)), len(pairs)


@dataclasses.dataclass(frozen=True)
class _Limits:
    """Scores from which on a rise counts: in one comparison, allowing for all of them, and by own spread."""

    in_one: float
    over_all: float
    own: float


def _rise(
    small: ShapeLoss, large: ShapeLoss, expected: Mapping[Key, float], noise: SeedNoise, limits: _Limits
) -> Rise | None:
    """Return the rise from `small` to `large`, or None where healthy seeds may differ so much.

    Args:
        small: a shape nested in `large`.
        large: the larger shape.
        expected: seed noise to expect of each shape (noise.own_deviation), by its key.
        noise: the noise of healthy shapes.
        limits: scores from which on a rise counts.
    """
    step = large.log_loss - small.log_loss
    score = step / (noise.deviation * np.sqrt(1 / large.seeds + 1 / small.seeds))
    if score <= limits.in_one:
        return None
    of_large, of_small = (expected[shape.key] for shape in (large, small))
    own_score = step / np.sqrt(of_large**2 / large.seeds + of_small**2 / small.seeds)
    grade: Grade = "sure" if own_score > limits.own else "within own spread"
    if score <= limits.over_all:
        grade = "one of many"
    return Rise(large, small, float(score), float(own_score), of_large, grade)
