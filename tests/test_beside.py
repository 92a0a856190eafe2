"""A computation beside another: the same result or error, in a process of its own where that is allowed."""

import os
import signal

import pytest

from isoflop import tasks
from isoflop.beside import allowed, beside

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    with allowed():
        yield


def test_nothing_is_forked_where_nobody_allows_it_or_on_one_core(monkeypatch):
    assert beside(os.getpid)() == os.getpid()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    with allowed():
        assert beside(os.getpid)() == os.getpid()


def test_the_result_comes_from_another_process(two_cores):
    seen: list[int] = []

    def answer() -> tuple[int, bytes]:
        seen.append(1)
        return os.getpid(), b"x" * (1 << 20)

    process, long = beside(answer)()
    assert process != os.getpid()
    assert (long, seen) == (b"x" * (1 << 20), [])
    with pytest.raises(ChildProcessError):
        os.waitpid(process, os.WNOHANG)


def test_an_error_is_raised_where_the_result_is_asked_for(two_cores):
    def fail():
        raise ValueError("too few points")

    result = beside(fail)
    with pytest.raises(ValueError, match="too few points"):
        result()


def test_what_a_killed_process_did_not_say_is_computed_here(two_cores):
    here = os.getpid()
    result = beside(lambda: os.getpid() if os.getpid() == here else os.kill(os.getpid(), signal.SIGKILL))
    assert result() == here
    assert beside(lambda: None if os.getpid() == here else (lambda: 0))() is None, "it cannot be pickled"


def test_the_other_process_forks_none_and_tells_nobody(two_cores):
    told: list[tuple[str, int, int | None]] = []

    def inside():
        tasks.advance("figures")
        return os.getpid(), beside(os.getpid)(), len(told)

    with tasks.watched(lambda *each: told.append(each)):
        process, nested, count = beside(inside)()
    assert process == nested != os.getpid()
    assert count == 0
