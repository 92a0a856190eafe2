"""Measured ceilings of a device: the rate of large matrix products in each data type, and of large copies.

Each is the best of several bursts: a ceiling is an upper bound, and other work on the machine can only slow a
burst down. Operands are normal random numbers, because zeros draw less power and let the GPU clock higher
than any training does.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from isoflop.meter.device.peaks import DTYPES

TORCH_DTYPES = dict(
    zip(
        DTYPES,
        (torch.float32, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn),
        strict=True,
    )
)
SIZES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192, 16384)}
"""Rows and columns of the square operands, tried in this order while time and memory allow."""
COPY_BYTES = {"cpu": 2**28, "cuda": 2**30}
"""Far larger than any last-level cache."""
BURST_SECONDS = 0.05
LARGEST_BURST = 1000


def supported_dtypes(device: torch.device) -> tuple[str, ...]:
    """Return those of DTYPES that training might use on `device`.

    bf16 and tf32 need a GPU of compute capability 8.0 or higher, fp8 8.9; fp16 autocast is for GPUs only.
    """
    if device.type != "cuda":
        return ("fp32", "bf16")
    capability = torch.cuda.get_device_capability(device)
    if capability < (8, 0):
        return ("fp32", "fp16")
    return DTYPES if capability >= (8, 9) else tuple(dtype for dtype in DTYPES if dtype != "fp8")


def matmul_flops_per_second(device: torch.device, dtype: str, seconds: float) -> float:
    """Return the highest rate of C = A B over square sizes, 2 FLOPs per MAC, in about `seconds`.

    Raises:
        ValueError: not even the smallest size fits into the device's memory.
    """
    sizes = SIZES[device.type]
    best, deadline = 0.0, time.perf_counter() + seconds
    with _tf32(dtype == "tf32"):
        for index, size in enumerate(sizes):
            left = deadline - time.perf_counter()
            flops = 2.0 * size**3
            # A size is measured by at least three products (warm-up, one timed call, one burst): if those
            # do not fit into the time left, a larger size does not either.
            if best and 3 * flops / best > left:
                break
            try:
                best = max(best, _matmul_rate(device, dtype, size, left / (len(sizes) - index)))
            except torch.OutOfMemoryError:
                break
    if not best:
        raise ValueError(
            f"three matrices of {sizes[0]} x {sizes[0]} do not fit into the device's free memory"
        )
    return best


def copy_bytes_per_second(device: torch.device, seconds: float) -> float:
    """Return the highest rate of a large copy, bytes read + bytes written, in about `seconds`.

    What a processor fetches before it overwrites a cache line (write-allocate) is not counted.

    Raises:
        ValueError: the two buffers do not fit into the device's memory.
    """
    size = COPY_BYTES[device.type]
    try:
        source = torch.ones(size // 4, dtype=torch.float32, device=device)
        target = torch.zeros_like(source)
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"two buffers of {size >> 20} MiB do not fit into the device's free memory"
        ) from error
    return best_rate(lambda: target.copy_(source), 2.0 * size, _synchronizer(device), seconds)


def best_rate(work: Callable[[], object], amount: float, wait: Callable[[], object], seconds: float) -> float:
    """Return the highest `amount` per second over bursts of `work`.

    The first call warms up and the second is timed to choose how many calls make a burst of BURST_SECONDS.
    Bursts are then repeated until `seconds` are over, at least once. `wait` blocks until `work` is done.
    """
    began = time.perf_counter()
    work()
    once = _duration(work, wait, 1)
    repeats = min(LARGEST_BURST, max(1, math.ceil(BURST_SECONDS / once)))
    best = 0.0
    while not best or time.perf_counter() - began < seconds:
        best = max(best, repeats * amount / _duration(work, wait, repeats))
    return best


def _duration(work: Callable[[], object], wait: Callable[[], object], repeats: int) -> float:
    """Return the seconds of `repeats` calls, from an idle device to an idle device."""
    wait()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    wait()
    return time.perf_counter() - began


def _matmul_rate(device: torch.device, dtype: str, size: int, seconds: float) -> float:
    # A generator of its own: measuring leaves the global random state alone.
    generator = torch.Generator(device).manual_seed(0)
    kind = TORCH_DTYPES[dtype]
    a, b = (torch.randn(size, size, generator=generator, device=device).to(kind) for _ in range(2))
    multiply = _scaled_product(a, b) if dtype == "fp8" else _product(a, b)
    return best_rate(multiply, 2.0 * size**3, _synchronizer(device), seconds)


def _product(a: Tensor, b: Tensor) -> Callable[[], object]:
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)


def _scaled_product(a: Tensor, b: Tensor) -> Callable[[], object]:
    """Return the product of two fp8 matrices into bf16, with a scale for each: what fp8 training calls.

    cuBLAS wants the second operand column by column.
    """
    one = torch.ones((), device=a.device)
    out = torch.empty(a.shape, dtype=torch.bfloat16, device=a.device)
    return lambda: torch._scaled_mm(a, b.t(), scale_a=one, scale_b=one, out_dtype=out.dtype, out=out)


def _synchronizer(device: torch.device) -> Callable[[], object]:
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)


@contextlib.contextmanager
def _tf32(enabled: bool) -> Iterator[None]:
    """Compute fp32 products in tf32, or exactly in fp32, inside the context."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if enabled else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def torch_threads(count: int | None) -> Iterator[int]:
    """Set torch's number of threads inside the context (None: leave it as it is); yield the number in use."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
