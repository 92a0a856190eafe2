"""What a sweep meters of its GPUs beside its shapes, as lines of JSON in its folder.

DIR/idle.jsonl has the power of each idle GPU at the beginning and at the end of a sweep. DIR/anchors.jsonl
has one shape that was metered first, in the middle and last: where its joules or seconds per example move,
the GPU has, and not the network. A sweep that is resumed appends.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from isoflop import record as records
from isoflop.config import Config
from isoflop.meter.energy.shape_energy import ShapeEnergy
from isoflop.meter.energy.window_meter import IdlePower
from isoflop.record import DeviceEnergy
from isoflop.runner import provenance

When = Literal["first", "middle", "last"]
ANCHORS, IDLE = "anchors.jsonl", "idle.jsonl"
MOST_ANCHOR_SECONDS = 5.0
"""An anchor is compared with itself: 5 s tell a drift of 2%, and joules of the curve need more."""


def anchor_seconds(config: Config) -> float:
    """Return how long an anchor is metered."""
    return min(config.meter.window_seconds or MOST_ANCHOR_SECONDS, MOST_ANCHOR_SECONDS)


def append_anchor(directory: Path, when: When, config: Config, measured: ShapeEnergy) -> None:
    """Append the line of an anchor. Raises OSError if that is not possible."""
    devices = measured.energy.devices if measured.energy else ()
    first = devices[0] if devices else None
    seconds = measured.seconds_per_example
    line: dict[str, Any] = {
        "when": when,
        "config_id": config.config_id,
        "shape": config.model.label,
        "gpu": first.uuid if first else None,
        "joules_per_example": measured.joules_per_example,
        "joules_per_example_reason": measured.reason,
        "seconds_per_example": seconds,
        "seconds_per_example_reason": "nothing was trained" if seconds is None else None,
        **_state(first, measured.reason or "no GPU was metered"),
        "t_monotonic": measured.ended_seconds,
        "measured_at": provenance.now(),
    }
    _append(directory / ANCHORS, line)


def _state(device: DeviceEnergy | None, reason: str) -> dict[str, Any]:
    if device is None:
        names = ("temperature_celsius", "sm_clock_mhz")
        return dict.fromkeys(names) | {f"{name}_reason": reason for name in names}
    return {
        "temperature_celsius": device.temperature_end_celsius,
        "temperature_celsius_reason": device.temperature_end_celsius_reason,
        "sm_clock_mhz": device.sm_clock_mhz,
        "sm_clock_mhz_reason": device.sm_clock_mhz_reason,
    }


def append_idle(directory: Path, when: When, seconds: float, idle: IdlePower) -> None:
    """Append a line for each idle GPU. Raises OSError if that is not possible."""
    for uuid, (watts, reason) in idle.items():
        line = {
            "when": when,
            "gpu": uuid,
            "idle_watts": watts,
            "idle_watts_reason": reason,
            "seconds": seconds,
            "t_monotonic": time.monotonic(),
            "measured_at": provenance.now(),
        }
        _append(directory / IDLE, line)


def _append(path: Path, line: dict[str, Any]) -> None:
    records.append_bytes(path, msgspec.json.encode(line) + b"\n")
