"""Arithmetic of the ceilings with a simulated clock; what a device reaches is not tested."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from isoflop.meter.device import bench

CPU = torch.device("cpu")


class Clock:
    """Time that passes only when work is done; work is queued and takes effect when it is waited for."""

    def __init__(self, *costs: float) -> None:
        self.now, self.queued, self.costs = 0.0, 0, costs
        self.bursts: list[int] = []

    def work(self) -> None:
        self.queued += 1

    def wait(self) -> None:
        if self.queued:
            cost = self.costs[min(len(self.bursts), len(self.costs) - 1)]
            self.now += self.queued * cost
            self.bursts.append(self.queued)
        self.queued = 0

    def perf_counter(self) -> float:
        return self.now


def test_the_best_burst_counts_and_queued_work_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0.5, 0.01, 0.01, 0.008, 0.02)
    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    rate = bench.best_rate(clock.work, 4.0, clock.wait, seconds=0.7)
    assert rate == pytest.approx(4.0 / 0.008), "the warm-up, at 0.5 s, and slower bursts do not count"
    assert clock.bursts[0] == clock.bursts[1] == 1
    assert set(clock.bursts[2:]) == {5}, "bursts of 0.05 s at 0.01 s a call"


def test_work_longer_than_the_time_given_is_still_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(3.0)
    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    assert bench.best_rate(clock.work, 6.0, clock.wait, seconds=0.1) == pytest.approx(2.0)
    assert sum(clock.bursts) == 3


@pytest.mark.parametrize("dtype", bench.supported_dtypes(CPU))
def test_a_multiply_accumulate_is_two_flops(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setitem(bench.SIZES, "cpu", (32,))
    seen: list[float] = []

    def best_rate(work: object, amount: float, wait: object, seconds: float) -> float:
        seen.append(amount)
        return amount

    monkeypatch.setattr(bench, "best_rate", best_rate)
    assert bench.matmul_flops_per_second(CPU, dtype, 0.01) == 2 * 32**3 == seen[0]


def test_a_copy_counts_what_is_read_and_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.COPY_BYTES, "cpu", 4096)
    monkeypatch.setattr(bench, "best_rate", lambda work, amount, wait, seconds: (work(), amount)[1])
    assert bench.copy_bytes_per_second(CPU, 0.01) == 2 * 4096


def test_sizes_fill_the_tiles_of_matrix_units_and_buffers_exceed_every_cache() -> None:
    assert {
        device: tuple(n << i for i in range(3)) for device, n in (("cpu", 1 << 10), ("cuda", 1 << 12))
    } == bench.SIZES
    assert min(bench.COPY_BYTES.values()) >= 256 << 20
    assert all(size % 4 == 0 for size in bench.COPY_BYTES.values())


@pytest.mark.parametrize(("dtype", "precision"), [("tf32", "high"), ("fp32", "highest"), ("bf16", "highest")])
@pytest.mark.parametrize("before", ["high", "highest"])
def test_only_tf32_is_measured_in_tf32(
    monkeypatch: pytest.MonkeyPatch, dtype: str, precision: str, before: str
) -> None:
    monkeypatch.setitem(bench.SIZES, "cpu", (16,))
    seen: list[str] = []

    def rate(device: torch.device, dtype: str, size: int, seconds: float) -> float:
        seen.append(torch.get_float32_matmul_precision())
        return 1e3

    monkeypatch.setattr(bench, "_matmul_rate", rate)
    found = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(before)
    try:
        bench.matmul_flops_per_second(CPU, dtype, 0.01)
        assert torch.get_float32_matmul_precision() == before
    finally:
        torch.set_float32_matmul_precision(found)
    assert seen == [precision]


def test_sizes_grow_while_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.SIZES, "cpu", (16, 32, 64))
    sizes: list[int] = []

    def rate(device: torch.device, dtype: str, size: int, seconds: float) -> float:
        sizes.append(size)
        return 1e3

    monkeypatch.setattr(bench, "_matmul_rate", rate)
    bench.matmul_flops_per_second(CPU, "fp32", 300.0)
    assert sizes == [16, 32], "3 x 2 x 64^3 FLOPs at 1e3 a second do not fit 300 s"


def test_measuring_changes_neither_torch_settings_nor_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.SIZES, "cpu", (16,))
    state, precision = torch.get_rng_state(), torch.get_float32_matmul_precision()
    before = torch.get_num_threads()
    with bench.torch_threads(2) as count:
        assert count == torch.get_num_threads() == 2
        bench.matmul_flops_per_second(CPU, "fp32", 0.001)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_float32_matmul_precision() == precision
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("left", "measured"), [(2.99, [2]), (3.01, [2, 4])])
def test_a_size_is_tried_if_three_of_its_products_fit(
    monkeypatch: pytest.MonkeyPatch, left: float, measured: list[int]
) -> None:
    """Products of 4 x 4 are 128 FLOPs, a second at the rate of the size before."""
    monkeypatch.setitem(bench.SIZES, "cpu", (2, 4))
    now, sizes = [0.0], list[int]()

    def rate(device: torch.device, dtype: str, size: int, seconds: float) -> float:
        sizes.append(size)
        now[0] = 10.0 - left
        return 128.0

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(bench, "_matmul_rate", rate)
    assert bench.matmul_flops_per_second(CPU, "fp32", 10.0) == 128.0
    assert sizes == measured


# ---- bursts, memory and what a device is


@pytest.mark.parametrize(
    ("cost", "burst"),
    [(0.01, 5), (0.012, 5), (0.0125, 4), (0.06, 1), (1e-6, 1000), (4.9e-5, 1000), (5.1e-5, 981)],
)
def test_a_burst_takes_a_twentieth_of_a_second_and_a_thousand_calls_at_most(
    monkeypatch: pytest.MonkeyPatch, cost: float, burst: int
) -> None:
    clock = Clock(cost)
    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    assert bench.best_rate(clock.work, 4.0, clock.wait, seconds=0.0) == pytest.approx(4.0 / cost)
    assert clock.bursts == [1, 1, burst]


def test_bursts_go_on_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of 1/16 s: two of them, and then bursts of one from 1/8 s on until 1/2 s."""
    clock = Clock(0.0625)
    monkeypatch.setattr(time, "perf_counter", clock.perf_counter)
    bench.best_rate(clock.work, 4.0, clock.wait, seconds=0.5)
    assert clock.now == 0.5


