"""How long a lock is waited for, and what follows where the file system has none: simulated here."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import Timeout

from isoflop.record import lock


class Lock:
    """A lock that notes for how long it is waited for; `answer` is raised, if it is an error."""

    made: list[Lock]
    answers: dict[str, Exception]

    def __init__(self, path: Path, kind: str, **settings: Any) -> None:
        self.path, self.kind, self.settings = Path(path), kind, settings
        self.waits: list[float] = []
        self.released = 0
        Lock.made.append(self)

    def acquire(self, timeout: float) -> None:
        self.waits.append(timeout)
        if self.kind in Lock.answers:
            raise Lock.answers[self.kind]
        self.path.touch()

    def release(self) -> None:
        self.released += 1


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lock, "made", [], raising=False)
    monkeypatch.setattr(Lock, "answers", {}, raising=False)
    monkeypatch.setattr(lock, "FileLock", lambda path, **settings: Lock(path, "flock", **settings))
    monkeypatch.setattr(lock, "SoftFileLease", lambda path, **settings: Lock(path, "lease", **settings))


def enter(path: Path, *, wait: bool) -> bool:
    with lock.exclusive(path, wait=wait):
        return path.exists()


@pytest.mark.parametrize(("wait", "seconds"), [(True, -1), (False, 0)])
def test_a_lock_is_waited_for_without_end_or_not_at_all(wait: bool, seconds: float, tmp_path: Path) -> None:
    path = tmp_path / "new/folder/a.lock"
    assert enter(path, wait=wait)
    (only,) = Lock.made
    assert (only.waits, only.released, only.settings) == ([seconds], 1, {"fallback_to_soft": False})
    assert not path.exists()


def test_it_is_given_up_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock.exclusive(tmp_path / "a.lock", wait=False):
        raise KeyError
    assert Lock.made[0].released == 1
    assert not (tmp_path / "a.lock").exists()


def test_a_lock_that_is_held_names_its_file(tmp_path: Path) -> None:
    Lock.answers["flock"] = Timeout("a.lock")
    with pytest.raises(lock.LockHeldError, match=rf"^{tmp_path}/a\.lock: another process holds the lock$"):
        enter(tmp_path / "a.lock", wait=False)


NONE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@pytest.mark.parametrize("code", NONE)
@pytest.mark.parametrize(("wait", "seconds"), [(True, -1), (False, 30.0)])
def test_without_locks_a_lease_of_15_s_is_watched_twice_as_long(
    code: int, wait: bool, seconds: float, tmp_path: Path
) -> None:
    Lock.answers["flock"] = OSError(code, os.strerror(code))
    (tmp_path / "a.lock").touch()  # what the attempt has left
    with lock.exclusive(tmp_path / "a.lock", wait=wait):
        assert not (tmp_path / "a.lock").exists()
    _, lease = Lock.made
    assert (lease.path, lease.waits) == (tmp_path / "a.lock.lease", [seconds])
    assert lease.settings == {"lease_duration": 15.0}
    assert lease.released == 1


def test_another_error_is_no_missing_lock(tmp_path: Path) -> None:
    Lock.answers["flock"] = OSError(errno.EACCES, "Permission denied")
    with pytest.raises(OSError, match="Permission denied"):
        enter(tmp_path / "a.lock", wait=True)
    assert len(Lock.made) == 1


# ---- whether a folder has locks


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, code: int | None) -> bool:
    """What is found where flock answers with this error, and that nothing is left in the folder."""

    def flock(file: Any, operation: int) -> None:
        assert operation == fcntl.LOCK_EX | fcntl.LOCK_NB
        assert Path(file.name) == folder / f".has-locks-{os.getpid()}"
        if code is not None:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    lock.has_locks.cache_clear()
    try:
        return lock.has_locks(folder)
    finally:
        assert list(folder.iterdir()) == []
        lock.has_locks.cache_clear()


def test_a_folder_has_locks_unless_the_kernel_says_that_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert asked(monkeypatch, tmp_path, None)
    assert not any(asked(monkeypatch, tmp_path, code) for code in NONE)
    with pytest.raises(OSError, match="Input/output"):
        asked(monkeypatch, tmp_path, errno.EIO)
