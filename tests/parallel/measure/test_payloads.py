"""The two payloads that are not training, against references, and the clock that splits their time."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
from scipy import sparse

from isoflop.parallel.measure import sizes
from isoflop.parallel.measure.clock import Clock
from isoflop.parallel.measure.gradient import ConjugateGradient, nonzeros, stencil
from isoflop.parallel.measure.matrix import MatrixProduct, blocks
from isoflop.train.distributed import SINGLE, World

CPU = torch.device("cpu")


def _tridiagonal(n: int) -> sparse.csr_matrix:
    return sparse.diags([np.ones(n - 1), np.ones(n), np.ones(n - 1)], [-1, 0, 1]).tocsr()


def test_the_stencil_is_hpcgs_matrix_whoever_holds_which_planes() -> None:
    side, planes = 4, 5
    # Neighbours in all three directions are the Kronecker product of those in each.
    near = sparse.kron(_tridiagonal(planes), sparse.kron(_tridiagonal(side), _tridiagonal(side)))
    reference = (27 * sparse.identity(side * side * planes) - near).toarray()
    plane = side * side
    for first, end in ((0, planes), (0, 2), (2, 5)):
        matrix, neighbours = stencil(side, planes, first, end, CPU)
        padded = np.zeros((plane * (end - first), plane * (end - first + 2)))
        low, high = max(0, first - 1), min(planes, end + 1)
        padded[:, plane * (low - first + 1) : plane * (high - first + 1)] = reference[
            plane * first : plane * end, plane * low : plane * high
        ]
        np.testing.assert_array_equal(matrix.to_dense().numpy(), padded)
        np.testing.assert_array_equal(26 - neighbours.numpy(), reference[plane * first : plane * end].sum(1))
    assert np.count_nonzero(reference) == nonzeros(side, planes)


def test_conjugate_gradient_solves_the_system_whose_solution_is_all_ones() -> None:
    work = ConjugateGradient(16, 16, CPU, SINGLE)
    assert work.residual() < 1e-4
    torch.testing.assert_close(work._x, torch.ones(16**3), atol=1e-3, rtol=0)
    assert work.flops_per_step == 2 * 46**3 + 10 * 16**3


def test_a_wrong_sparse_product_is_refused() -> None:
    work = ConjugateGradient(16, 16, CPU, SINGLE)
    work._matrix.values()[100] += 1.0
    with pytest.raises(RuntimeError, match="the sparse product is off by 1"):
        work.residual()


def test_the_matrix_product_is_right_and_a_wrong_one_is_refused() -> None:
    work = MatrixProduct(65, torch.float32, CPU, SINGLE)
    work.run(2, Clock(SINGLE, CPU, split=False))
    torch.testing.assert_close(work._c, work._a @ work._b)
    assert work.residual() < 1e-5
    assert work.flops_per_step == 2 * 65**3
    work._c[3] *= 1.5
    with pytest.raises(RuntimeError, match="the matrix product is off by"):
        work.residual()


@pytest.mark.parametrize(("length", "parts"), [(7, 3), (8, 4), (5, 5)])
def test_blocks_cover_a_length_and_differ_by_one_at_most(length: int, parts: int) -> None:
    edges = blocks(length, parts)
    assert [first for first, _ in edges] == [0, *(end for _, end in edges[:-1])]
    assert edges[-1][1] == length
    assert max(end - first for first, end in edges) - min(end - first for first, end in edges) <= 1


def test_weak_scaling_gives_every_worker_the_work_of_one() -> None:
    assert sizes.weak("training", 64, 8) == 512
    assert sizes.weak("cg", 48, 8) == 384
    assert sizes.weak("matmul", 1000, 8) == 2000


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A clock whose n-th reading is n^2, so that every lap is another; what waits is listed."""
    readings, events = (float(n * n) for n in itertools.count()), list[str]()
    monkeypatch.setattr(time, "perf_counter", lambda: next(readings))
    monkeypatch.setattr(torch.distributed, "barrier", lambda group: events.append("barrier"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append("device"))
    return events


def test_the_parts_of_a_timing_add_up_to_its_wall_time(ticking: list[str]) -> None:
    clock = Clock(World(0, 2, object()), CPU, split=True)  # type: ignore[arg-type]
    clock.start()
    ticking.clear()
    for _ in range(3):
        clock.exchange(lambda: ticking.append("exchange"), 40)
    timing = clock.stop()
    parts = timing.compute_seconds, timing.communication_seconds, timing.waiting_seconds
    assert sum(parts) == timing.wall_seconds
    assert min(parts) > 0
    assert ticking == [*(["barrier", "exchange"] * 3), "barrier"]
    assert (clock.exchanges, clock.exchanged_bytes) == (3, 120)


def test_a_gpu_is_waited_for_before_each_stamp(ticking: list[str]) -> None:
    clock = Clock(World(0, 2, object()), torch.device("cuda", 0), split=True)  # type: ignore[arg-type]
    clock.start()
    ticking.clear()
    clock.exchange(lambda: ticking.append("exchange"), 40)
    clock.stop()
    assert ticking == ["device", "barrier", "exchange", "device", "device", "barrier"]


def test_without_barriers_an_exchange_is_only_called(ticking: list[str]) -> None:
    clock = Clock(World(0, 2, object()), torch.device("cuda", 0), split=False)  # type: ignore[arg-type]
    clock.start()
    ticking.clear()
    clock.exchange(lambda: ticking.append("exchange"), 40)
    assert ticking == ["exchange"]
    assert clock.stop().communication_seconds == 0