def full(*arguments: object, **settings: object) -> float:
    raise torch.OutOfMemoryError


def test_a_size_that_does_not_fit_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.SIZES, "cpu", (2, 4, 8))

    def rate(device: torch.device, dtype: str, size: int, seconds: float) -> float:
        return full() if size > 2 else 1e9

    monkeypatch.setattr(bench, "_matmul_rate", rate)
    assert bench.matmul_flops_per_second(CPU, "fp32", 10.0) == 1e9
    monkeypatch.setattr(bench, "_matmul_rate", full)
    with pytest.raises(ValueError, match=r"three matrices of 2 x 2 do not fit"):
        bench.matmul_flops_per_second(CPU, "fp32", 10.0)
    monkeypatch.setattr(torch, "ones", full)
    with pytest.raises(ValueError, match=r"two buffers of 256 MiB do not fit"):
        bench.copy_bytes_per_second(CPU, 0.01)


def test_each_size_gets_its_share_of_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.SIZES, "cpu", (2, 4, 8))
    now, given = [100.0], list[float]()

    def rate(device: torch.device, dtype: str, size: int, seconds: float) -> float:
        given.append(seconds)
        now[0] += 2.0
        return 1e9

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(bench, "_matmul_rate", rate)
    bench.matmul_flops_per_second(CPU, "fp32", 12.0)
    assert given == [12 / 3, 10 / 2, 8 / 1]


@pytest.mark.parametrize(
    ("capability", "dtypes"),
    [
        ((7, 5), ("fp32", "fp16")),
        ((8, 0), ("fp32", "tf32", "bf16", "fp16")),
        ((8, 6), ("fp32", "tf32", "bf16", "fp16")),
        ((8, 9), ("fp32", "tf32", "bf16", "fp16", "fp8")),
        ((9, 0), ("fp32", "tf32", "bf16", "fp16", "fp8")),
    ],
)
def test_the_dtypes_of_a_gpu_are_those_of_its_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtypes: tuple[str, ...]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert bench.supported_dtypes(torch.device("cuda", 0)) == dtypes
    assert bench.supported_dtypes(CPU) == ("fp32", "bf16")


def test_a_gpu_is_waited_for_and_a_processor_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    bench._synchronizer(CPU)()
    assert waited == []
    bench._synchronizer(torch.device("cuda", 1))()
    assert waited == [torch.device("cuda", 1)]


def test_the_product_of_fp8_is_that_of_the_rounded_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A.B^T into bf16, which rounds to 8 bits; the scales are 1."""
    made: list[torch.Tensor] = []

    def rate(work: Callable[[], torch.Tensor], amount: float, wait: object, seconds: float) -> float:
        made.append(work())
        return amount

    monkeypatch.setattr(bench, "best_rate", rate)
    assert bench._matmul_rate(CPU, "fp8", 64, 0.1) == 2 * 64**3
    generator = torch.Generator(CPU).manual_seed(0)
    a, b = (torch.randn(64, 64, generator=generator).to(torch.float8_e4m3fn).float() for _ in range(2))
    assert made[0].dtype == torch.bfloat16
    torch.testing.assert_close(made[0].float(), a @ b.T, rtol=2**-8, atol=0.05)


def test_operands_are_squares_of_normal_numbers_in_the_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.Tensor] = []

    def mm(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
        made.extend((a, b, out))

    monkeypatch.setattr(torch, "mm", mm)
    monkeypatch.setattr(bench, "best_rate", lambda work, amount, wait, seconds: (work(), amount)[1])
    assert bench._matmul_rate(CPU, "bf16", 64, 0.1) == 2 * 64**3
    a, b, _ = made
    assert {tuple(each.shape) for each in made} == {(64, 64)}
    assert {each.dtype for each in made} == {torch.bfloat16}
    assert float(a.float().std()) == pytest.approx(1, abs=0.1), "zeros would draw less power"
    assert not torch.equal(a, b)


def test_a_number_of_threads_that_is_not_given_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    with bench.torch_threads(None) as count:
        assert count == before
