"""Steps of a long computation: their order, and what is told of them."""

from collections.abc import Iterator

import pytest

from isoflop import tasks

Told = list[tuple[str, int, int | None]]


@pytest.fixture
def told() -> Iterator[Told]:
    seen: Told = []
    with tasks.watched(lambda *each: seen.append(each)):
        yield seen


def test_results_stand_in_the_order_of_the_items() -> None:
    assert tasks.each("squares", lambda item: item * item, [3, 4]) == [9, 16]


def test_every_end_is_told(told: Told) -> None:
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
    with tasks.watched(lambda *each: told.append(each)):
        tasks.advance("pages")
    assert told[-1] == ("pages", 1, None), "what was counted before is not"


def test_steps_inside_steps_are_not_told(told: Told) -> None:
    assert tasks.each("outer", lambda _: tasks.each("inner", abs, [1, 2]), [0, 1]) == [[1, 2], [1, 2]]
    assert {name for name, *_ in told} == {"outer"}
    told.clear()
    tasks.each("one", lambda _: tasks.each("inner", abs, [1, 2]), [0])
    assert {name for name, *_ in told} == {"inner"}


def test_an_error_of_a_step_is_raised_and_later_steps_are_told_again(told: Told) -> None:
    with pytest.raises(ZeroDivisionError):
        tasks.each("divisions", lambda item: 1 / item, [1, 0, 2])
    assert told == [("divisions", 0, 3), ("divisions", 1, 3)]
    tasks.tell("more", 1, None)
    assert told[-1] == ("more", 1, None)
