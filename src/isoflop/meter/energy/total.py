"""The energy of a run that was interrupted and resumed: the sum over its attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from isoflop.record import Energy


def total(parts: Sequence[Energy]) -> Energy:
    """Add up the energy of several attempts.

    Joules and seconds are summed, coverage and idle power are averaged over the seconds, and the worst grade
    and the longest gap are kept. `used` is the source of the longest attempt. A value that one attempt lacks
    is unknown, for that attempt's reason. `devices` has one entry per device and attempt.
    """
    assert parts, "nothing to add up"
    if len(parts) == 1:
        return parts[0]
    seconds = sum(part.window_seconds for part in parts)
    reasons = dict.fromkeys(reason for part in parts for reason in part.grade_reasons)
    return Energy(
        energy_joules=sum(part.energy_joules for part in parts),
        used=max(parts, key=lambda part: part.window_seconds).used,
        replayed=any(part.replayed for part in parts),
        window_seconds=seconds,
        **_sum(parts, "counter_joules"),
        **_sum(parts, "integral_joules"),
        **_mean(parts, "idle_watts", seconds),
        **_sum(parts, "net_joules"),
        **_sum(parts, "host_joules"),
        coverage=sum(part.coverage * part.window_seconds for part in parts) / seconds,
        longest_gap_seconds=max(part.longest_gap_seconds for part in parts),
        grade=max(part.grade for part in parts),
        grade_reasons=(f"summed over {len(parts)} attempts", *reasons),
        devices=tuple(device for part in parts for device in part.devices),
        source="shape" if any(part.source == "shape" for part in parts) else "run",
        **_sum(parts, "own_joules"),
    )


def _sum(parts: Sequence[Energy], name: str) -> dict[str, Any]:
    return _combined(parts, name, sum)


def _mean(parts: Sequence[Energy], name: str, seconds: float) -> dict[str, Any]:
    lengths = [part.window_seconds for part in parts]

    def weighted(values: Sequence[float]) -> float:
        return sum(v * s for v, s in zip(values, lengths, strict=True)) / seconds

    return _combined(parts, name, weighted)


def _combined(
    parts: Sequence[Energy], name: str, combine: Callable[[Sequence[float]], float]
) -> dict[str, Any]:
    """Return the nullable field `name` and its reason, combined over the parts if all of them know it."""
    reason = next((r for part in parts if (r := getattr(part, f"{name}_reason")) is not None), None)
    values = [getattr(part, name) for part in parts]
    return {name: None if reason else combine(values), f"{name}_reason": reason}
