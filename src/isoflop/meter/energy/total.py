"""The energy of a cell that was interrupted: the sum over its attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isoflop.record import Energy


def total(parts: Sequence[Energy]) -> Energy:
    """Joules and seconds add up; coverage is averaged over the seconds; the worst grade and gap hold.

    `used` is the source of the longest attempt. A figure that one attempt lacks is unknown, for that
    attempt's reason. `devices` has an entry a device and attempt.
    """
    assert parts, "nothing to add up"
    if len(parts) == 1:
        return parts[0]
    seconds = sum(part.window_seconds for part in parts)
    worst = max(part.grade for part in parts)
    attempts = f"summed over {len(parts)} attempts"
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
        grade=worst,
        grade_reasons=(attempts, *dict.fromkeys(word for part in parts for word in part.grade_reasons)),
        devices=tuple(device for part in parts for device in part.devices),
    )


def _sum(parts: Sequence[Energy], name: str) -> dict[str, Any]:
    return _known(parts, name, lambda values: sum(values))


def _mean(parts: Sequence[Energy], name: str, seconds: float) -> dict[str, Any]:
    lengths = [part.window_seconds for part in parts]
    return _known(
        parts, name, lambda values: sum(v * s for v, s in zip(values, lengths, strict=True)) / seconds
    )


def _known(parts: Sequence[Energy], name: str, combine: Any) -> dict[str, Any]:
    reason = next((r for part in parts if (r := getattr(part, f"{name}_reason")) is not None), None)
    values = [getattr(part, name) for part in parts]
    return {name: None if reason else combine(values), f"{name}_reason": reason}
