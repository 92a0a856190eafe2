"""One trunk, several points: the accounting, and equality with runs trained on their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.config import Config, ConfigError
from isoflop.record import Record
from isoflop.runner import run
from isoflop.table import aggregate
from isoflop.train.loop import Trainer

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
TRUNK = ("schedule=steps", "schedule.epochs=null", "schedule.steps=80", "schedule.cooldowns=[0.25,0.5,1]")


def results(record: Record) -> tuple[object, ...]:
    assert record.compute is not None
    assert record.train_loss is not None
    final = record.train_loss[-1].end_step, record.train_loss[-1].examples
    return record.error, record.loss, record.compute.train_flops, record.compute.optimizer_flops, final


@pytest.mark.parametrize("extra", [(), ("model=resnet", "model.width=2", "optim=sgd")])
def test_each_point_equals_a_run_trained_on_its_own(
    extra: tuple[str, ...], make_config: MakeConfig, tmp_path: Path
) -> None:
    """The warm-up of a trunk is a share of its whole length, so a shorter run has a larger share of it."""
    points = run.run(make_config(*TRUNK, *extra, "schedule.warmup_fraction=0.05"))
    assert [point.horizon for point in points] == [0.25, 0.5, 1.0]
    for point, steps in zip(points, (20, 40, 80), strict=True):
        alone = make_config(*TRUNK, *extra, "schedule.cooldowns=[]", f"schedule.steps={steps}")
        schedule = dataclasses.replace(alone.schedule, warmup_fraction=0.05 * 80 / steps)
        alone = dataclasses.replace(alone, schedule=schedule, out=str(tmp_path / str(steps)))
        assert results(run.run(alone)[0]) == results(point)


def test_a_trunk_is_paid_for_once(make_config: MakeConfig) -> None:
    config = make_config(*TRUNK)
    points = run.run(config)
    decay = config.schedule.decay_fraction
    flops = [point.spent.flops for point in points]
    each = points[0].compute.train_flops_per_example
    assert each is not None
    steps = 80 + round(decay * 20) + round(decay * 40)
    assert sum(f for f in flops if f) == pytest.approx(each * steps * config.optim.batch_size)
    whole = sum(p.spent.seconds for p in points)
    assert whole > sum(p.time.eval_seconds for p in points if p.time) / 3
    assert [p.time.train_seconds for p in points if p.time] == sorted(
        p.time.train_seconds for p in points if p.time
    )


def test_points_of_a_trunk_share_their_ids_as_the_fit_needs(make_config: MakeConfig) -> None:
    config = make_config(*TRUNK)
    points = run.run(config)
    assert {p.trunk_id for p in points} == {config.run_id}
    assert {p.config_id for p in points} == {config.config_id}
    assert [p.run_id for p in points] == list(config.point_ids.values())
    assert len({p.run_id for p in points}) == 3
    table = aggregate.aggregate(config.directory)
    assert list(table.rows["horizon"]) == [0.25, 0.5, 1.0]
    assert table.rows["place_id"].nunique() == 3
    assert table.rows["label"].tolist() == ["mlp w8 d1 @0.25", "mlp w8 d1 @0.5", "mlp w8 d1"]


def test_what_was_reached_before_a_failure_is_kept(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = Trainer.advance

    def breaks_late(self: Trainer, stop: int, factors: tuple[float, ...]) -> None:
        if stop > 60:
            raise RuntimeError("late")
        advance(self, stop, factors)

    monkeypatch.setattr(Trainer, "advance", breaks_late)
    config = make_config(*TRUNK)
    points = run.run(config)
    assert [p.state for p in points] == ["done", "done", "failed"]
    kept = [records.read(records.path_of(config.directory, i)).state for i in config.point_ids.values()]
    assert kept == ["done", "done", "failed"]


@pytest.mark.parametrize(
    ("cooldowns", "words"),
    [
        ("[0.5,0.25,1]", "must rise to 1"),
        ("[0.5]", "must rise to 1"),
        ("[0.02,1]", "inside the warm-up"),
        ("[0,1]", "expected float > 0"),
    ],
)
def test_bad_horizons_are_refused(cooldowns: str, words: str, make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=words):
        make_config(*TRUNK, f"schedule.cooldowns={cooldowns}")


def test_horizons_that_fall_on_one_step_are_refused(make_config: MakeConfig) -> None:
    config = make_config(*TRUNK, "schedule.steps=2", "schedule.warmup_fraction=0")
    with pytest.raises(ValueError, match="3 horizons do not fit into 2 steps"):
        run.run(config)
    assert not config.directory.exists()
