"""Steps of runs whose length is given in FLOPs, of text that may be read once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from isoflop.config import Config
from isoflop.runner.prepare import prepare
from isoflop.sweep.campaign import prediction

MakeConfig = Callable[..., Config]
LANGUAGE = (
    *("recipe=language", "data=text", "model.context=8", "model.head_width=4", "model.width=4"),
    *("optim.batch_size=64", "schedule.epochs=null", "data.eval_bytes=256"),
)


@pytest.fixture
def make_text(make_config: MakeConfig, tmp_path: Path) -> MakeConfig:
    """make_text("schedule.steps=3", ...) -> a configuration on 6,000 bytes of text in 20 documents."""
    folder = tmp_path / "books"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02}.txt").write_bytes(bytes((97 + (i * number) % 26) for i in range(300)))

    return lambda *overrides: make_config(*LANGUAGE, f"data.path={folder}", *overrides)


def test_a_budget_in_flops_gives_the_steps_that_the_run_takes(make_text: MakeConfig) -> None:
    configs = tuple(
        make_text("schedule.steps=null", f"schedule.train_gflops={gflops}", f"model.width={width}")
        for gflops, width in ((0.02, 4), (0.04, 4), (0.04, 8))
    )
    plans, _ = prediction._steps_in_child(configs)
    taken = [prepare(config, torch.device("cpu")).plan.steps for config in configs]
    assert [plan.steps for plan in plans] == taken
    assert taken[1] == pytest.approx(2 * taken[0], abs=1)
    assert taken[2] < taken[1]


@pytest.mark.parametrize(
    "length", [("schedule.train_gflops=10", "schedule.steps=null"), ("schedule.steps=1000",)]
)
def test_more_bytes_than_there_are_is_one_line(length: tuple[str, ...], make_text: MakeConfig) -> None:
    configs = (make_text(*length), make_text("schedule.steps=3"))
    with pytest.raises(ValueError, match=r"schedule\..*times the .* there are.*data\.passes="):
        prediction._steps_in_child(configs)
