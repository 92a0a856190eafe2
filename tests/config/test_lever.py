"""A lever is part of a run's identity, and a run without one is what it was before there were any."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from isoflop.config import Config, ConfigError, LeverConfig, compose, from_dict, lever_option, prior, to_dict
from isoflop.sweep import grid

MakeConfig = Callable[..., Config]
DISTILLED = LeverConfig(
    "distillation",
    "distillation",
    teacher_width=32,
    teacher_depth=2,
    teacher_lr=0.01,
    temperature=2.0,
    teacher_share=0.5,
)
PRUNED = LeverConfig("pruning", "magnitude_pruning", rounds=3, prune_share=0.4, rewind_fraction=0.1)


def with_lever(config: Config, lever: LeverConfig) -> Config:
    return dataclasses.replace(config, lever=lever)


def test_a_run_without_a_lever_has_no_trace_of_one(make_config: MakeConfig) -> None:
    config = make_config()
    assert "lever" not in config.identity
    plain = to_dict(config)
    del plain["lever"]  # as an earlier version stored it
    assert from_dict(plain).run_id == config.run_id


def test_the_name_and_the_settings_of_a_lever_make_another_run(make_config: MakeConfig) -> None:
    config = make_config()
    named = with_lever(config, LeverConfig("mine"))
    other = with_lever(config, PRUNED)
    deeper = with_lever(config, dataclasses.replace(PRUNED, rounds=2))
    assert len({each.run_id for each in (config, named, other, deeper)}) == 4
    assert named.identity["lever"] == {"name": "mine", "kind": "settings"}
    assert other.identity["lever"]["rounds"] == 3


@pytest.mark.parametrize(
    ("lever", "why"),
    [
        ({"name": "none", "kind": "int8"}, "name is none"),
        ({"name": "pruning", "kind": "magnitude_pruning"}, "lever magnitude_pruning needs prune_share"),
        ({"name": "int8", "kind": "int8", "rounds": 2}, "lever int8 takes no rounds: set it to null"),
        ({"name": "mine", "kind": "custom"}, "path is missing: name a function of yours"),
        ({"name": "a b"}, "use letters, digits"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    make_config: MakeConfig, lever: dict[str, object], why: str
) -> None:
    raw = to_dict(make_config())
    with pytest.raises(ConfigError, match=why):
        from_dict(raw | {"lever": raw["lever"] | lever})


def test_the_teacher_is_the_larger_run_at_its_own_rate(make_config: MakeConfig) -> None:
    student = make_config("model.width=4", "seed=3", "optim.lr=0.5")
    teacher = prior.of(with_lever(student, DISTILLED))
    assert teacher is not None
    assert (teacher.model.width, teacher.model.depth, teacher.optim.lr, teacher.seed) == (32, 2, 0.01, 3)
    assert teacher.lever.is_none
    assert teacher.launch.keep_weights
    assert teacher.run_id == make_config("model.width=32", "model.depth=2", "seed=3", "optim.lr=0.01").run_id
    assert teacher.directory == student.directory / "prior"


def test_each_round_of_pruning_begins_from_the_round_before_and_the_first_from_the_dense_run(
    make_config: MakeConfig,
) -> None:
    config = make_config()
    chain = prior.chain(with_lever(config, PRUNED))
    assert [each.lever.rounds for each in chain] == [None, 1, 2]
    assert chain[0].run_id == config.run_id
    assert {each.directory for each in chain} == {config.directory / "prior"}, "one folder for all of them"
    assert prior.chain(config) == ()


def test_none_takes_back_what_another_lever_set(make_config: MakeConfig) -> None:
    raw = to_dict(with_lever(make_config(), PRUNED))
    assert from_dict(lever_option.with_lever(raw, "none")).lever == LeverConfig()


def test_a_function_of_the_users_own_is_kept_for_the_lever_that_takes_it(make_config: MakeConfig) -> None:
    raw = to_dict(make_config())
    raw["lever"] |= {"path": "mine.py:apply"}
    assert lever_option.with_lever(raw, "custom")["lever"]["path"] == "mine.py:apply"
    assert lever_option.with_lever(raw, "none")["lever"]["path"] is None


def test_what_is_given_beside_an_axis_of_levers_is_of_the_one_that_takes_it() -> None:
    given = ("lever=none,search,pruning", "lever.candidates=12", "lever.search_depths=[1,2]")
    runs = grid.expand(compose.compose_config(given, None))
    levers = {each.config.lever.name: each.config.lever for each in runs}
    assert set(levers) == {"none", "search", "pruning"}
    assert (levers["search"].candidates, levers["search"].search_depths) == (12, (1, 2))
    assert levers["pruning"].candidates is None


def test_what_is_given_for_a_lever_is_stronger_than_its_file_and_of_that_lever_alone(
    make_config: MakeConfig,
) -> None:
    raw = to_dict(make_config())
    raw["lever"] |= {"rounds": 1}
    pruned = lever_option.with_lever(raw, "pruning")
    share = pruned["lever"]["prune_share"]
    assert pruned["lever"]["rounds"] == 1
    assert share is not None
    structured = lever_option.with_lever(pruned, "structured_pruning")["lever"]
    assert structured["rounds"] is None
    assert structured["prune_share"] != share, "its own file's, not that of the lever before"


def test_an_unknown_lever_is_named_with_the_nearest(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="lever=custon: lever has no such option: did you mean custom"):
        lever_option.with_lever(to_dict(make_config()), "custon")
