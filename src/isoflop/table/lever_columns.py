"""Columns of the table that levers add: which lever, work before the run, what the network costs in use.

Each is a function of a record; None where it is unknown. Of a baseline there is no work before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isoflop.record import Record

NONE = "none"
"""The lever of a baseline."""
LEVER, SETTINGS = "lever", "lever_settings"
NOT_SHOWN = ("path", "sha256", "search_id", "baseline_width", "baseline_depth")


def settings(record: Record) -> str:
    """Return `rounds=3, prune_share=0.4`; empty for a lever without settings of its own.

    What isoflop sets is not among them: runs of one lever at all sizes have the same.
    """
    given = record.lever.settings if record.lever else {}
    return ", ".join(f"{key}={value}" for key, value in given.items() if key not in NOT_SHOWN)


def _prior_gflops(record: Record) -> float | None:
    flops = record.lever.prior_train_flops if record.lever else 0.0
    return None if flops is None else flops * 1e-9


def _total_gflops(record: Record) -> float | None:
    own = record.compute.train_flops if record.compute else None
    prior = _prior_gflops(record)
    return None if own is None or prior is None else own * 1e-9 + prior


def _prior_joules(record: Record) -> float | None:
    return record.lever.prior_joules if record.lever else 0.0


def _total_joules(record: Record) -> float | None:
    own, prior = record.energy.energy_joules if record.energy else None, _prior_joules(record)
    return None if own is None or prior is None else own + prior


def _nominal_gflops(record: Record) -> float | None:
    flops = record.compute.inference_flops_per_example if record.compute else None
    if record.lever is not None:
        flops = record.lever.nominal_inference_flops_per_example
    return None if flops is None else flops * 1e-9


def _of_baseline(record: Record, size: str) -> float | None:
    """Return width or depth of the baseline that a run is to be compared with, where its shape is another."""
    return record.lever.settings.get(f"baseline_{size}") if record.lever else None


LEVER_COLUMNS: dict[str, Callable[[Record], Any]] = {
    LEVER: lambda r: r.lever.name if r.lever else NONE,
    SETTINGS: settings,
    "baseline_width": lambda r: _of_baseline(r, "width"),
    "baseline_depth": lambda r: _of_baseline(r, "depth"),
    "density": lambda r: r.lever.density if r.lever else 1.0,
    "prior_train_gflops": _prior_gflops,
    "total_train_gflops": _total_gflops,
    "prior_joules": _prior_joules,
    "total_joules": _total_joules,
    "nominal_inference_gflops_per_example": _nominal_gflops,
    "inference_seconds_per_example": lambda r: r.inference and r.inference.seconds_per_example,
    "inference_joules_per_example": lambda r: r.inference and r.inference.joules_per_example,
}
TEXT = (LEVER, SETTINGS)
"""Those of them that hold text."""
