"""Draws of sparse linear regression: independent standard normal features, some of which the target depends
on.

Least squares and the lasso see the examples only through X'X and X'y, that is through any root R and u with
R'R = X'X, R'u = X'y. For n >= p those are drawn directly (Bartlett 1933: R is triangular with independent
normal and chi entries), so the cost does not grow with n.

A solver that looks at few features needs few rows of R. `Unfolding` draws a row when it is asked for: an
orthonormal basis of the examples' space is chosen along the noise and the features looked at so far; what
other features have along a new direction is independent of all that was seen (the normal law knows no
direction), so each new direction costs p normal numbers and the rest of R is never drawn. The law of what is
seen is that of the whole draw.

Shapes: B simulations, n examples, p features of which the first s are relevant, k rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROOM = 192
"""Rows for which there is room once features are looked at; it grows by half."""


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal numbers in float64, drawn in float32, which is four times faster on a CPU."""
    return torch.randn(shape, generator=generator, device=generator.device).double()


def chi(freedom: Tensor, generator: torch.Generator) -> Tensor:
    """Chi variables with `freedom` degrees each; 0 where there are none."""
    half = freedom.clamp(min=1).double() / 2
    return (2 * torch._standard_gamma(half, generator=generator)).sqrt() * (freedom > 0)


def triangular_root(batch: int, examples: int, features: int, generator: torch.Generator) -> Tensor:
    """R (B, p, p), upper triangular, with R'R distributed as X'X of n >= p examples (Bartlett).

    Raises:
        ValueError: fewer examples than features, where X'X has no such root.
    """
    if examples < features:
        raise ValueError(f"Bartlett's root needs at least {features} examples, not {examples}")
    root = normal((batch, features, features), generator).triu_(1)
    freedom = examples - torch.arange(features, device=generator.device)
    root.diagonal(dim1=1, dim2=2).copy_(chi(freedom.expand(batch, -1), generator))
    return root


class Unfolding:
    """B draws of (X'X, X'y) whose roots get rows as features are looked at; y = X b + noise.

    `coefficients` (s,) are those of the first s features, `noise` is the standard deviation of the rest.

    `root` (B, k, p) and `target` (B, k) represent features that were revealed; of others they hold the part
    that lies along the rows so far, which is all that X'y and the gradient need.
    """

    def __init__(
        self,
        batch: int,
        examples: int,
        features: int,
        coefficients: Tensor,
        noise: float,
        generator: torch.Generator,
    ) -> None:
        self.examples = examples
        self.rank = min(examples, features)
        self._generator = generator
        relevant = len(coefficients)
        rows = min(examples, relevant + 1)
        block = normal((batch, rows, relevant + 1), generator).triu_(1)
        freedom = examples - torch.arange(rows, device=generator.device)
        block.diagonal(dim1=1, dim2=2)[:, :rows] = chi(freedom.expand(batch, -1), generator)
        others = normal((batch, rows, features - relevant), generator)
        self._columns = torch.cat([block[:, :, :relevant], others], 2).mT.contiguous()
        self.target = block[:, :, :relevant] @ coefficients + noise * block[:, :, relevant]
        self._seen = torch.zeros(batch, features, dtype=torch.bool, device=generator.device)
        self._seen[:, :relevant] = True
        self._used = torch.full((batch,), rows, device=generator.device)

    def reveal(self, which: Tensor, features: Tensor) -> None:
        """Draw what is still unknown of the products of `features` (R, q), distinct in a row, with all
        others, for the simulations `which` (R,)."""
        count = features.shape[1]
        seen, used = self._seen[which], self._used[which]
        fresh = ~seen.gather(1, features)
        left = self.examples - used[:, None] - (fresh.cumsum(1) - fresh.long())
        rows = normal((len(which), count, self.root.shape[2]), self._generator)
        place = features[:, None, :].expand(-1, count, -1)
        square = rows.gather(2, place).triu_(1)
        square.diagonal(dim1=1, dim2=2).copy_(chi(left, self._generator))
        rows.scatter_(2, place, square)
        # nothing seen before has a part along a new direction, and there are no more of them than examples
        rows.masked_fill_(seen[:, None, :], 0.0)
        exists = fresh & (left > 0)
        rows.masked_fill_(~exists[:, :, None], 0.0)
        self._seen[which[:, None], features] = True
        self._write(which, rows, exists)

    @property
    def root(self) -> Tensor:
        """(B, k, p), a view of columns that lie together in memory."""
        return self._columns.mT

    def _write(self, which: Tensor, rows: Tensor, exists: Tensor) -> None:
        """Put those of `rows` (R, q, p) that exist (R, q) below those written before."""
        have = self._columns.shape[2]
        used = self._used[which]
        needed = int((used + exists.sum(1)).max())
        if needed > have:
            room = max(needed, min(self.examples, max(ROOM, have * 3 // 2))) - have
            self._columns = torch.nn.functional.pad(self._columns, (0, room))
            self.target = torch.nn.functional.pad(self.target, (0, room))
        slots = used[:, None] + exists.cumsum(1) - 1
        draw, row = exists.nonzero(as_tuple=True)
        self._columns.mT[which[draw], slots[draw, row]] = rows[draw, row]
        self._used[which] = used + exists.sum(1)


class Holdout:
    """Validation examples for B simulations, seen only through the squared errors of coefficients.

    The squared error on n fresh examples is ||V e||^2 for the vector e of coefficient errors and noise, with
    V a root of those examples' products. V is triangular and gets a column when a feature is first used, so
    nothing of size n or p is drawn.
    """

    def __init__(
        self, batch: int, examples: int, coefficients: Tensor, noise: float, generator: torch.Generator
    ) -> None:
        self.examples = examples
        self._generator = generator
        self._truth = coefficients
        self._noise = noise
        self._root = normal((batch, 0, 0), generator)
        self._extend(len(coefficients) + 1)

    def _extend(self, count: int) -> None:
        batch, rows, columns = self._root.shape
        total = columns + count
        most = min(self.examples, total)
        root = self._root.new_zeros(batch, most, total)
        root[:, :rows, :columns] = self._root
        new = normal((batch, most, count), self._generator)
        index = torch.arange(most, device=new.device)[:, None] - torch.arange(
            columns, total, device=new.device
        )
        new.masked_fill_(index >= 0, 0.0)
        root[:, :, columns:] = new
        if columns < most:
            diagonal = torch.arange(columns, most, device=new.device)
            freedom = (self.examples - diagonal).expand(batch, -1)
            root[:, diagonal, diagonal] = chi(freedom, self._generator)
        self._root = root

    def error(self, pool: Tensor, values: Tensor) -> Tensor:
        """Mean squared validation error (B,) of coefficients `values` (B, M) of the features `pool` (B, M).

        A slot of the pool must keep its feature from call to call; new ones come at the end.
        """
        relevant = len(self._truth)
        if (missing := relevant + 1 + pool.shape[1] - self._root.shape[2]) > 0:
            self._extend(missing)
        true = (pool >= 0) & (pool < relevant)
        gap = values.new_zeros(len(pool), relevant + 1 + pool.shape[1])
        gap[:, :relevant] = self._truth
        gap[:, relevant] = self._noise
        gap[:, :relevant].scatter_add_(1, pool.clamp(0, relevant - 1), torch.where(true, -values, 0.0))
        gap[:, relevant + 1 :] = torch.where(true, 0.0, -values)
        return (self._root @ gap.unsqueeze(-1)).squeeze(-1).square().sum(1) / self.examples
