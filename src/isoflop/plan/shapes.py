"""Shapes that further runs may have: those of the sweep, between them, and beyond them along its own axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
    wanted = [math.sqrt(a * b) for a, b in zip(widths, widths[1:], strict=False)]
    wanted += [widths[-1] * times for times in WIDER]
    all_widths = sorted({max(1, round(width / step)) * step for width in wanted} | set(widths))
    depths: list[int | None] = sorted({depth for _, depth in shapes}, key=lambda depth: depth or 0)
    if len(depths) > 1 and depths[-1] is not None:
        depths.append(depths[-1] + 1)
    known = set(shapes)
    return tuple((w, d) for w in all_widths for d in depths if (w, d) not in known)


def estimated_work(known: Mapping[Shape, float], shape: Shape) -> float:
    """Return about how many FLOPs an example of a shape takes, from those that are known.

    ln FLOPs by least squares in ln width and ln depth: to leave out shapes that are far too large before they
    are counted.
    """
    rows = np.array([[1.0, math.log(w), math.log(d or 1)] for w, d in known])
    target = np.log(np.array(list(known.values())))
    solved = np.linalg.lstsq(rows, target, rcond=None)[0]
    return float(np.exp(np.array([1.0, math.log(shape[0]), math.log(shape[1] or 1)]) @ solved))
