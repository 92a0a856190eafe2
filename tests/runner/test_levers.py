"""A run with a lever from its configuration to its record: what it did, what was before it, what it costs."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from isoflop import record as records
from isoflop.config import Config, ConfigError, LeverConfig, prior
from isoflop.record import search as searches
from isoflop.record.search import Candidate, Search
from isoflop.runner import energy as metering
from isoflop.runner import inference, prior_work, run
from isoflop.runner.prepare import prepare
from isoflop.table.aggregate import tabulate
from isoflop.train.evaluate import example_batches
from isoflop.train.loop import Trainer

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")
DISTILLED = LeverConfig(
    "distillation",
    "distillation",
    teacher_width=16,
    teacher_depth=1,
    teacher_lr=0.02,
    temperature=2.0,
    teacher_share=0.5,
)
OWN = '''
from torch import nn
from isoflop.train.levers import InferenceWork, Lever

class Halved(Lever):
    """Scores the network with every second input set to zero, and says that half of its work is left."""

    def finish(self, model, examples):
        assert next(examples()).shape[1:] == (1, 8, 8)
        for parameter in model.parameters():
            parameter.data[..., ::2] = 0
        return model

    def inference(self, model, flops):
        return InferenceWork(flops, flops / 2, 0.5)

def broken(model):
    return 3
'''


def distilled(config: Config) -> Config:
    return dataclasses.replace(config, lever=DISTILLED)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_missing_teacher_names_the_run_to_train_before_anything_is_written(make_config: MakeConfig) -> None:
    config = distilled(make_config("model.width=4"))
    with pytest.raises(ConfigError, match="lever=distillation needs a run before it") as refused:
        run.run(config)
    command = str(refused.value).split("`")[1]
    assert command.startswith("isoflop run ")
    for word in ("model.width=16", "optim.lr=0.02", "launch.keep_weights=true"):
        assert word in command
    assert not config.directory.exists()


@pytest.mark.slow
def test_what_was_trained_before_is_counted_from_its_records(
    make_config: MakeConfig, done_record: records.Record
) -> None:
    config = distilled(make_config("model.width=4"))
    (teacher,) = prior.chain(config)
    (trained,) = run.run(teacher)
    assert trained.lever is None
    found = prior_work.found(config)
    assert found.run_ids == (trained.run_id,)
    assert found.train_flops == trained.compute.train_flops
    assert found.joules is None
    assert trained.run_id in found.joules_reason
    assert found.weights == prior.weights_path(teacher)
    kept = torch.load(found.weights, weights_only=True)
    assert kept.keys() == Trainer(teacher, prepare(teacher, CPU).data, 1, CPU).model.state_dict().keys()
    found.weights.unlink()
    with pytest.raises(ConfigError, match=r"its weights, .*, are missing: train it with"):
        prior_work.found(config)
    records.write(dataclasses.replace(trained, state="failed", reason="x"), teacher.directory)
    with pytest.raises(ConfigError, match="has state failed"):
        prior_work.found(config)


def test_a_shape_that_no_search_found_names_the_sweep_before_anything_is_written(
    make_config: MakeConfig,
) -> None:
    config = make_config("lever=search")
    with pytest.raises(ConfigError, match=r"a sweep searches for the shape .* `isoflop sweep` .* out="):
        run.run(config)
    found = dataclasses.replace(config, lever=dataclasses.replace(config.lever, search_id="0123456789abcdef"))
    with pytest.raises(ConfigError, match=r"search-0123456789abcdef.json is missing"):
        run.run(found)
    assert not config.directory.exists()


def test_what_a_search_costs_is_the_sum_of_its_candidates_whatever_became_of_them(
    make_config: MakeConfig, done_record: records.Record
) -> None:
    config = make_config("lever=search")
    config = dataclasses.replace(
        config, lever=dataclasses.replace(config.lever, search_id="0123456789abcdef")
    )
    place, spent = prior.folder(config), done_record.spent
    for name, flops in (("a", 3e6), ("b", 4e6)):
        cost = dataclasses.replace(spent, flops=flops, flops_reason=None, seconds=2.0)
        made = dataclasses.replace(done_record, run_id=name, spent=cost)
        if name == "b":
            made = dataclasses.replace(made, state="diverged", reason="the training loss was NaN")
        records.write(made, place)
    candidates = (Candidate(8, 1, "a", 0.1, 1e4), Candidate(16, 1, "b", None, None))
    searches.write(Search(candidates), place, "0123456789abcdef")
    found = prior_work.found(config)
    assert (found.run_ids, found.train_flops, found.seconds) == (("a", "b"), 7e6, 4.0)
    assert found.weights is None
    unknown = dataclasses.replace(spent, flops=None, flops_reason="diverged: not accounted")
    records.write(dataclasses.replace(done_record, run_id="b", spent=unknown), place)
    found = prior_work.found(config)
    assert found.train_flops is None
    assert "run b" in found.train_flops_reason
    records.path_of(place, "b").unlink()
    with pytest.raises(ConfigError, match=r"b.json is missing, of a shape that was searched"):
        prior_work.found(config)


@pytest.mark.slow
def test_a_class_of_the_users_own_changes_what_is_scored_and_what_it_costs(
    make_config: MakeConfig, own: Path
) -> None:
    plain = make_config("meter.inference_seconds=0.05")
    (baseline,) = run.run(plain)
    (record,) = run.run(
        make_config("lever=custom", "lever.path=mine.py:Halved", "meter.inference_seconds=0.05")
    )
    assert (baseline.lever, baseline.lever_reason) == (None, "no lever: this is a baseline")
    assert record.curve[-1].val_error == baseline.curve[-1].val_error, "training is the baseline's"
    assert record.error.val != baseline.error.val, "and what is chosen by is the finished network"
    assert record.error.test != baseline.error.test
    lever, forward = record.lever, baseline.compute.inference_flops_per_example
    assert (lever.density, lever.nominal_inference_flops_per_example) == (0.5, forward / 2)
    assert record.compute.inference_flops_per_example == forward
    assert (lever.prior_runs, lever.prior_train_flops, lever.prior_joules) == ((), 0.0, 0.0)
    for each in (baseline, record):
        assert each.inference.examples % each.inference.batch_size == 0
        assert 0 < each.inference.seconds_per_example < 1e-2
        assert each.inference.joules_per_example is None
    table = tabulate([baseline, record])
    assert sorted(table["lever"]) == ["custom", "none"]
    assert table["total_train_gflops"].tolist() == table["train_gflops"].tolist()
    assert sorted(table["label"]) == ["mlp w8 d1 lever custom", "mlp w8 d1 lever none"]


def test_a_function_that_returns_no_network_is_refused(make_config: MakeConfig, own: Path) -> None:
    config = make_config("lever=custom", "lever.path=mine.py:broken")
    with pytest.raises(ConfigError, match=r"mine.py:broken returned int, not a torch.nn.Module"):
        run.run(config)
    assert not config.directory.exists()


def test_passes_are_timed_one_after_another_and_counted(make_config: MakeConfig) -> None:
    config = make_config()
    trainer = Trainer(config, prepare(config, CPU).data, 1, CPU)
    calls = []
    trainer.model.register_forward_hook(lambda *_: calls.append(1))
    measured, windows = inference.measure(trainer, trainer.model.eval(), 0.05, None)
    assert measured.batch_size == inference.ROWS
    assert measured.examples == (len(calls) - inference.WARM_PASSES) * inference.ROWS
    assert 0 < measured.seconds_per_example * measured.examples < 0.5
    assert windows == ()


def test_examples_are_those_of_the_part_as_the_network_takes_them(make_config: MakeConfig) -> None:
    config = make_config()
    data = prepare(config, CPU).data
    inputs = torch.cat(list(example_batches(data, torch.contiguous_format, "test")))
    assert inputs.shape == (data.test_n, *data.input_shape)
    assert abs(float(inputs.mean())) < 0.1
    assert float(inputs.std()) == pytest.approx(1, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("lever", ["int8", "structured_pruning", "low_rank", "early_exit", "pruning"])
def test_every_lever_that_changes_the_network_leaves_a_whole_record(
    make_config: MakeConfig, lever: str
) -> None:
    """The evaluation of a finished network is inside the settings of a run, as precision."""
    config = make_config(f"lever={lever}", "model.width=32", "model.depth=2", "meter.inference_seconds=0.01")
    for before in prior.chain(config):
        (trained,) = run.run(before)
        assert trained.state == "done", trained.reason
    (record,) = run.run(config)
    if before_it := prior.chain(config):
        shutil.rmtree(before_it[0].directory)
        assert run.run(config) == (record,), "a run that is done needs nothing before it"
    assert record.state == "done", record.reason
    forward = 2 * (64 * 32 + 32 * 32 + 32 * 10)
    nominal = record.lever.nominal_inference_flops_per_example
    assert nominal <= record.compute.inference_flops_per_example <= forward * 1.5
    assert nominal < forward or lever in ("int8", "early_exit")
    assert (record.lever.density < 1) == ("pruning" in lever)
    assert bool(record.lever.prior_runs) == ("pruning" in lever)
    assert record.inference is not None


@pytest.mark.slow
def test_joules_of_forward_passes_are_no_joules_of_training(
    make_config: MakeConfig, nvml_stub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run beside a stub board at a constant 300 W."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub_folder))
    monkeypatch.setattr(metering, "gpu_uuids", lambda device: ("GPU-00000000-0000-0000-0000-000000000000",))
    config = make_config(
        *("meter.window_seconds=1.5", "meter.idle_seconds=0.3", "meter.period_seconds=0.05"),
        "meter.inference_seconds=1",
    )
    (record,) = run.run(config)
    energy, passes = record.energy, record.inference
    assert passes.joules_per_example is not None, passes.joules_per_example_reason
    assert passes.joules_per_example * passes.examples == pytest.approx(300, rel=0.25), "1 s at 300 W"
    assert energy.window_seconds >= 1.5
    repeated = energy.window_seconds - record.time.train_seconds
    assert record.spent.wasted_seconds == pytest.approx(repeated, rel=0.05), "no window of passes among them"
