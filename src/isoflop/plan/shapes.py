"""Shapes that further runs may have: those of the sweep, between them, and beyond them along its own axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from isoflop.plan.recipe import Shape

WIDER = (2.0**0.5, 2.0, 2.0**1.5, 4.0)
"""Widths beyond the largest, over it."""


def further(shapes: Sequence[Shape], *, scaled: bool) -> tuple[Shape, ...]:
    """Return shapes that the sweep has not trained: widths between its own (at their geometric means) and up
    to four times the largest, at each of its depths and, if it has several, one more.

    Widths are multiples of the greatest common divisor of the sweep's, as heads and groups divide a width.
    Nothing where the family has no width.
    """
    if not scaled or not shapes:
        return ()
    widths = sorted({width for width, _ in shapes})
    step = math.gcd(*widths)
    wanted = [math.sqrt(a * b) for a, b in itertools.pairwise(widths)]
    wanted += [widths[-1] * times for times in WIDER]
    all_widths = sorted({max(1, round(width / step)) * step for width in wanted} | set(widths))
    depths: list[int | None] = sorted({depth for _, depth in shapes}, key=lambda depth: depth or 0)
    if len(depths) > 1 and depths[-1] is not None:
        depths.append(depths[-1] + 1)
    known = set(shapes)
    return tuple((w, d) for w in all_widths for d in depths if (w, d) not in known)


EXACT = 1e-6
"""Relative error below which a closed form is taken to be that of the family."""


def closed_form(known: Mapping[Shape, tuple[float, ...]]) -> Callable[[Shape], tuple[float, ...]] | None:
    """Return amounts of any shape, exact, from those of some; None where these do not tell the form.

    FLOPs and parameters of a family are a quadratic in width whose coefficients are affine in depth. With
    more shapes than the form has coefficients, that it meets all of them says that it holds; a family whose
    work is no such form misses some, and its new shapes have to be counted.

    Args:
        known: shape -> k amounts above 0.
    """
    shapes = list(known)
    rows = _basis(shapes)
    # Columns that tell nothing apart (one depth, two widths) are left out by their rank.
    scale = np.abs(rows).max(axis=0)
    scale[scale == 0] = 1.0
    rank = int(np.linalg.matrix_rank(rows / scale, tol=1e-9))
    if len(shapes) <= rank:
        return None
    values = np.array([known[shape] for shape in shapes], dtype=float)
    # Relative errors count: the smallest shapes are many orders below the largest.
    solved = np.stack(
        [
            np.linalg.lstsq(rows / scale / column[:, None], np.ones(len(shapes)), rcond=1e-12)[0] / scale
            for column in values.T
        ],
        axis=1,
    )
    if np.max(np.abs(rows @ solved / values - 1.0)) > EXACT:
        return None
    several = len({depth for _, depth in shapes}) > 1, len({width for width, _ in shapes}) > 2

    def amounts(shape: Shape) -> tuple[float, ...]:
        assert several[0] or shape[1] == shapes[0][1]
        return tuple(float(value) for value in (_basis([shape]) @ solved)[0])

    return amounts if several[1] else None


def _basis(shapes: Sequence[Shape]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rows = []
    for width, depth in shapes:
        of_width = [1.0, float(width), float(width) ** 2]
        rows.append([*of_width, *((depth or 0) * each for each in of_width)])
    return np.array(rows)


def estimated_work(known: Mapping[Shape, float], shape: Shape) -> float:
    """Return about how many FLOPs an example of a shape takes, from those that are known.

    ln FLOPs by least squares in ln width and ln depth: to leave out shapes that are far too large before they
    are counted.
    """
    rows = np.array([[1.0, math.log(w), math.log(d or 1)] for w, d in known])
    target = np.log(np.array(list(known.values())))
    solved = np.linalg.lstsq(rows, target, rcond=None)[0]
    return float(np.exp(np.array([1.0, math.log(shape[0]), math.log(shape[1] or 1)]) @ solved))
