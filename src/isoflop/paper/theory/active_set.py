"""The lasso among a few features, exactly, for a batch of problems: the inner search of lasso.py.

Within a set of signs the problem is a linear system in the active features. Every round takes a step towards
its solution, which stops where a coefficient reaches zero, and that feature leaves; features whose gradient
exceeds the bound join. The objective falls with every step, so the search ends (feature-sign search, Lee,
Battle, Raina, Ng 2006). The inverse of the active features' products is kept from round to round and gains or
loses several features at a time (block inversion), which costs a pass over it where a factorisation costs
K^3/3. A step is taken from the gradient at the present coefficients, so that rounding in the inverse mends
itself; where it does not, the inverse is made anew.

Shapes: B problems, M features of which K are active, q that join or leave at once.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

SLACK = 1e-9
"""A feature joins where its gradient exceeds the bound by this share; it bounds the error left."""
SETTLED = 1e-11
"""An active feature's gradient is at the bound when it is off by less than this share."""
MOST_JOIN = 32
MOST_ROUNDS = 10_000


@dataclasses.dataclass
class Small:
    """B problems: minimise b'Gb/2 - c'b + bound ||b||_1. `solve` changes all but `gram` and `cross`.

    `gram` (B, M, M), `cross` (B, M), `values` (B, M) the coefficients, `signs` (B, M) those of active
    features, `active` (B, M), `inverse` (B, M, M) that of the active features' products, zero elsewhere.
    """

    gram: Tensor
    cross: Tensor
    values: Tensor
    signs: Tensor
    active: Tensor
    inverse: Tensor

    def wider(self, size: int) -> Small:
        """A copy with `size` slots; the new ones are empty."""

        def wide(old: Tensor) -> Tensor:
            new = old.new_zeros(len(old), *(size for _ in old.shape[1:]))
            new[tuple(slice(length) for length in old.shape)] = old
            return new

        return Small(**{name: wide(value) for name, value in vars(self).items()})

    def take(self, rows: Tensor, slots: Tensor) -> Small:
        """A copy of the slots (R, q) of the problems `rows` (R,)."""
        line, square = _places(rows, slots)
        return Small(
            **{name: value[line if value.ndim == 2 else square] for name, value in vars(self).items()}
        )

    def put(self, rows: Tensor, slots: Tensor, part: Small) -> None:
        """Write what was taken back."""
        line, square = _places(rows, slots)
        self.values[line], self.signs[line], self.active[line] = part.values, part.signs, part.active
        self.inverse[square] = part.inverse


