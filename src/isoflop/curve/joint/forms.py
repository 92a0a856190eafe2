"""The shapes of the laws in several resources: ln y = c + g(v), free of units.

v (n, k) = ln(x_max / x) >= 0 of k resources (parameters, data; width, depth, data). The shares of y at x_max
are its unit-free parameters: e^s falls, of which softmax(0, w_2, ..., w_k) is owed to each resource; the rest
is the floor. Every function takes theta (r, q) and v, and returns g (r, n) and its derivatives (r, n, q).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve.forms import B_MAX, B_MIN, NEGATIVE_FLOOR, Form, grid

Array = npt.NDArray[np.float64]

LARGEST_LOGIT = 30.0
"""Bound of the logits whose softmax divides the fall among the resources."""
LOG_RATIO = (-5.0, 20.0)
"""Bounds of ln(e~ / eta) at x_max in Rosenfeld's envelope: e0 is at most 148 times y at x_max."""


def shares(logits: Array) -> Array:
    """Return softmax(0, logits): (r, k - 1) -> (r, k)."""
    full = np.concatenate([np.zeros((len(logits), 1)), logits], axis=1)
    powers = np.exp(full - full.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def additive(theta: Array, v: Array) -> tuple[Array, Array]:
    """y = E + sum_j A_j x_j^-b_j: return g and its derivatives for theta = (s, w, b).

    g = ln(1 - e^s + e^s sum_j share_j e^(b_j v_j)) with E = e^c (1 - e^s). It is Chinchilla's law for k = 2
    and width x depth x data for k = 3.
    """
    k = v.shape[1]
    # The large arrays are filled in place: this function takes most of the time of a fit.
    falls, share, b = np.exp(theta[:, :1]), shares(theta[:, 1:k]), theta[:, k:]
    part = falls * share
    derivatives = np.empty((len(theta), len(v), 2 * k))
    whole = np.broadcast_to(1.0 - falls, (len(theta), len(v))).copy()
    by_b = derivatives[:, :, k:]
    for j in range(k):
        np.exp(b[:, j, None] * v[:, j], out=by_b[:, :, j])
        by_b[:, :, j] *= part[:, j, None]
        whole += by_b[:, :, j]
    by_b /= whole[:, :, None]
    rises = 1.0 - (1.0 - falls) / whole
    derivatives[:, :, 0] = 1.0 - 1.0 / whole
    derivatives[:, :, 1:k] = by_b[:, :, 1:] - share[:, None, 1:] * rises[:, :, None]
    by_b *= v
    return np.log(whole), derivatives


def envelope(theta: Array, v: Array) -> tuple[Array, Array]:
    """Rosenfeld's y = e0 |e~ / (e~ - i eta)|: return g and its derivatives for theta = (t, s, w, b).

    g = -ln(1 + (e~ / eta)^-2) / 2 with e~ / eta = e^(t + additive's g); c = ln e0, the level of small models
    and data.
    """
    shape, inner = additive(theta[:, 1:], v)
    log_ratio = theta[:, :1] + shape
    gate = 1.0 / (1.0 + np.exp(2.0 * log_ratio))
    by_ratio = np.concatenate([np.ones((*shape.shape, 1)), inner], axis=-1) * gate[..., None]
    return -0.5 * np.logaddexp(0.0, -2.0 * log_ratio), by_ratio


def level_above(t: Array) -> Array:
    """Return ln(e0 / y at x_max) (r,) of the envelope for t (r,) = ln(e~ / eta) at x_max."""
    return np.asarray(0.5 * np.logaddexp(0.0, -2.0 * t))


def anchored(theta: Array, v: Array) -> tuple[Array, Array]:
    """Return `envelope` with c = ln y at x_max in place of ln e0.

    Where e0 is unknown, this c is well determined and hardly depends on t.
    """
    shape, derivatives = envelope(theta, v)
    t = theta[:, 0]
    derivatives[..., 0] -= (1.0 / (1.0 + np.exp(2.0 * t)))[:, None]
    return shape + level_above(t)[:, None], derivatives


def _bounds(k: int, span: float, highest: float) -> tuple[Array, Array]:
    low = np.r_[-B_MAX * span - 5, np.full(k - 1, -LARGEST_LOGIT), np.full(k, B_MIN)]
    high = np.r_[highest, np.full(k - 1, LARGEST_LOGIT), np.full(k, B_MAX)]
    return low, high


_FALLS = np.log([0.02, 0.1, 0.3, 0.6, 0.98])
_EXPONENTS = {2: np.geomspace(0.06, 1.6, 8), 3: np.geomspace(0.1, 1.6, 5)}
_LOGITS = {2: np.array([-3.0, -1.0, 0.0, 1.0, 3.0]), 3: np.array([-1.5, 0.0, 1.5])}


def _grid(k: int, *before: Array) -> Array:
    return grid(*before, _FALLS, *[_LOGITS[k]] * (k - 1), *[_EXPONENTS[k]] * k)


def sum_of_powers(k: int) -> Form:
    """Return the form `additive` of k resources, 2 or 3."""
    names = ("s", *(f"w{j}" for j in range(2, k + 1)), *(f"b{j}" for j in range(1, k + 1)))
    return Form(
        names=names,
        evaluate=additive,
        bounds=lambda span: _bounds(k, span, 0.0),
        starts=lambda span: (_grid(k),),
        relaxed=lambda span: _bounds(k, span, NEGATIVE_FLOOR),
    )


def _with_level(bounds: tuple[Array, Array]) -> tuple[Array, Array]:
    return np.r_[LOG_RATIO[0], bounds[0]], np.r_[LOG_RATIO[1], bounds[1]]


CHINCHILLA = sum_of_powers(2)
WIDTH_DEPTH_DATA = sum_of_powers(3)
ROSENFELD = Form(
    names=("t", *CHINCHILLA.names),
    evaluate=envelope,
    bounds=lambda span: _with_level(_bounds(2, span, 0.0)),
    starts=lambda span: (_grid(2, np.array([-2.5, -1.0, 0.5])),),
    relaxed=lambda span: _with_level(_bounds(2, span, 0.0)),
)
FREE_ROSENFELD = dataclasses.replace(ROSENFELD, evaluate=anchored)
"""For a level that is not known."""
