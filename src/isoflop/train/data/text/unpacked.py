"""Unpacked text in the user's cache folder: .xz unpacks at tens of megabytes a second, a disk is faster.

An entry is named by a hash of the packed files' bytes, whatever they are called and wherever they lie, and
begins with a hash of its own, so that a damaged one is made anew. It is never needed: where it cannot be
written, every process unpacks for itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isoflop.config import user_cache
from isoflop.record import lock

KEPT = 8
"""Entries; the one that was not read for the longest time is removed first."""
HASH_BYTES = hashlib.sha256().digest_size


def key(files: Sequence[tuple[str, bytes]]) -> str:
    """Return the name of the entry of files, given as (suffix, bytes as stored)."""
    digest = hashlib.sha256()
    for suffix, stored in files:
        digest.update(f"{suffix}/{len(stored)}/".encode() + hashlib.sha256(stored).digest())
    return digest.hexdigest()[:32]


def load(name: str) -> list[bytes] | None:
    """Return the files' texts; None if there is no such entry, or it is damaged."""
    try:
        path = _path(name)
        entry = path.read_bytes()
    except (OSError, RuntimeError):
        return None
    body = memoryview(entry)[HASH_BYTES:]
    if hashlib.sha256(body).digest() != entry[:HASH_BYTES]:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the time of the last use
    files = int(np.frombuffer(body[:8], "<i8")[0])
    sizes = np.frombuffer(body[8 : 8 * (1 + files)], "<i8")
    ends = 8 * (1 + files) + np.cumsum(sizes)
    return [bytes(body[end - size : end]) for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]


def save(name: str, texts: Sequence[bytes]) -> None:
    """Write an entry, if that can be done; the disk may be full or the folder read-only.

    No process waits for another: those that start together all unpack, which takes the time that waiting for
    one of them would, and the first to finish writes.
    """
    header = np.array([len(texts), *map(len, texts)], "<i8").tobytes()
    digest = hashlib.sha256(header)
    for text in texts:
        digest.update(text)
    with contextlib.suppress(OSError, RuntimeError):  # LockHeldError is a RuntimeError
        path = _path(name)
        with lock.exclusive(path.with_suffix(".lock"), wait=False):
            if load(name) is None:  # another process may have written it meanwhile
                _write(path, [digest.digest(), header, *texts])
                _remove_old(path)


def _path(name: str) -> Path:
    return user_cache.folder() / "text" / f"{name}.bin"


def _write(path: Path, pieces: Sequence[bytes]) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_old(newest: Path) -> None:
    others = [path for path in newest.parent.glob("*.bin") if path != newest]
    for path in sorted(others, key=lambda path: path.stat().st_mtime_ns, reverse=True)[KEPT - 1 :]:
        path.unlink(missing_ok=True)
