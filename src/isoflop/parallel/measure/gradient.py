"""The sparse payload: conjugate gradients on the 27-point stencil, as in the HPCG benchmark.

HPCG (Dongarra, Heroux and Luszczek 2016) solves A x = b where A has 26 on its diagonal and -1 for each of the
up to 26 neighbours of a point of a grid, and x is all ones. Here without its multigrid preconditioner, which
is one more sparse product of the same kind, and in fp32. An element that is read takes part in few
operations, and every iteration has two sums over all workers: the payload that parallelises worst.
"""

from __future__ import annotations

import itertools
import warnings

import torch
import torch.distributed as dist
from torch import Tensor

from isoflop.parallel.measure.clock import Clock
from isoflop.parallel.measure.matrix import blocks
from isoflop.train.distributed import World

ITERATIONS = 50
"""Of one solution, as in HPCG; after them the next one begins at zero."""
DIAGONAL = 26.0


def nonzeros(side: int, planes: int) -> int:
    """Return the entries of the matrix: 3 neighbours in each direction, and 2 at an end."""
    return (3 * side - 2) ** 2 * (3 * planes - 2)


class ConjugateGradient:
    """One worker's planes of the grid, with a plane of each neighbour (the halo) beside them.

    Attributes:
        flops_per_step: of an iteration, of all workers: the sparse product, two dot products and three
            updates of a vector.
    """

    def __init__(self, side: int, planes: int, device: torch.device, world: World) -> None:
        """Make the worker's rows of the matrix, and its part of the right-hand side."""
        self._world, self._plane = world, side * side
        first, end = blocks(planes, world.size)[world.rank]
        self._matrix, neighbours = stencil(side, planes, first, end, device)
        self._b = (DIAGONAL - neighbours).float()
        self._rr = torch.zeros((), device=device)  # |r|^2 over all workers
        self._x, self._r, self._q = (torch.zeros_like(self._b) for _ in range(3))
        # The worker's planes lie between those of its neighbours, so that the product reads one vector.
        self._p_and_halo = torch.zeros((end - first + 2) * self._plane, device=device)
        self._p = self._p_and_halo[self._plane : -self._plane]
        self.flops_per_step = 2.0 * nonzeros(side, planes) + 10.0 * self._plane * planes

    def run(self, steps: int, clock: Clock) -> None:
        """Take `steps` iterations, from zero again after each solution. Collective."""
        for step in range(steps):
            if step % ITERATIONS == 0:
                self._restart(clock)
            self._product(clock)
            # Numbers stay on the device: reading them would make the host wait for a GPU twice an iteration.
            rate = self._rr / self._dot(self._p, self._q, clock)
            self._x.addcmul_(rate, self._p)
            self._r.addcmul_(rate, self._q, value=-1)
            before, self._rr = self._rr, self._dot(self._r, self._r, clock)
            self._p.mul_(self._rr / before).add_(self._r)

    def _restart(self, clock: Clock) -> None:
        self._x.zero_()
        self._r.copy_(self._b)
        self._p.copy_(self._r)
        self._rr = self._dot(self._r, self._r, clock)

    def _product(self, clock: Clock) -> None:
        """Set q = A p, after the halo has come from the neighbours."""
        if self._world.size > 1:
            clock.exchange(self._exchange_halo, 4 * self._plane * self._neighbours)
        torch.mv(self._matrix, self._p_and_halo, out=self._q)

    @property
    def _neighbours(self) -> int:
        return (self._world.rank > 0) + (self._world.rank < self._world.size - 1)

    def _exchange_halo(self) -> None:
        """Send the outer planes to the neighbours and receive theirs. Collective."""
        whole, plane, rank = self._p_and_halo, self._plane, self._world.rank
        ends = [(rank - 1, whole[:plane], self._p[:plane]), (rank + 1, whole[-plane:], self._p[-plane:])]
        messages = [
            dist.P2POp(operation, tensor, other)
            for other, coming, going in ends
            if 0 <= other < self._world.size
            for operation, tensor in ((dist.isend, going), (dist.irecv, coming))
        ]
        for message in dist.batch_isend_irecv(messages):
            message.wait()

    def _dot(self, one: Tensor, other: Tensor, clock: Clock) -> Tensor:
        """Return the scalar product over all workers."""
        product = torch.dot(one, other)
        if self._world.size > 1:
            clock.exchange(lambda: dist.all_reduce(product), product.nbytes)
        return product

    def residual(self) -> float:
        """Return |b - A x| / |b| after one solution, x all ones being exact. Collective.

        Raises:
            RuntimeError: the product is wrong: A times all ones is not b, which was counted and not
                multiplied.
        """
        clock = Clock(self._world, self._b.device, split=False)
        self._p.fill_(1.0)
        self._product(clock)
        off = max(self._world.all_gather(float((self._q - self._b).abs().max())))
        if off > 1e-3:
            raise RuntimeError(f"the sparse product is off by {off:.2g}")
        self.run(ITERATIONS, clock)
        self._p.copy_(self._x)
        self._product(clock)
        left = self._b - self._q
        squares = self._dot(left, left, clock) / self._dot(self._b, self._b, clock)
        return float(squares.sqrt())


def stencil(side: int, planes: int, first: int, end: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the rows of the matrix for planes `first` to `end`, and the neighbours of each of their points.

    Rows are the points of these planes; columns are theirs, between those of one plane before and one after.
    """
    plane = side * side
    point = torch.arange((end - first) * plane, device=device)
    z, y, x = point // plane + first, point % plane // side, point % side
    columns = torch.empty(len(point), 27, dtype=torch.int64, device=device)
    inside = torch.empty(len(point), 27, dtype=torch.bool, device=device)
    # In the order of the columns, as a compressed row wants them.
    for entry, (dz, dy, dx) in enumerate(itertools.product((-1, 0, 1), repeat=3)):
        inside[:, entry] = _within(z + dz, planes) & _within(y + dy, side) & _within(x + dx, side)
        columns[:, entry] = point + plane + dz * plane + dy * side + dx
    counts = inside.sum(1)
    values = torch.full((27,), -1.0, device=device)
    values[13] = DIAGONAL
    rows = torch.zeros(len(point) + 1, dtype=torch.int64, device=device)
    torch.cumsum(counts, 0, out=rows[1:])
    with warnings.catch_warnings():
        # That compressed rows are a beta feature of torch; this product is checked in `residual`.
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        matrix = torch.sparse_csr_tensor(
            rows.int(),
            columns[inside].int(),
            values.expand(len(point), 27)[inside],
            size=(len(point), len(point) + 2 * plane),
            device=device,
            check_invariants=False,
        )
    return matrix, counts - 1


def _within(places: Tensor, length: int) -> Tensor:
    return (places >= 0) & (places < length)
