"""Cache of measured ceilings: one JSON file, one entry per (device, data type, number of threads).

Torch-free; `bench.py` measures them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from isoflop.config import user_cache
from isoflop.record import Ceiling, write_bytes

FILE = "ceilings.json"
Key = tuple[str, str, int]


def cache_file() -> Path:
    """Return the path of the cache file."""
    return user_cache.folder() / FILE


def key(ceiling: Ceiling) -> Key:
    """Return what a ceiling is valid for: device name, data type, threads (0 on a GPU)."""
    return ceiling.device, ceiling.dtype, ceiling.threads


def read_all() -> tuple[Ceiling, ...]:
    """Return all stored ceilings, or () if the file does not exist yet.

    Raises:
        ValueError: the file is damaged or was written by another version.
        OSError: the file cannot be opened.
    """
    path = cache_file()
    try:
        payload = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        ceilings = msgspec.json.decode(payload, type=tuple[Ceiling, ...])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: damaged ({error}): remove it and measure again") from error
    if any(min(c.flops_per_second, c.bytes_per_second) <= 0 for c in ceilings):
        raise ValueError(f"{path}: a rate in it is not above 0: remove it and measure again")
    return ceilings


def store(new: Iterable[Ceiling]) -> Path:
    """Add ceilings to the cache, replacing older ones with the same key, and return the file's path.

    The file is replaced atomically.

    Raises:
        ValueError: the existing file is damaged.
        OSError: the folder cannot be written; the file is unchanged.
    """
    by_key = {key(ceiling): ceiling for ceiling in (*read_all(), *new)}
    ordered = [by_key[each] for each in sorted(by_key)]
    path = cache_file()
    write_bytes(path, msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
    return path


def find(device: str, dtype: str, threads: int) -> tuple[Ceiling | None, str | None]:
    """Return the ceiling for exactly this device, data type and number of threads, or None and the reason.

    `threads` is 0 on a GPU.
    """
    try:
        by_key = {key(ceiling): ceiling for ceiling in read_all()}
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: Path.home() finds no home folder
        return None, str(error)
    ceiling = by_key.get((device, dtype, threads))
    subject = f"{device} in {dtype}" + (f" with {threads} thread{'s' * (threads > 1)}" if threads else "")
    return ceiling, None if ceiling else f"not measured for {subject}: isoflop doctor --measure"
