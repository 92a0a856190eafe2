"""A density near a cloud of particles that can be drawn from: Student's t about each part of the cloud.

A posterior of a law is curved (a floor trades off with an exponent) or falls into parts. The cloud is halved
along its longest axis, each half again, and each part gives a multivariate t of its own mean and covariance:
its tails are longer than the posterior's, so that weights of importance stay bounded in practice (Owen and
Zhou 2000, "Safe and Effective Importance Sampling").
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

HALVINGS = 2
"""The cloud is halved so often, into four parts."""
LEAST_IN_PART = 24
"""A part is not halved into smaller ones than this."""
WIDER = 1.2
"""Of the spread of each t over that of its part."""
_RIDGE = 1e-10
"""Added to the variances of a part, all of whose particles may come from one."""


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Multivariate t distributions in d dimensions.

    Attributes:
        means: of the parts (k, d).
        roots: lower triangular roots (k, d, d) of their scale matrices.
        shares: of the parts (k,), with sum 1.
    """

    means: Array
    roots: Array
    shares: Array

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the t: 4 or 5, so that the density has a whole power."""
        return 4 + int(self.means.shape[1]) % 2

    def joined(self, other: Mixture) -> Mixture:
        """Return the mixture of both, each with half of the weight."""
        return Mixture(
            np.concatenate([self.means, other.means]),
            np.concatenate([self.roots, other.roots]),
            np.concatenate([self.shares, other.shares]) / 2,
        )

    def draw(self, count: int, generator: np.random.Generator) -> Array:
        """Return draws (count, d), each part having its share of them."""
        ends = np.round(np.cumsum(self.shares) * count).astype(int)
        part = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        normal = generator.standard_normal((count, self.means.shape[1]))
        spread = np.sqrt(generator.chisquare(self.freedom, count) / self.freedom)
        away = np.einsum("nij,nj->ni", self.roots[part], normal / spread[:, None])
        return np.asarray(self.means[part] + away)

    def log_density(self, u: Array) -> Array:
        """Return ln of the density (n,) at u (n, d)."""
        size, freedom = u.shape[1], self.freedom
        scale = special.gamma((freedom + size) / 2) / special.gamma(freedom / 2)
        total = np.zeros(len(u))
        for mean, root, share in zip(self.means, self.roots, self.shares, strict=True):
            away = (u - mean) @ np.linalg.inv(root).T
            near = 1.0 / (1.0 + np.einsum("nd,nd->n", away, away) / freedom)
            total += share / np.diag(root).prod() * near ** ((freedom + size) // 2)
        return np.asarray(np.log(total) + np.log(scale) - 0.5 * size * np.log(freedom * np.pi))


def near(u: Array) -> Mixture:
    """Return the mixture near equally weighted particles (n, d)."""
    parts = _halved(u, HALVINGS)
    size = u.shape[1]
    roots = [np.linalg.cholesky(np.cov(part.T) + _RIDGE * np.eye(size)) for part in parts]
    shares = np.array([len(part) / len(u) for part in parts])
    return Mixture(np.stack([part.mean(axis=0) for part in parts]), WIDER * np.stack(roots), shares)


def _halved(u: Array, times: int) -> list[Array]:
    """Return the parts of particles (n, d), halved `times` times over along their longest axes."""
    if not times or len(u) < 2 * LEAST_IN_PART:
        return [u]
    centred = u - u.mean(axis=0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    order, half = np.argsort(centred @ axis, kind="stable"), len(u) // 2
    return [*_halved(u[order[:half]], times - 1), *_halved(u[order[half:]], times - 1)]
