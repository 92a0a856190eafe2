"""A new user's empty folder, and the one line that an error must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isoflop import extras


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new user's empty folder, as the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ISOFLOP_DATA", raising=False)
    yield tmp_path
    if extras.installed("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture
def error_line(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """error_line() -> the single line on standard error."""

    def read() -> str:
        text = capsys.readouterr().err
        assert text.startswith("isoflop: ")
        assert text.count("\n") == 1, text
        return text

    return read
