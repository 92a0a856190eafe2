"""Many lasso problems at once, exactly: an active-set method, batched over independent problems.

Each minimises ||y - X b||^2 / (2 n) + penalty ||b||_1, as scikit-learn's `Lasso` without an intercept does.
Within a set of signs this is one linear system in the active features; a step towards its solution stops
where a coefficient reaches zero, and the feature leaves; features whose gradient exceeds the penalty join.
The objective falls with every step, so the search ends (feature-sign search, Lee, Battle, Raina, Ng 2006),
and the result meets the optimality conditions to rounding, not to a solver's tolerance. Columns of X'X are
made for a pool of promising features and for others as they are asked for: few of 1000 ever are.

Shapes: B problems, p features, m rows of a root of X'X, M features in the pool, K active ones.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import torch
from torch import Tensor

SLACK = 1e-9
"""A feature joins where its gradient exceeds the penalty by this share; it bounds the error left."""
FIRST_POOL = 32
POOL_GROWTH = 16
CAPACITY = 128
"""Slots by which the pools' room grows."""
MOST_JOIN = 8
MOST_ROUNDS = 10_000
EMPTY = -1


class Problems(Protocol):
    """B least-squares problems by a root of X'X.

    `root` (B, m, p) with root' root = X'X and `target` (B, m) with root' target = X'y, `examples` n, by which
    the loss is divided, and `rank`, the most features that can be active. What root says of a feature's
    products is complete once the feature was revealed; X'y and the products of revealed features always are.
    """

    root: Tensor
    target: Tensor
    examples: int
    rank: int

    def reveal(self, rows: Tensor, features: Tensor) -> None:
        """Make the products of `features` (R, q), distinct in a row, complete for the problems `rows`
        (R,)."""


class Given:
    """Problems that are there whole: the examples themselves, or any shorter root of the same products."""

    def __init__(self, root: Tensor, target: Tensor, examples: int) -> None:
        batch, rows, features = root.shape
        if target.shape != (batch, rows):
            raise ValueError(
                f"target must be {(batch, rows)}, a number a row of root, not {tuple(target.shape)}"
            )
        if examples < 1:
            raise ValueError(f"examples must be at least 1, not {examples}")
        self.root, self.target, self.examples, self.rank = root, target, examples, min(rows, features)

    def reveal(self, rows: Tensor, features: Tensor) -> None:
        """Nothing to do."""


@dataclasses.dataclass
class Work:
    """What the problems cost, summed over them; the counted operations follow from it."""

    columns: int = 0
    checks: int = 0
    check_features: int = 0
    solves: int = 0
    solve_flops: float = 0.0


