"""Two measurements of a device's ceilings in turn, and what speaks against them.

Other work on the device lowers a ceiling, and every share of it that a run later records is then too high.
Two results that differ show work that came or went; load and heat beside them, work that went on throughout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from isoflop import record
from isoflop.meter.device.conditions import Load, Reading, Watch

PASSES = 2
LARGEST_DIFFERENCE = 0.05
LARGEST_LOAD = 0.10


@dataclasses.dataclass(frozen=True)
class Product:
    """Rate of a matrix product, and the clock and the faults (such as heat) right after it."""

    flops_per_second: float
    clock_mhz: Reading
    faults: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Pass:
    """One measurement of all ceilings; `products` has an entry per data type."""

    bytes_per_second: float
    products: dict[str, Product]


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Both passes of one device with the load of others meanwhile, and the device's highest clock."""

    passes: tuple[Pass, ...]
    load: Load
    highest_clock_mhz: Reading


def measure(
    dtypes: Sequence[str],
    watch: Watch,
    product_rate: Callable[[str], float],
    copy_rate: Callable[[], float],
) -> Measurement:
    """Measure every ceiling, and then every ceiling once more.

    Args:
        dtypes: data types of the matrix products.
        watch: observer of the device.
        product_rate: measures FLOPs per second in a data type.
        copy_rate: measures bytes per second.
    """
    passes = []
    for _ in range(PASSES):
        rate = copy_rate()
        # The arguments are evaluated in order: the clock is that of the product, still warm from it.
        products = {each: Product(product_rate(each), watch.clock_mhz(), watch.faults()) for each in dtypes}
        passes.append(Pass(rate, products))
    return Measurement(tuple(passes), watch.load(), watch.highest_clock_mhz())


def ceiling(
    measured: Measurement, dtype: str, *, device: str, threads: int, measured_at: str
) -> record.Ceiling:
    """Return the ceiling in one data type: the higher of both results, with what was seen beside it.

    Args:
        measured: both passes.
        dtype: data type of the matrix product.
        device: name of the device.
        threads: number of threads, 0 on a GPU.
        measured_at: date and time, ISO 8601.
    """
    products = [each.products[dtype] for each in measured.passes]
    fastest = max(products, key=lambda product: product.flops_per_second)
    other_load, no_load = measured.load.share
    clock_mhz, no_clock = fastest.clock_mhz
    highest_clock_mhz, no_highest = measured.highest_clock_mhz
    return record.Ceiling(
        device=device,
        dtype=dtype,
        threads=threads,
        flops_per_second=fastest.flops_per_second,
        bytes_per_second=max(each.bytes_per_second for each in measured.passes),
        measured_at=measured_at,
        **record.known(passes_apart=max(_apart(measured, dtype), _apart(measured, None))),
        other_load=other_load,
        other_load_reason=no_load,
        clock_mhz=clock_mhz,
        clock_mhz_reason=no_clock,
        highest_clock_mhz=highest_clock_mhz,
        highest_clock_mhz_reason=no_highest,
    )


def disturbances(measured: Measurement, dtypes: Sequence[str]) -> tuple[str, ...]:
    """Return what speaks against the ceilings, a clause each; () if nothing does."""
    clauses = [
        f"two measurements of {name} are {apart:.0%} apart"
        for name, dtype in (("the copy", None), *((f"the product in {each}", each) for each in dtypes))
        if (apart := _apart(measured, dtype)) > LARGEST_DIFFERENCE
    ]
    share = measured.load.share[0]
    if share is not None and share > LARGEST_LOAD:
        clauses.append(f"{measured.load.subject} used {share:.0%} of the device")
    faults = dict.fromkeys(f for p in measured.passes for each in p.products.values() for f in each.faults)
    if faults:
        clauses.append(f"its clocks were held back ({', '.join(faults)})")
    return tuple(clauses)


def _apart(measured: Measurement, dtype: str | None) -> float:
    """Return how much lower the lower result is, as a share of the higher; of the copy if dtype is None."""
    rates = [
        each.bytes_per_second if dtype is None else each.products[dtype].flops_per_second
        for each in measured.passes
    ]
    return 1 - min(rates) / max(rates)
