"""How much wider than the resamples' spread the interval of a curve must be at each x.

A run at an end of the range draws the curve towards itself: its residual is small, and resamples, which know
errors only by their residuals, spread too little there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from isoflop.curve import bootstrap

Array = npt.NDArray[np.float64]

MOST_PARAMETERS = 3
"""Of the polynomial; bounds hold the further terms of a law that has more."""
MOST_LEVERAGE = 0.95
"""Of a unit on its own fit; at 1 its residual would be 0, whatever its error."""


def stretch(v: Array, unit: npt.NDArray[np.intp], z: Array, parameters: int) -> Array:
    """By what the spread of curves at `z` (m,) is multiplied for a 95% interval, (m,).

    `v` (n,) = ln(x_max / x) of the fitted points, `unit` (n,) what is resampled that each belongs to (a
    configuration, or a place on the frontier), `z` = ln(x / x_max).

    Take a polynomial of ln x with p parameters, fitted by least squares to points of equal noise, with hat
    matrix H and value G y at z. Of its variance, the sum of G_u G_u over units u, resampled units show the
    sum of G_u (I - H_uu) G_u (what HC2 of MacKinnon and White 1985 puts right; for units of several points
    Bell and McCaffrey 2002). bootstrap.stretch takes that share for (n - p) / n at every z; here it is
    multiplied by the root of (n - p) / n over the share at z. p is the law's, at most MOST_PARAMETERS.
    """
    index = np.unique(unit, return_inverse=True)[1]
    units = int(index.max()) + 1
    terms = min(parameters, MOST_PARAMETERS)
    if not bootstrap.tells(units, parameters):
        return np.ones(len(z))
    half = float(np.ptp(v)) / 2
    basis, triangle = np.linalg.qr(legendre.legvander(1 - (v - v.min()) / half, terms - 1))
    at = np.linalg.solve(triangle.T, legendre.legvander(1 + (z + v.min()) / half, terms - 1).T)
    grams = np.zeros((units, terms, terms))
    np.add.at(grams, index, basis[:, :, None] * basis[:, None, :])
    own, axes = np.linalg.eigh(grams)
    own = np.clip(own, 0.0, MOST_LEVERAGE)
    along = np.einsum("jm,ujk->muk", at, axes) ** 2
    share = np.sum(along * own * (1 - own), axis=(1, 2)) / np.sum(along * own, axis=(1, 2))
    taken = (units - terms) / units
    return np.asarray(bootstrap.stretch(units, parameters) * np.sqrt(taken / share))
