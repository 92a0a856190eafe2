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
from isoflop.record.search import Candidate, Search
from isoflop.sweep import search

MakeConfig = Callable[..., Config]
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
        *("schedule=steps", "schedule.steps=100", "schedule.epochs=null", "model.width=32", "model.depth=2"),
        *("lever=search", "lever.search_widths=[8,128]"),
    )


@optuna
def test_the_search_comes_near_the_best_shape_of_every_budget(base: Config, done_record: Record) -> None:
    found = search.make(base, Trainer(done_record))
    shapes = list(itertools.product(range(8, 129, 8), range(1, 5)))
    for budget in (flops_of(32, 2), flops_of(64, 2), flops_of(128, 4)):
        best = search.best(found, budget)
        assert best.inference_flops is not None
        assert best.inference_flops <= budget
        optimum = min(error_of(w, d) for w, d in shapes if flops_of(w, d) <= budget)
        assert error_of(best.width, best.depth) <= 1.25 * optimum


@optuna
def test_each_shape_is_trained_once_and_the_smallest_first(base: Config, done_record: Record) -> None:
    trainer = Trainer(done_record)
    found = search.make(base, trainer)
    assert trainer.trained == [(each.width, each.depth) for each in found.candidates]
    assert len(trainer.trained) == len(set(trainer.trained)) <= 40
    assert trainer.trained[0] == (8, 1)
    assert all(width % 8 == 0 and width <= 128 and 1 <= depth <= 4 for width, depth in trainer.trained)


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
        search.make(base, stops)
    second = Trainer(done_record)
    resumed = search.make(base, second)
    assert not set(first.trained) & set(second.trained)
    whole = dataclasses.replace(base, out=f"{base.out}-whole")
    again = search.make(whole, Trainer(done_record))
    assert resumed == again


@optuna
def test_shapes_that_diverge_are_never_the_best(base: Config, done_record: Record) -> None:
    broken = tuple((width, 2) for width in range(8, 129, 8))
    found = search.make(base, Trainer(done_record, broken))
    assert search.best(found, flops_of(128, 4)).depth != 2
    assert any(each.val_error is None for each in found.candidates)


def test_a_candidate_is_the_baselines_run_but_for_shape_length_and_seed(make_config: MakeConfig) -> None:
    steps = ("schedule=steps", "schedule.steps=101", "schedule.epochs=null")
    base = make_config(*steps, "lever=search", "seed=3")
    tried = search.proxy(base, 24, 3)
    assert (tried.model.width, tried.model.depth, tried.schedule.steps) == (24, 3, 25)
    assert tried.lever.is_none
    assert tried.directory == base.directory / "prior"
    assert (tried.optim, tried.data, tried.precision, tried.seed) == (
        *(base.optim, base.data, base.precision),
        search.SEED,
    )
    by_epochs = search.proxy(make_config("schedule.epochs=8", "lever=search"), 24, 3)
    assert by_epochs.schedule.epochs == 2


def test_no_shape_within_the_budget_is_said() -> None:
    found = Search((Candidate(8, 1, "a", 0.1, 1e4), Candidate(16, 1, "b", None, None)))
    assert search.best(found, 1e4).run_id == "a"
    with pytest.raises(ConfigError, match="no candidate has at most 5000 FLOPs"):
        search.best(found, 5e3)


def test_of_equal_errors_the_cheaper_shape_is_the_best() -> None:
    found = Search((Candidate(16, 1, "a", 0.1, 2e4), Candidate(8, 2, "b", 0.1, 1e4)))
    assert search.best(found, 1e5).run_id == "b"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("lever.search_widths=[0,8]", "lever.search_widths"),
        ("lever.search_widths=[16,8]", r"search_widths=\[16,8\]: give the least first"),
        ("lever.search_depths=[3,2]", r"search_depths=\[3,2\]: give the least first"),
        ("lever.candidates=41", "lever.candidates=41"),
        ("lever.proxy_share=0", "lever.proxy_share=0"),
        ("lever.proxy_share=null", "lever search needs proxy_share"),
    ],
)
def test_a_space_that_is_none_is_refused(make_config: MakeConfig, changed: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config("lever=search", changed)


def test_a_space_of_one_shape_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="hold one shape"):
        make_config("lever=search", "lever.search_widths=[8,15]", "lever.search_depths=[2,2]")


def test_without_optuna_the_extra_is_named(
    base: Config, done_record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "installed", lambda module: False)
    with pytest.raises(extras.MissingExtraError, match=r"isoflop\[optuna\]"):
        search.make(base, Trainer(done_record))
