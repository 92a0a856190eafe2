"""Wilson's interval of a share that was counted: errors among test examples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Z95 = 1.959963984540054
"""The normal's 97.5% point."""


def wilson(share: Array, n: Array) -> tuple[Array, Array]:
    """Return Wilson's 95% interval of shares observed in `n` trials each (Wilson 1927); arrays of one shape.

    Raises:
        ValueError: an n is not positive or a share lies outside [0, 1].
    """
    if not (np.all(n > 0) and np.all(share >= 0) and np.all(share <= 1)):
        raise ValueError("Wilson's interval needs shares in [0, 1] and at least one trial")
    z2 = Z95**2 / n
    centre = (share + z2 / 2) / (1 + z2)
    half = Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n)) / (1 + z2)
    low, high = np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)
    return np.minimum(low, share), np.maximum(high, share)
