"""Architecture search with a trainer whose errors follow a formula: no shape is trained."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import pytest

from isoflop import extras
from isoflop import record as records
from isoflop.config import Config, ConfigError
from isoflop.record import Record
from isoflop.sweep import search
from isoflop.sweep.search import Candidate, Found, Space

MakeConfig = Callable[..., Config]
SPACE = Space(widths=(8, 128), width_step=8, depths=(1, 4))
optuna = pytest.mark.skipif(not extras.installed("optuna"), reason="optuna is not installed")


def error_of(width: int, depth: int) -> float:
    """Least at depth 2 for every width, and lower the wider."""
    return 0.5 / width**0.5 * (1 + 0.2 * (depth - 2) ** 2)


def flops_of(width: int, depth: int) -> float:
    return 2.0 * (64 * width + (depth - 1) * width**2 + 10 * width)


class Trainer:
    """Writes the record that a shape would have; `broken` shapes diverge."""

    def __init__(self, done_record: Record, broken: tuple[tuple[int, int], ...] = ()) -> None:
        self.record, self.broken = done_record, broken
        self.trained: list[tuple[int, int]] = []

    def __call__(self, runs: Sequence[Config]) -> None:
        for run in runs:
            width, depth = run.model.width, run.model.depth
            assert width is not None
            assert depth is not None
            self.trained.append((width, depth))
            records.write(self._record(run, width, depth), run.directory)

    def _record(self, run: Config, width: int, depth: int) -> Record:
        assert self.record.error
        assert self.record.compute
        flops = flops_of(width, depth)
        made = dataclasses.replace(
            self.record,
            run_id=run.run_id,
            error=dataclasses.replace(self.record.error, val=error_of(width, depth)),
            compute=dataclasses.replace(self.record.compute, inference_flops_per_example=flops),
            spent=dataclasses.replace(self.record.spent, flops=100 * flops, flops_reason=None),
        )
        if (width, depth) in self.broken:
            return dataclasses.replace(made, state="diverged", reason="the training loss was NaN")
        return made


@pytest.fixture
def base(make_config: MakeConfig) -> Config:
    return make_config(
        "schedule=steps", "schedule.steps=100", "schedule.epochs=null", "model.width=32", "model.depth=2"
    )


@optuna
def test_the_search_comes_near_the_best_shape_of_every_budget(base: Config, done_record: Record) -> None:
    found = search.search(base, SPACE, Trainer(done_record))
    shapes = list(itertools.product(range(8, 129, 8), range(1, 5)))
    for budget in (flops_of(32, 2), flops_of(64, 2), flops_of(128, 4)):
        best = found.best(budget)
        assert best.inference_flops is not None
        assert best.inference_flops <= budget
        optimum = min(error_of(w, d) for w, d in shapes if flops_of(w, d) <= budget)
        assert error_of(best.width, best.depth) <= 1.25 * optimum


@optuna
def test_what_a_search_costs_is_the_sum_of_its_candidates_each_once(
    base: Config, done_record: Record
) -> None:
    trainer = Trainer(done_record)
    found = search.search(base, SPACE, trainer)
    assert len(trainer.trained) == len(set(trainer.trained)) == len(found.candidates) <= 40
    assert found.train_flops == pytest.approx(sum(100 * flops_of(*shape) for shape in trainer.trained))


@optuna
def test_a_search_that_was_stopped_goes_on_where_it_was(base: Config, done_record: Record) -> None:
    class StoppedError(Exception):
        pass

    first = Trainer(done_record)

    def stops(runs: Sequence[Config]) -> None:
        if len(first.trained) >= 12:
            raise StoppedError
        first(runs)

    with pytest.raises(StoppedError):
        search.search(base, SPACE, stops)
    second = Trainer(done_record)
    resumed = search.search(base, SPACE, second)
    assert not set(first.trained) & set(second.trained)
    whole = dataclasses.replace(base, out=f"{base.out}-whole")
    again = search.search(whole, SPACE, Trainer(done_record))
    assert resumed == again


@optuna
def test_shapes_that_diverge_are_never_the_best_and_cost_what_they_took(
    base: Config, done_record: Record
) -> None:
    broken = tuple((width, 2) for width in range(8, 129, 8))
    found = search.search(base, SPACE, Trainer(done_record, broken))
    assert found.best(flops_of(128, 4)).depth != 2
    failed = [each for each in found.candidates if each.val_error is None]
    assert failed
    assert all(each.train_flops for each in failed)


def test_a_candidate_is_the_baselines_run_but_for_shape_and_length(make_config: MakeConfig) -> None:
    base = make_config("schedule=steps", "schedule.steps=101", "schedule.epochs=null", "lever=bf16")
    tried = search.proxy(base, 24, 3, 0.25)
    assert (tried.model.width, tried.model.depth, tried.schedule.steps) == (24, 3, 25)
    assert tried.lever.is_none
    assert tried.directory == base.directory / "prior"
    assert (tried.optim, tried.data, tried.precision, tried.seed) == (
        *(base.optim, base.data, base.precision),
        base.seed,
    )
    by_epochs = search.proxy(make_config("schedule.epochs=8"), 24, 3, 0.25)
    assert by_epochs.schedule.epochs == 2


def test_no_shape_within_the_budget_is_said() -> None:
    found = Found((Candidate(8, 1, "a", 0.1, 1e4, 1e6), Candidate(16, 1, "b", None, None, None)))
    assert found.best(1e4).run_id == "a"
    with pytest.raises(ConfigError, match="no candidate has at most 5000 FLOPs"):
        found.best(5e3)
    assert found.train_flops is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"widths": (0, 8)}, "give a least and a largest above 0"),
        ({"widths": (8, 8), "depths": (2, 2)}, "hold one shape"),
        ({"candidates": 41}, "candidates=41: give 2 to 40"),
        ({"proxy_share": 0.0}, "proxy_share=0: give a share"),
    ],
)
def test_a_space_that_is_none_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(SPACE, **changed)  # type: ignore[arg-type]


def test_without_optuna_the_extra_is_named(
    base: Config, done_record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "installed", lambda module: False)
    with pytest.raises(extras.MissingExtraError, match=r"isoflop\[optuna\]"):
        search.search(base, SPACE, Trainer(done_record))
