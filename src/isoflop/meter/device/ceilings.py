"""Measured ceilings, kept for the runs to come: one JSON in a cache folder, one entry a device, data type and
number of threads. Torch-free; `bench.py` measures them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from isoflop.record import Ceiling, write_bytes

FILE = "ceilings.json"
Key = tuple[str, str, int]


def path() -> Path:
    """Where ceilings are kept: $ISOFLOP_CACHE, else $XDG_CACHE_HOME/isoflop, else ~/.cache/isoflop."""
    if chosen := os.environ.get("ISOFLOP_CACHE"):
        return Path(chosen) / FILE
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "isoflop" / FILE


def key(ceiling: Ceiling) -> Key:
    """What a ceiling holds for: device name, data type, threads (0 on a GPU)."""
    return ceiling.device, ceiling.dtype, ceiling.threads


def read() -> tuple[Ceiling, ...]:
    """Every ceiling that is kept; none where there is no file yet.

    Raises:
        ValueError: the file is damaged, or of another version.
        OSError: it cannot be opened.
    """
    place = path()
    try:
        payload = place.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        found = msgspec.json.decode(payload, type=tuple[Ceiling, ...])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{place}: damaged ({error}): remove it and measure again") from error
    if any(min(c.flops_per_second, c.bytes_per_second) <= 0 for c in found):
        raise ValueError(f"{place}: a rate in it is not above 0: remove it and measure again")
    return found


def keep(new: Iterable[Ceiling]) -> Path:
    """Put ceilings in the place of older ones for the same keys, atomically; returns the file.

    Raises:
        ValueError: the file that is there is damaged.
        OSError: the folder cannot be written; the file stays as it was.
    """
    kept = {key(ceiling): ceiling for ceiling in (*read(), *new)}
    ordered = [kept[each] for each in sorted(kept)]
    place = path()
    write_bytes(place, msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
    return place


def find(device: str, dtype: str, threads: int) -> tuple[Ceiling | None, str | None]:
    """The ceiling for exactly this device, data type and number of threads (0 on a GPU), or None and why."""
    try:
        kept = {key(ceiling): ceiling for ceiling in read()}
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        return None, str(error)
    found = kept.get((device, dtype, threads))
    where = f"{device} in {dtype}" + (f" with {threads} thread{'s' * (threads > 1)}" if threads else "")
    return found, None if found else f"not measured for {where}: isoflop doctor --measure"