def _places(rows: Tensor, slots: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    return (rows[:, None], slots), (rows[:, None, None], slots[:, :, None], slots[:, None, :])


def solve(small: Small, bound: Tensor, rank: int) -> tuple[Tensor, float]:
    """Solve for `bound` (B,); return which problems (B,) failed, as more features than `rank` or dependent
    ones would be active, and the FLOPs that the active features needed.

    Raises:
        AssertionError: the search did not end.
    """
    failed = torch.zeros(len(bound), dtype=torch.bool, device=bound.device)
    full, rebuilt = failed, failed
    flops, limit = 0.0, bound[:, None]
    filled = (small.cross != 0).sum(1).double()
    for _ in range(MOST_ROUNDS):
        gradient = small.cross - (small.gram @ small.values.unsqueeze(-1)).squeeze(-1)
        off = (_miss(small, gradient, limit).abs().amax(1) > SETTLED * bound) & ~failed
        inexact = off & full
        off = off & ~(inexact & rebuilt)
        again = inexact & ~rebuilt
        if bool(again.any()):
            flops += _rebuild(small, again)
            rebuilt = rebuilt | again
        joined, broken = _join(small, gradient, limit, ~failed & ~off, rank)
        failed = failed | broken
        busy = (off | (joined > 0)) & ~failed
        if not bool(busy.any()):
            return failed, flops
        left = _step(small, _miss(small, gradient, limit) * busy[:, None])
        full = busy & (left == 0)
        count = small.active.sum(1).double()
        work = 2 * filled * count + 2 * count**2 * (1 + 2 * joined + left)
        flops += float(work[busy].sum())
    raise AssertionError("the active-set search did not end")


def _miss(small: Small, gradient: Tensor, limit: Tensor) -> Tensor:
    """How far active features' gradients (B, M) are from the bound; 0 for others."""
    return torch.where(small.active, gradient - limit * small.signs, 0.0)


def _step(small: Small, miss: Tensor) -> Tensor:
    """Step towards the solution for the active features; return how many (B,) had to leave."""
    wanted = small.values + (small.inverse @ miss.unsqueeze(-1)).squeeze(-1) * small.active
    crossing = small.active & (wanted * small.signs <= 0)
    share = torch.where(crossing, small.values / (small.values - wanted), torch.inf)
    share = share.nan_to_num(0.0, posinf=torch.inf)
    step = share.amin(1, keepdim=True).clamp(max=1.0)
    leaving = crossing & (share <= step)
    small.values.copy_(torch.where(leaving, 0.0, small.values + step * (wanted - small.values)))
    if bool(leaving.any()):
        _leave(small, leaving)
    return leaving.sum(1)


def _join(small: Small, gradient: Tensor, limit: Tensor, ready: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Let features join in problems that are `ready`; return how many (B,) did, and where (B,) none can, as
    the rank is used up or features depend on one another.

    With J the joining, u = H G_J and S = G_JJ - G_J' u, the inverse H gains [u; -1] S^-1 [u; -1]'.
    """
    excess = torch.where(small.active, 0.0, gradient.abs()) / limit * ready[:, None]
    over = (excess > 1.0 + SLACK).sum(1)
    most = int(over.amax())
    if most == 0:
        return over, over > 0
    room = (rank - small.active.sum(1)).clamp(min=0)
    top = excess.topk(min(MOST_JOIN, most), dim=1)
    slots, place = top.indices, torch.arange(top.indices.shape[1], device=room.device)
    joins = (top.values > 1.0 + SLACK) & (place < ((room + 1) // 2)[:, None])
    columns = small.gram.gather(2, _across(slots, small)) * joins[:, None, :]
    reach = small.inverse @ columns
    factor, broken = _factor(_at(columns, slots) - columns.mT @ reach, joins)
    reach.scatter_(1, slots[:, None, :], -joins[:, None, :].to(reach.dtype))
    stuck = broken | ((over > 0) & (room == 0))
    joins = joins & ~stuck[:, None]
    root = torch.linalg.solve_triangular(factor.mT, reach, upper=True, left=False)
    root = torch.where(stuck[:, None, None], 0.0, root)
    small.inverse.baddbmm_(root, root.mT)
    small.active.scatter_(1, slots, joins | small.active.gather(1, slots))
    signs = torch.where(joins, gradient.gather(1, slots).sign(), small.signs.gather(1, slots))
    small.signs.scatter_(1, slots, signs)
    return joins.sum(1), stuck


def _leave(small: Small, leaving: Tensor) -> None:
    """Let the features `leaving` (B, M) go. With L those, the inverse H loses H_L H_LL^-1 H_L'."""
    some = leaving.to(torch.int8).topk(int(leaving.sum(1).amax()), dim=1)
    slots, gone = some.indices, some.values > 0
    columns = small.inverse.gather(2, _across(slots, small)) * gone[:, None, :]
    factor, broken = _factor(_at(columns, slots), gone)
    root = torch.linalg.solve_triangular(factor.mT, columns, upper=True, left=False)
    small.inverse.baddbmm_(root, root.mT, alpha=-1)
    small.active &= ~leaving
    if bool(broken.any()):
        _rebuild(small, broken)


def _across(slots: Tensor, small: Small) -> Tensor:
    """`slots` (B, q) as an index (B, M, q) of the columns of a square."""
    return slots.unsqueeze(1).expand(-1, small.gram.shape[1], -1)


def _at(columns: Tensor, slots: Tensor) -> Tensor:
    """The rows `slots` (B, q) of `columns` (B, M, q)."""
    return columns.gather(1, slots.unsqueeze(2).expand(-1, -1, columns.shape[2]))


def _factor(square: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky factor of the `used` (B, q) part of `square` (B, q, q), 1 elsewhere; where (B,) there is
    none."""
    square = square * (used[:, :, None] & used[:, None, :])
    square.diagonal(dim1=1, dim2=2).add_((~used).to(square.dtype))
    factor, info = torch.linalg.cholesky_ex(square)
    return factor, info > 0


def _rebuild(small: Small, which: Tensor) -> float:
    """Make the inverse anew for the problems `which` (B,); return the FLOPs it needed."""
    rows = which.nonzero().squeeze(1)
    active = small.active[rows]
    factor, _ = _factor(small.gram[rows], active)
    both = active[:, :, None] & active[:, None, :]
    small.inverse[rows] = torch.cholesky_inverse(factor) * both
    return float((active.sum(1).double() ** 3).sum())
