from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from isoflop.config import Config
from isoflop.train.data.text import TextSet, load_text


@pytest.fixture
def load(make_config: Callable[..., Config]) -> Callable[..., TextSet]:
    """load(path, "data.separator=X", context=8) -> the text on the CPU."""

    def made(path: Path | str, *overrides: str, context: int = 8) -> TextSet:
        settings = make_config(
            "model=gpt",
            "model.head_width=8",
            "optim.batch_size=4096",
            "data=text",
            f"data.path={path}",
            *overrides,
        )
        return load_text(settings.data, context, torch.device("cpu"))

    return made


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """A folder of 60 files of 20 to 400 letters, no two the same; byte 0 does not occur."""
    folder = tmp_path / "books"
    (folder / "b").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number in range(60):
        letters = draw.integers(97, 123, draw.integers(20, 400)).astype(np.uint8)
        place = folder / "b" if number % 3 == 0 else folder
        (place / f"{number:02}.txt").write_bytes(letters.tobytes())
    return folder
