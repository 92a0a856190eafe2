"""The power trace of a run as a few hundred rows, from the polls that the meter writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_ROWS = 500
Polls = dict[str, list[tuple[float, float]]]


def power_rows(path: Path | None, most: int = MOST_ROWS) -> list[dict[str, float]]:
    """Return rows of `power/seconds` since the first poll and the mean `power/device_N_watts` of each device.

    Rows are of equal intervals of time, `most` at most; intervals without a poll have no row. Without polls
    the list is empty.
    """
    devices = _watts(path) if path else {}
    if not devices:
        return []
    last = max(times[-1][0] for times in devices.values())
    width = max(last / most, 1e-9)
    sums: dict[int, dict[str, tuple[float, int]]] = {}
    for number, polls in enumerate(devices.values()):
        name = f"power/device_{number}_watts"
        for seconds, watts in polls:
            interval = sums.setdefault(min(int(seconds / width), most - 1), {})
            total, count = interval.get(name, (0.0, 0))
            interval[name] = total + watts, count + 1
    return [
        {"power/seconds": round((index + 0.5) * width, 3)}
        | {name: round(total / count, 3) for name, (total, count) in sums[index].items()}
        for index in sorted(sums)
    ]


def _watts(path: Path) -> Polls:
    """Return (seconds since the first poll, watts) of each device.

    Without a reading of the power it is the rise of the energy counter per second. A rejected reading is
    none, and leaves a gap.
    """
    polls: Polls = {}
    counters: dict[str, tuple[float, float]] = {}
    seconds, before = 0.0, None
    for line in _lines(path):
        now, uuid = line.get("time"), str(line.get("uuid"))
        if not isinstance(now, int | float) or not {"watts", "joules"} & set(line):
            continue
        # A later attempt may be on another machine, whose clock began elsewhere.
        seconds += 0.0 if before is None else max(0.0, now - before)
        before = now
        watts = line.get("watts")
        if watts is None and "rejected_watts" not in line and (joules := line.get("joules")) is not None:
            then, earlier = counters.get(uuid, (now, joules))
            counters[uuid] = now, joules
            watts = (joules - earlier) / (now - then) if now > then and joules >= earlier else None
        if watts is not None and watts > 0:
            polls.setdefault(uuid, []).append((seconds, float(watts)))
    return polls


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    rows = []
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return [row for row in rows if isinstance(row, dict)]
