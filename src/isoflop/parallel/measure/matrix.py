"""The dense payload: C = A B over workers that each hold a block of rows, as in High-Performance Linpack.

A product does n operations for each element that it exchanges: the payload that parallelises best.
"""

from __future__ import annotations

import itertools

import torch
import torch.distributed as dist

from isoflop.parallel.measure.clock import Clock
from isoflop.train.distributed import World

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""Largest residual of a product that counts as right."""


def blocks(length: int, parts: int) -> list[tuple[int, int]]:
    """Return (first, end) of `parts` blocks of a length, as equal as whole numbers allow."""
    edges = [length * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(edges))


class MatrixProduct:
    """One worker's rows of C = A B, all n x n.

    For each block of rows of B its owner broadcasts it, and everybody multiplies it by the matching columns
    of its rows of A: (N - 1)/N of B reaches every worker, and nobody ever holds all of it.

    Attributes:
        flops_per_step: 2 n^3, of all workers.
    """

    def __init__(self, n: int, dtype: torch.dtype, device: torch.device, world: World) -> None:
        """Draw the worker's rows of A and B."""
        self._world, self._blocks = world, blocks(n, world.size)
        first, end = self._blocks[world.rank]
        generator = torch.Generator(device).manual_seed(world.rank + 1)

        def draw() -> torch.Tensor:
            return torch.randn(end - first, n, generator=generator, device=device).to(dtype)

        self._a, self._b, self._c = draw(), draw(), torch.zeros(end - first, n, device=device, dtype=dtype)
        widest = max(last - start for start, last in self._blocks)
        self._coming = torch.empty(widest if world.size > 1 else 0, n, device=device, dtype=dtype)
        self.flops_per_step = 2.0 * n**3

    def run(self, steps: int, clock: Clock) -> None:
        """Multiply `steps` times. Collective."""
        for _ in range(steps):
            for owner, (first, end) in enumerate(self._blocks):
                block = self._block(owner, end - first, clock)
                # The first block overwrites C, the others add to it.
                self._c.addmm_(self._a[:, first:end], block, beta=float(owner > 0))

    def _block(self, owner: int, rows: int, clock: Clock) -> torch.Tensor:
        """Return a block of rows of B, after its owner has sent it to all."""
        block = self._b if owner == self._world.rank else self._coming[:rows]
        if self._world.size > 1:
            clock.exchange(lambda: dist.broadcast(block, owner), block.nbytes)
        return block

    def residual(self) -> float:
        """Return the largest |C x - A (B x)| over that of A (B x), for random x (Freivalds 1977). Collective.

        Raises:
            RuntimeError: the product is wrong.
        """
        n = self._a.shape[1]
        generator = torch.Generator(self._a.device).manual_seed(0)
        x = torch.randn(n, generator=generator, device=self._a.device)
        bx = torch.empty(n, device=self._a.device)
        for owner, (first, end) in enumerate(self._blocks):
            if owner == self._world.rank:
                bx[first:end] = self._b.float() @ x
            if self._world.size > 1:
                part = bx[first:end].contiguous()
                dist.broadcast(part, owner)
                bx[first:end] = part
        expected = self._a.float() @ bx
        off = float((self._c.float() @ x - expected).abs().max() / expected.abs().max())
        worst = max(self._world.all_gather(off))
        if not worst <= TOLERANCE[self._c.dtype]:
            raise RuntimeError(f"the matrix product is off by {worst:.2g}")
        return worst
