"""How much wider than the resamples' spread the interval of a curve must be at each x.

A run at an end of the range has a high leverage: it draws the curve towards itself, so that its residual is
small. Resamples know errors only by their residuals and spread too little there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from isoflop.curve import bootstrap

Array = npt.NDArray[np.float64]

MOST_PARAMETERS = 3
"""Most terms of the polynomial that stands for a law. Bounds hold the further parameters of larger laws."""
MOST_LEVERAGE = 0.95
"""Leverage of a unit is cut here; at 1 its residual would be 0, whatever its error."""


def stretch(
    v: Array,
    unit: npt.NDArray[np.intp],
    z: Array,
    parameters: int,
    level: float = bootstrap.CONFIDENCE,
) -> Array:
    """Return the factors (m,) on the spread of resampled curves at `z` that make intervals.

    The law is replaced by a polynomial of ln x with p parameters (the law's, at most MOST_PARAMETERS), fitted
    by least squares to points of equal noise, with hat matrix H and value G y at z. Of the variance of G y,
    the sum of G_u G_u' over units u, resampled units show only the sum of G_u (I - H_uu) G_u': what HC2 of
    MacKinnon and White (1985) corrects, for units of several points Bell and McCaffrey (2002).
    bootstrap.stretch takes that share for (n - p) / n at every z; here its factor is multiplied by the root
    of (n - p) / n over the share at z.

    Args:
        v: ln(x_max / x) (n,) of the fitted points.
        unit: label (n,) of the unit that is resampled as a whole: a configuration, or a configuration mean on
            the frontier.
        z: ln(x / x_max) (m,) of the points of the curve.
        parameters: number of parameters of the law.
        level: of the intervals.
    """
    index = np.unique(unit, return_inverse=True)[1]
    units = int(index.max()) + 1
    terms = min(parameters, MOST_PARAMETERS)
    if not bootstrap.enough_configs(units, parameters):
        return np.ones(len(z))
    half = float(np.ptp(v)) / 2
    # Legendre polynomials on [-1, 1], orthonormalised on the points by QR: then H = basis basis' and
    # G = at' basis', without the normal matrix, which is ill-conditioned.
    basis, triangle = np.linalg.qr(legendre.legvander(1 - (v - v.min()) / half, terms - 1))
    at = np.linalg.solve(triangle.T, legendre.legvander(1 + (z + v.min()) / half, terms - 1).T)
    # The Gram matrix of a unit's rows of the basis has the non-zero eigenvalues of H_uu. Along one of its
    # axes G_u G_u' is along * own, and G_u (I - H_uu) G_u' is along * own * (1 - own).
    grams = np.zeros((units, terms, terms))
    np.add.at(grams, index, basis[:, :, None] * basis[:, None, :])
    own, axes = np.linalg.eigh(grams)
    own = np.clip(own, 0.0, MOST_LEVERAGE)
    along = np.einsum("jm,ujk->muk", at, axes) ** 2
    share = np.sum(along * own * (1 - own), axis=(1, 2)) / np.sum(along * own, axis=(1, 2))
    share_of_stretch = (units - terms) / units
    return np.asarray(bootstrap.stretch(units, parameters, level) * np.sqrt(share_of_stretch / share))
