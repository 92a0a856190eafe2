from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.config import Config, ConfigError, compose, prior

MakeConfig = Callable[..., Config]
DISTILLED = ("lever=distillation", "lever.teacher_width=16", "lever.teacher_depth=2")


@pytest.mark.parametrize(
    "overrides",
    [
        DISTILLED,
        (*DISTILLED, "seed=3", "optim=sgd", "optim.lr=0.05", "schedule.cooldowns=[0.5,1]"),
        (*DISTILLED, "recipe=scaling", "data=cifar10", "lever.teacher_lr=0.02"),
        (*DISTILLED, "recipe=language", "model.width=16", "optim.clip_norm=null"),
        ("lever=pruning",),
        ("lever=pruning", "recipe=scaling", "lever.rounds=2", "lever.prune_share=0.2", "out='with a, b'"),
        ("lever=pruning", "model=torchvision", "model.architecture=resnet18", "optim.ema_decay=0.9"),
    ],
)
def test_the_commands_train_the_runs_that_are_needed_in_their_place(overrides: tuple[str, ...]) -> None:
    config = compose.compose_config(overrides, None)
    chain = prior.chain(config)
    assert len(chain) == (config.lever.rounds or 1)
    for before in chain:
        words = shlex.split(prior.command(before))
        assert words[:2] == ["isoflop", "run"]
        typed = compose.compose_config(words[2:], None)
        assert typed.run_id == before.run_id
        assert typed.launch.keep_weights
        assert prior.weights_path(typed) == prior.weights_path(before)
        assert prior.folder(typed) == prior.folder(before) or before.lever.is_none
    assert prior.of(chain[0]) is None
    assert [each.lever.rounds for each in chain[1:]] == list(range(1, config.lever.rounds or 1))


def test_a_command_says_only_what_is_not_the_default() -> None:
    before = prior.of(compose.compose_config(["lever=distillation", "out=here"], None))
    assert before is not None
    command = "isoflop run model.width=128 launch.keep_weights=true out=here/prior"
    assert prior.command(before) == command


def test_a_teacher_has_the_size_and_the_rate_that_the_lever_gives(make_config: MakeConfig) -> None:
    config = make_config(*DISTILLED, "optim.lr=0.01", "lever.teacher_lr=0.03", "seed=4")
    teacher = prior.of(config)
    assert teacher is not None
    assert (teacher.model.width, teacher.model.depth, teacher.optim.lr) == (16, 2, 0.03)
    assert (teacher.seed, teacher.schedule, teacher.data) == (4, config.schedule, config.data)
    same = make_config("model.width=16", "model.depth=2", "optim.lr=0.03", "seed=4")
    assert teacher.run_id == same.run_id, "a run without a lever, which a sweep of sizes may have trained"


def test_the_teachers_rate_is_the_runs_own_where_none_is_given(make_config: MakeConfig) -> None:
    assert make_config("lever=distillation", "optim.lr=0.02").lever.teacher_lr == 0.02


@pytest.mark.parametrize("width", ["null", "8"])
def test_a_model_without_width_and_depth_can_have_no_teacher(
    width: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text("def build(classes):\n    raise NotImplementedError\n")
    path = f"model.path={tmp_path}/net.py:build"
    config = make_config(*DISTILLED, "model=custom", path, f"model.width={width}", "model.depth=null")
    with pytest.raises(ConfigError, match=r"lever=distillation: the teacher .* net\.build has not both"):
        prior.of(config)
