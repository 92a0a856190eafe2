"""Locks on files: one process at a time, given up when the process ends, however it ends.

The kernel's lock (flock) goes with the process. Some network file systems have none (ENOLCK, ENOTSUP). There
a lease is held instead: a file whose owner touches it every few seconds. One left behind by a killed process
is taken at once on the same node, and on another node once it has not been touched for LEASE_SECONDS.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What flock answers on a file system without locks."""
LEASE_SECONDS = 15.0
"""The holder touches its lease three times in this time, in a thread beside training."""


class LockHeldError(RuntimeError):
    """Another process holds the lock."""


@contextlib.contextmanager
def exclusive(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock file `path` while this is open, or wait until no other process does.

    Where the file system has no locks, a lease that another process holds is watched for LEASE_SECONDS even
    without `wait`: a shorter look could not tell a live holder from a dead one on another node.

    Raises:
        LockHeldError: another process holds it, and `wait` is false.
        OSError: the folder cannot be written.
    """
    lock = _acquired(path, wait)
    try:
        yield
    finally:
        # Unlinked while it is held: whoever waits for this inode sees that its name is gone, and tries anew.
        path.unlink(missing_ok=True)
        lock.release()


@functools.cache
def has_locks(folder: Path) -> bool:
    """Return whether the file system of an existing folder has locks, asked once a process.

    Raises:
        OSError: the folder cannot be written.
    """
    path = folder / f".has-locks-{os.getpid()}"
    try:
        with path.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    finally:
        path.unlink(missing_ok=True)
    return True


def _acquired(path: Path, wait: bool) -> BaseFileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock: BaseFileLock = FileLock(path, fallback_to_soft=False)
    lease = path.with_name(f"{path.name}.lease")
    try:
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            path.unlink(missing_ok=True)
            lock = SoftFileLease(lease, lease_duration=LEASE_SECONDS)
            lock.acquire(timeout=-1 if wait else 2 * LEASE_SECONDS)
    except Timeout:
        raise LockHeldError(f"{path}: another process holds the lock") from None
    return lock
