"""Tasks in threads: their order, their errors, what is told of them, and how many threads there are."""

import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from isoflop import tasks

Told = list[tuple[str, int, int | None]]


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "threads", lambda: 2)


@pytest.fixture
def told() -> Iterator[Told]:
    seen: Told = []
    with tasks.watched(lambda *each: seen.append(each)):
        yield seen


def test_results_stand_in_the_order_of_the_items(two_threads: None) -> None:
    meeting = threading.Barrier(2, timeout=30)

    def second_first(item: int) -> int:
        meeting.wait()  # which two threads pass together or not at all
        return item * item

    assert tasks.each("squares", second_first, [3, 4]) == [9, 16]


def test_every_end_is_told(two_threads: None, told: Told) -> None:
    tasks.each("squares", abs, [1, 2, 3])
    assert told == [("squares", done, 3) for done in range(4)]
    told.clear()
    assert tasks.each("one", abs, [-1]) == [1]
    assert told == []
    assert list(tasks.steps("steps", "ab")) == ["a", "b"]
    assert told == [("steps", 0, 2), ("steps", 1, 2), ("steps", 2, 2)]
    told.clear()
    for name in ("figures", "figures", "pages"):
        tasks.advance(name)
    assert told == [("figures", 1, None), ("figures", 2, None), ("pages", 1, None)]


def test_tasks_inside_tasks_run_one_after_another_and_are_not_told(two_threads: None, told: Told) -> None:
    def inner(_: int) -> str:
        return threading.current_thread().name

    def outer(_: int) -> bool:
        return set(tasks.each("inner", inner, [0, 1, 2])) == {threading.current_thread().name}

    assert tasks.each("outer", outer, [0, 1]) == [True, True]
    assert {name for name, *_ in told} == {"outer"}


def test_the_error_of_the_first_item_that_fails_is_raised(two_threads: None) -> None:
    later = threading.Event()

    def fail(item: int) -> None:
        if item == 1:
            later.wait(30)  # so that the second item fails earlier in time
        else:
            later.set()
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 1"):
        tasks.each("failing", fail, [1, 2])


def test_the_error_state_of_numpy_goes_with_the_tasks(two_threads: None) -> None:
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        tasks.each("divisions", lambda zero: np.ones(2) / zero, [np.zeros(2), np.zeros(2)])


@pytest.mark.parametrize(("asked", "most"), [(None, tasks.MOST_THREADS), ("1", 1), ("1000", 4), ("many", 4)])
def test_threads_are_cores_and_what_openmp_may_have(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, most: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert tasks.threads() == most
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert tasks.threads() == 1
