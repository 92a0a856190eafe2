"""A run that is asked to stop at a step of the test's choice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from isoflop import signals
from isoflop.runner import segment


class StopAfter(signals.Stop):
    """As if a signal came when the run looks for the `looks`-th time, which it does at every step."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def reason(self) -> str | None:  # type: ignore[override]
        self.looks -= 1
        return "SIGTERM received" if self.looks < 0 else None

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Stop at steps only: looks are counted."""
        yield


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """stop_after(n): runs from now on are asked to stop before step n + 1."""
    monkeypatch.setattr(segment, "LONGEST_BURST_STEPS", 1)

    def set_looks(looks: int) -> None:
        @contextlib.contextmanager
        def watched() -> Iterator[signals.Stop]:
            yield StopAfter(looks)

        monkeypatch.setattr(signals, "watched", watched)

    return set_looks
