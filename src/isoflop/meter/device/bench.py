"""What a device really reaches: large matrix products in each data type, and large copies.

Both are the best of several bursts, since a ceiling is asked for and whatever else the machine does only
slows a burst down. Operands are normal random numbers: zeros draw less power, and so clock higher than any
training does.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import torch

from isoflop.meter.device.peaks import DTYPES

TORCH_DTYPES = dict(zip(DTYPES, (torch.float32, torch.float32, torch.bfloat16, torch.float16), strict=True))
SIZES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192, 16384)}
"""Rows and columns of the square operands: the largest that fits the time and the memory counts, if best."""
COPY_BYTES = {"cpu": 2**28, "cuda": 2**30}
"""Well beyond any last-level cache."""
BURST_SECONDS = 0.05
LARGEST_BURST = 1000


def runnable(device: torch.device) -> tuple[str, ...]:
    """The data types of DTYPES that training might use on `device`: bf16 and tf32 on a GPU begin with compute
    capability 8.0; fp16 autocast is for GPUs."""
    if device.type != "cuda":
        return ("fp32", "bf16")
    modern = torch.cuda.get_device_capability(device) >= (8, 0)
    return DTYPES if modern else ("fp32", "fp16")


def product_flops_per_second(device: torch.device, dtype: str, seconds: float) -> float:
    """Largest rate of C = A B over square sizes, 2 FLOPs a multiply-accumulate, in about `seconds`.

    Raises:
        ValueError: not even the smallest size fits into the device's memory.
    """
    sizes = SIZES[device.type]
    best, until = 0.0, time.perf_counter() + seconds
    with _tf32(dtype == "tf32"):
        for index, size in enumerate(sizes):
            left = until - time.perf_counter()
            flops = 2.0 * size**3
            if best and 3 * flops / best > left:
                break
            try:
                best = max(best, _product_rate(device, dtype, size, left / (len(sizes) - index)))
            except torch.OutOfMemoryError:
                break
    if not best:
        raise ValueError(
            f"three matrices of {sizes[0]} x {sizes[0]} do not fit into the device's free memory"
        )
    return best


def copy_bytes_per_second(device: torch.device, seconds: float) -> float:
    """Largest rate of a large copy in about `seconds`: bytes read + bytes written (what a processor fetches
    before it overwrites a line is not counted).

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
    return best_rate(lambda: target.copy_(source), 2.0 * size, _waiter(device), seconds)


def best_rate(work: Callable[[], object], amount: float, wait: Callable[[], object], seconds: float) -> float:
    """The largest amount a second over bursts of `work`, each of at least BURST_SECONDS where one call is
    shorter; at least one burst, then more until `seconds` are over. `wait` blocks until `work` is done."""
    began = time.perf_counter()
    work()
    once = _duration(work, wait, 1)
    repeats = min(LARGEST_BURST, max(1, math.ceil(BURST_SECONDS / once)))
    best = 0.0
    while not best or time.perf_counter() - began < seconds:
        best = max(best, repeats * amount / _duration(work, wait, repeats))
    return best


def _duration(work: Callable[[], object], wait: Callable[[], object], repeats: int) -> float:
    wait()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    wait()
    return time.perf_counter() - began


def _product_rate(device: torch.device, dtype: str, size: int, seconds: float) -> float:
    source = torch.Generator(device).manual_seed(0)
    kind = TORCH_DTYPES[dtype]
    a, b = (torch.randn(size, size, generator=source, device=device).to(kind) for _ in range(2))
    out = torch.empty_like(a)
    return best_rate(lambda: torch.mm(a, b, out=out), 2.0 * size**3, _waiter(device), seconds)


def _waiter(device: torch.device) -> Callable[[], object]:
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)


@contextlib.contextmanager
def _tf32(wanted: bool) -> Iterator[None]:
    """Products of fp32 tensors in tf32, or exactly in fp32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if wanted else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[int]:
    """Torch with `count` threads in here, or with as many as it has; gives their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
