"""Many lasso problems at once, exactly: an active-set method, batched over independent problems.

Each minimises ||y - X b||^2 / (2 n) + penalty ||b||_1, as scikit-learn's `Lasso` without an intercept does.
A problem is solved among a pool of promising features (active_set.py), whose products are made once; the
residual then gives the gradient of every feature, and those that exceed the penalty join the pool, until
there are none. The result meets the optimality conditions to rounding, not to a solver's tolerance. Of 1000
features a few hundred at most are ever in the pool, so X'X as a whole is never formed.

Shapes: B problems, p features, m rows of a root of X'X, M features in the pool, K active ones.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import torch
from torch import Tensor

from isoflop.paper.theory import active_set
from isoflop.paper.theory.active_set import Small

LEAST_GROWTH = 8
LIKELY = 0.5
"""About this share of the features above a lower penalty's bound are active once others have moved."""
FIRST_ROOM = 192
EMPTY = -1


class Problems(Protocol):
    """B least-squares problems by a root of X'X.

    `root` (B, m, p) with root' root = X'X and `target` (B, m) with root' target = X'y, `examples` n, by which
    the loss is divided, and `rank`, the most features that can be active. What root says of a feature's
    products is complete once the feature was revealed; X'y and the products of revealed features always are.
    """

    target: Tensor
    examples: int
    rank: int

    @property
    def root(self) -> Tensor:
        """The root."""

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
    """What the problems cost, summed over them: inner products of features made, gradients of all features,
    active features summed over those, and FLOPs inside the pools. The counted operations follow from it."""

    products: int = 0
    checks: int = 0
    check_features: int = 0
    solve_flops: float = 0.0


class LassoPath:
    """The state of B problems along their paths; `advance` warm-starts from where they stand."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.work = Work()
        batch = len(problems.root)
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
        self._gradient = self.cross.clone()
        square = problems.root.new_empty(batch, 0, 0)
        none = torch.empty(batch, 0, dtype=torch.bool, device=device)
        self._small = Small(square, self.values, self.values, self.values, none, square)

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
        self._widen(rows, bound)
        while len(rows):
            self._solve_in_pool(rows, bound)
            rows = rows[~self.saturated[rows]]
            self._check(rows)
            rows = self._widen(rows, bound)

    def _solve_in_pool(self, rows: Tensor, bound: Tensor) -> None:
        """Solve the problems `rows` (R,) among the active features and those of the pool above the bound."""
        if not self.pool.shape[1]:
            return
        pool = self.pool[rows]
        gradient = self._gradient[rows].gather(1, pool.clamp(min=0))
        above = (gradient.abs() > bound[rows, None]) & (pool >= 0)
        some = (above | self._small.active[rows]).to(torch.int8)
        slots = some.topk(int(some.sum(1).amax()), dim=1).indices
        part = self._small.take(rows, slots)
        failed, flops = active_set.solve(part, bound[rows], self.problems.rank)
        self._small.put(rows, slots, part)
        self.saturated[rows] = failed
        self.work.solve_flops += flops

    def _check(self, rows: Tensor) -> None:
        """The gradient X'(y - X b) of every feature, for the problems `rows` (R,)."""
        self.work.checks += len(rows)
        self.work.check_features += int(self._small.active[rows].sum())
        root, target = self.problems.root, self.problems.target
        if root.is_cuda:
            left = target - (root @ self.coefficients().unsqueeze(-1)).squeeze(-1)
            self._gradient[rows] = (root.mT @ left.unsqueeze(-1)).squeeze(-1)[rows]
            return
        # on a CPU one problem after another: few columns of the root are read, and nothing is copied whole
        for row in rows.tolist():
            slots = self._small.active[row].nonzero().squeeze(1)
            features = root[row].mT[self.pool[row, slots]]
            left = target[row] - self.values[row, slots] @ features
            torch.mv(root[row].mT, left, out=self._gradient[row])

    def _widen(self, rows: Tensor, bound: Tensor) -> Tensor:
        """Take into the pools what exceeds the bound outside them; return the problems in which any inactive
        feature does."""
        excess = self._gradient[rows].abs() / bound[rows, None]
        pool, active = self.pool[rows], self._small.active[rows]
        kept = torch.zeros_like(excess)
        kept.scatter_add_(1, pool.clamp(min=0), (pool >= 0).to(excess.dtype) + active.to(excess.dtype))
        unsolved = ((excess > 1.0 + active_set.SLACK) & (kept < 2)).any(1)
        excess.masked_fill_(kept > 0, -1.0)
        over = (excess > 1.0 + active_set.SLACK).sum(1)
        short = over > 0
        if bool(short.any()):
            wanted = max(LEAST_GROWTH, int(LIKELY * over[short].double().mean()))
            least = int((kept[short] == 0).sum(1).min())
            self._grow(rows[short], excess[short].topk(min(wanted, least), dim=1).indices)
        return rows[unsolved]

    def _grow(self, rows: Tensor, new: Tensor) -> None:
        """Take the features `new` (R, q) into the pools of the problems `rows` (R,)."""
        self.problems.reveal(rows, new)
        count = new.shape[1]
        self._make_room(int(self._filled[rows].max()) + count)
        slots = self._filled[rows, None] + torch.arange(count, device=rows.device)
        at = (rows[:, None], slots)
        self.pool[at] = new
        self._small.cross[at] = self.cross[rows].gather(1, new)
        self._filled[rows] += count
        used = int(self._filled[rows].max())
        products = self._products(rows, new, self.pool[rows, :used])
        self._small.gram[rows[:, None], slots, :used] = products
        every = torch.arange(used, device=rows.device)
        self._small.gram[rows[:, None, None], every[:, None], slots[:, None, :]] = products.mT
        self.work.products += count * int(self._filled[rows].sum())

    def _products(self, rows: Tensor, new: Tensor, pool: Tensor) -> Tensor:
        """Products (R, q, M) of the features `new` (R, q) with those of `pool` (R, M), 0 where it is
        empty."""
        root = self.problems.root
        others = pool.clamp(min=0)
        if root.is_cuda:
            part = root[rows]
            taken = (part.gather(2, i.unsqueeze(1).expand(-1, part.shape[1], -1)) for i in (new, others))
            products = next(taken).mT @ next(taken)
        else:
            each = zip(rows.tolist(), new, others, strict=True)
            products = torch.stack([root[row].mT[one] @ root[row].mT[two].mT for row, one, two in each])
        return products * (pool >= 0)[:, None, :]

    def _make_room(self, slots: int) -> None:
        """Have at least so many slots in every pool; it grows by half, so that little is copied."""
        have = self.pool.shape[1]
        if slots <= have:
            return
        room = max(slots, have * 3 // 2, FIRST_ROOM)
        pool = torch.full((len(self.pool), room), EMPTY, device=self.pool.device)
        pool[:, :have] = self.pool
        self.pool, self._small = pool, self._small.wider(room)
        self.values = self._small.values
