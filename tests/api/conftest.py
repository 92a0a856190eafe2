"""A table of a user's own, and the JSON that the command line makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.cli import main, output

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def own() -> pd.DataFrame:
    """Two recipes of an exponent each, nine shapes of three seeds."""
    noise = np.random.default_rng(3).standard_normal(54)
    rows = [
        (recipe, f"{recipe}-{i}", flops, seed, 0.04 + 0.5 * (flops / 1e12) ** -b)
        for recipe, b in (("old", 0.2), ("new", 0.3))
        for i, flops in enumerate(np.geomspace(1e12, 1e16, 9))
        for seed in (0, 1, 2)
    ]
    frame = pd.DataFrame(rows, columns=["recipe", "shape", "flops", "seed", "error"])
    return frame.assign(error=frame["error"] * np.exp(0.03 * noise))


@pytest.fixture
def csv(own: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "runs.csv"
    own.to_csv(path, index=False)
    return path


@pytest.fixture
def by_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """by_command(*words) -> the JSON that `isoflop WORDS --json -` prints."""

    def run(*words: object) -> Any:
        assert main.main([*map(str, words), "--json", "-"]) == output.DONE
        return json.loads(capsys.readouterr().out)

    return run