class LassoPath:
    """The state of B problems along their paths; `advance` warm-starts from where they stand."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.work = Work()
        batch, _, features = problems.root.shape
        device = problems.root.device
        self.cross = (problems.root.mT @ problems.target.unsqueeze(-1)).squeeze(-1)
        """X'y, (B, p)."""
        self.saturated = torch.zeros(batch, dtype=torch.bool, device=device)
        """Problems whose active features would outnumber their examples: they stay where they were."""
        self.pool = torch.empty(batch, 0, dtype=torch.long, device=device)
        """Features in the pool, (B, M); EMPTY where a slot is free."""
        self.values = problems.root.new_empty(batch, 0)
        """Coefficients of the pool's features, (B, M); all others are zero."""
        self._filled = torch.zeros(batch, dtype=torch.long, device=device)
        self._signs = self.values
        self._active = torch.empty(batch, 0, dtype=torch.bool, device=device)
        self._columns = problems.root.new_empty(batch, 0, features)
        self._gram = problems.root.new_empty(batch, 0, 0)
        everyone = torch.arange(batch, device=device)
        self._grow(everyone, self.cross.abs().topk(min(FIRST_POOL, features), dim=1).indices)

    def largest_penalties(self) -> Tensor:
        """The least penalty of each problem at which every coefficient is zero, (B,)."""
        return self.cross.abs().amax(1) / self.problems.examples

    def coefficients(self) -> Tensor:
        """The coefficients, (B, p)."""
        return torch.zeros_like(self.cross).scatter_add_(1, self.pool.clamp(min=0), self.values)

    def advance(self, penalties: Tensor, going: Tensor | None = None) -> None:
        """Solve for `penalties` (B,); problems that are not `going` stay where they are."""
        bound = penalties * self.problems.examples
        todo = ~self.saturated if going is None else going & ~self.saturated
        rows = todo.nonzero().squeeze(1)
        for _ in range(MOST_ROUNDS):
            self._settle(rows, bound)
            rows = rows[~self.saturated[rows]]
            rows = self._join(rows, bound)
            if not len(rows):
                return
        raise AssertionError("the active-set search did not end")

    def _settle(self, rows: Tensor, bound: Tensor) -> None:
        """Solve for the active features of `rows`, letting those go whose sign would turn."""
        while len(rows):
            active = self._active[rows]
            count = active.sum(1)
            most = int(count.max())
            if most == 0:
                return
            slots = active.to(torch.int8).topk(most, dim=1).indices
            inside = active.gather(1, slots)
            features = self.pool[rows].gather(1, slots).clamp(min=0)
            gram = self._gram[rows[:, None, None], slots[:, :, None], slots[:, None, :]]
            gram = gram * (inside[:, :, None] & inside[:, None, :])
            gram.diagonal(dim1=1, dim2=2).add_((~inside).to(gram.dtype))
            signs = self._signs[rows].gather(1, slots)
            right = (self.cross[rows].gather(1, features) - bound[rows, None] * signs) * inside
            factor, failed = torch.linalg.cholesky_ex(gram)
            wanted = torch.cholesky_solve(right.unsqueeze(-1), factor).squeeze(-1)
            self._count_solves(count)
            now = self.values[rows].gather(1, slots)
            crossing = inside & (wanted * signs <= 0)
            share = torch.where(crossing, now / (now - wanted), torch.inf).nan_to_num(0.0, posinf=torch.inf)
            step = share.amin(1).clamp(max=1.0)
            leaving = crossing & (share <= step[:, None])
            new = torch.where(leaving | ~inside, 0.0, now + step[:, None] * (wanted - now))
            broken = failed > 0
            self.saturated[rows[broken]] = True
            good = ~broken
            at = (rows[good, None], slots[good])
            self.values[at] = new[good]
            self._active[at] = (inside & ~leaving)[good]
            rows = rows[good & leaving.any(1)]

    def _count_solves(self, count: Tensor) -> None:
        size = count.to(torch.float64)
        self.work.solves += len(count)
        self.work.solve_flops += float((size**3 / 3 + 2 * size**2).sum())

    def _join(self, rows: Tensor, bound: Tensor) -> Tensor:
        """Let features join whose gradient exceeds the bound; return the problems that have any."""
        if not len(rows):
            return rows
        gradient = self._gradient(rows)
        self.work.checks += len(rows)
        self.work.check_features += int(self._active[rows].sum())
        excess = gradient.abs() / bound[rows, None]
        active = self._active[rows]
        taken = torch.zeros_like(excess).scatter_add_(
            1, self.pool[rows].clamp(min=0), active.to(excess.dtype)
        )
        excess.masked_fill_(taken > 0, 0.0)
        over = excess > 1.0 + SLACK
        hit = over.any(1)
        rows, gradient, excess, over, count = (
            rows[hit],
            gradient[hit],
            excess[hit],
            over[hit],
            active[hit].sum(1),
        )
        if not len(rows):
            return rows
        room = (self.problems.rank - count).clamp(min=0)
        self.saturated[rows[room == 0]] = True
        top = excess.topk(min(MOST_JOIN, excess.shape[1]), dim=1)
        place = torch.arange(top.indices.shape[1], device=rows.device)
        joins = (top.values > 1.0 + SLACK) & (place < ((room + 1) // 2)[:, None])
        slots = self._slots(rows, top.indices, joins, excess)
        which, column = joins.nonzero(as_tuple=True)
        at = (rows[which], slots[which, column])
        self._active[at] = True
        self._signs[at] = gradient[which, top.indices[which, column]].sign()
        return rows[room > 0]

    def _gradient(self, rows: Tensor) -> Tensor:
        """X'(y - X b) (R, p) of the problems `rows` (R,)."""
        used = int(self._filled.max())
        if len(rows) > 0.8 * len(self.cross) or self.cross.is_cuda:
            fitted = self.values[:, None, :used] @ self._columns[:, :used]
            return (self.cross - fitted.squeeze(1))[rows]
        # on a CPU a copy of some problems' columns costs more than the products
        fitted = torch.stack([self.values[row, :used] @ self._columns[row, :used] for row in rows])
        return self.cross[rows] - fitted

    def _slots(self, rows: Tensor, features: Tensor, wanted: Tensor, promise: Tensor) -> Tensor:
        """The pool's slots of `features` (R, k), making room where one that is `wanted` is not in the
        pool."""
        same = self.pool[rows].unsqueeze(1) == features.unsqueeze(2)
        short = (wanted & ~same.any(2)).any(1)
        if bool(short.any()):
            needy = rows[short]
            pool = self.pool[needy]
            inside = torch.zeros_like(self.cross[needy]).scatter_add_(
                1, pool.clamp(min=0), (pool >= 0).double()
            )
            outside = promise[short].masked_fill(inside > 0, -1.0)
            least = int((inside == 0).sum(1).min())
            self._grow(needy, outside.topk(min(POOL_GROWTH, least), dim=1).indices)
            same = self.pool[rows].unsqueeze(1) == features.unsqueeze(2)
        return same.to(torch.int8).argmax(2)

    def _grow(self, rows: Tensor, new: Tensor) -> None:
        """Take the features `new` (R, q) into the pools of the problems `rows` (R,)."""
        self.problems.reveal(rows, new)
        count = new.shape[1]
        self._make_room(int(self._filled[rows].max()) + count)
        columns = self._products(rows, new)
        slots = self._filled[rows, None] + torch.arange(count, device=rows.device)
        at = (rows[:, None], slots)
        self.pool[at] = new
        self._columns[at] = columns
        products = columns.gather(2, self.pool[rows].clamp(min=0).unsqueeze(1).expand(-1, count, -1))
        self._gram[at] = products
        self._gram[
            rows[:, None, None],
            torch.arange(products.shape[2], device=rows.device)[:, None],
            slots[:, None, :],
        ] = products.mT
        self._filled[rows] += count
        self.work.columns += new.numel()

    def _products(self, rows: Tensor, new: Tensor) -> Tensor:
        """Columns (R, q, p) of X'X for the features `new` (R, q) of the problems `rows` (R,)."""
        root = self.problems.root
        if len(rows) < len(root) and not root.is_cuda:
            # on a CPU a copy of some problems' roots costs more than the products
            return torch.stack(
                [root[row][:, some].mT @ root[row] for row, some in zip(rows, new, strict=True)]
            )
        part = root if len(rows) == len(root) else root[rows]
        return part.gather(2, new.unsqueeze(1).expand(-1, part.shape[1], -1)).mT @ part

    def _make_room(self, slots: int) -> None:
        """Have at least so many slots in every pool."""
        more = slots - self.pool.shape[1]
        if more <= 0:
            return
        more = -(-more // CAPACITY) * CAPACITY

        def wider(old: Tensor, *sides: int, fill: float = 0) -> Tensor:
            return torch.nn.functional.pad(old, sides, value=fill)

        self.pool = wider(self.pool, 0, more, fill=EMPTY)
        self.values, self._signs = wider(self.values, 0, more), wider(self._signs, 0, more)
        self._active = wider(self._active, 0, more)
        self._columns = wider(self._columns, 0, 0, 0, more)
        self._gram = wider(self._gram, 0, more, 0, more)
