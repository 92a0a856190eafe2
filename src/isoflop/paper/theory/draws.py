"""Draws of the products of standard normal examples, at a cost that does not grow with their number.

Least squares and the lasso see examples Z (n, c) only through Z'Z, that is through any root R with R'R = Z'Z.
For n >= c a root is drawn directly (Bartlett 1933): R is upper triangular, its diagonal holds independent chi
variables and the rest independent normal ones. For n < c the examples themselves are the shortest root. Where
the noise of the target is one of the columns, the root holds X'y and y'y too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def products_root(examples: int, columns: int, generator: np.random.Generator) -> Array:
    """Return R (min(examples, columns), columns) with R'R distributed as Z'Z of so many examples."""
    if examples < columns:
        return generator.standard_normal((examples, columns))
    return triangular_root(examples, columns, generator)


def triangular_root(examples: int, columns: int, generator: np.random.Generator) -> Array:
    """Return R (columns, columns), upper triangular, with R'R distributed as Z'Z of `examples` (Bartlett).

    Raises:
        ValueError: there are fewer examples than columns, so that Z'Z has no such root.
    """
    if examples < columns:
        raise ValueError(f"Bartlett's root needs at least {columns} examples, not {examples}")
    root = np.triu(generator.standard_normal((columns, columns)), 1)
    # the k-th column, less its projection on the k columns before it, has n - k degrees of freedom left
    np.fill_diagonal(root, np.sqrt(generator.chisquare(examples - np.arange(columns))))
    return root
