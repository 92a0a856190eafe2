from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats

from isoflop import record as records
from isoflop.config import Config, ConfigError, compose
from isoflop.meter.energy import rapl
from isoflop.record import Record
from isoflop.runner import energy as metering
from isoflop.runner import prepare, run, trajectory
from isoflop.runner.request import RunRequest
from isoflop.train import schedule
from isoflop.train.loop import Trainer, warm_trainer

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
NO_DIALS = ["model.width=null", "model.depth=null"]


def result(record: Record) -> tuple[object, ...]:
    """What the same configuration must give every time, to the last bit."""
    curve = [(p.step, p.examples, p.val_error, p.val_loss) for p in record.curve]
    return record.run_id, record.error, record.loss, curve


def test_a_run_counts_what_it_did(done_record: Record) -> None:
    compute, timing, error = done_record.compute, done_record.time, done_record.error
    assert compute is not None
    assert timing is not None
    assert error is not None
    steps = 898 // 32
    forward = 64 * 8 + 8 * 10
    assert done_record.state == "done"
    assert compute.examples_seen == steps * 32
    assert compute.forward_macs_per_example == forward
    # The first layer's input needs no gradient, so its backward costs one forward, not two.
    assert compute.train_flops_per_example == 2 * (3 * forward - 64 * 8)
    assert compute.train_flops == compute.train_flops_per_example * steps * 32
    assert compute.inference_flops_per_example == 2 * forward
    assert compute.eval_flops == 2 * forward * (5 * 180 + 719 + 719)
    assert compute.optimizer_flops == 14 * (64 * 8 + 8 + 80 + 10) * steps
    assert compute.counters_agree
    assert timing.examples_per_second == pytest.approx(steps * 32 / timing.train_seconds)
    assert done_record.spent.seconds > timing.train_seconds + timing.eval_seconds + timing.warmup_seconds
    wrong = round(error.test * error.test_n)
    z = stats.norm.ppf(0.975)
    n, p = error.test_n, wrong / error.test_n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert error.ci_low == pytest.approx((middle - half) / (1 + z * z / n))
    assert error.ci_high == pytest.approx((middle + half) / (1 + z * z / n))


def test_the_recorded_rate_is_the_one_at_the_batch_size_used(make_config: MakeConfig) -> None:
    config = make_config("optim=sgd", "optim.lr=0.05", "optim.batch_size=64", "optim.base_batch_size=32")
    (record,) = run.run(config)
    assert record.optim is not None
    assert record.optim.lr == pytest.approx(0.1)


def test_the_recorded_rate_is_the_one_at_the_length_of_the_whole_run(make_config: MakeConfig) -> None:
    """A horizon's too: its branch cools down from the trunk's rate."""
    length = ("schedule=steps", "schedule.epochs=null", "schedule.steps=40", "schedule.cooldowns=[0.5,1]")
    config = make_config(*length, "optim=adamw", "optim.lr=0.01", "optim.base_steps=10")
    for record in run.run(config):
        assert record.optim is not None
        assert record.optim.lr == 0.005


def test_the_curve_ends_where_the_run_ends(done_record: Record) -> None:
    assert done_record.compute is not None
    assert done_record.error is not None
    last = done_record.curve[-1]
    assert len(done_record.curve) == 5
    assert last.examples == done_record.compute.examples_seen
    assert last.train_flops == done_record.compute.train_flops
    assert last.val_error == done_record.error.val


def test_energy_on_a_cpu_is_unknown_with_a_reason(done_record: Record) -> None:
    if rapl.find().domains:
        pytest.skip("this machine's processor can be read")
    assert done_record.energy is None
    assert done_record.energy_reason == f"trained on the CPU; {rapl.find().reason}"


def test_running_again_gives_the_same_bits_and_the_next_attempt(make_config: MakeConfig) -> None:
    config = make_config()
    torch.manual_seed(7)
    one = run.run(config)[-1]
    assert run.run(config) == (one,), "a finished cell is not trained again unless asked"
    two = run.run(config, RunRequest(again=True))[-1]
    assert result(one) == result(two)
    assert (one.attempt, two.attempt) == (1, 2)
    assert records.read(records.path_of(config.directory, config.run_id)) == two


def test_counting_metering_and_evaluating_leave_training_alone(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config("model=resnet", "model.width=4")
    kept: list[Trainer] = []

    def keep(*arguments: Any) -> Trainer:
        kept.append(warm_trainer(*arguments))
        return kept[0]

    monkeypatch.setattr(trajectory, "warm_trainer", keep)
    run.run(config)
    device = torch.device("cpu")
    bare = Trainer(config, prepare.prepare(config, device).data, kept[0].steps, device)
    bare.advance(bare.steps, schedule.learning_rates(config.schedule, bare.steps))
    for name, value in bare.model.state_dict().items():
        assert torch.equal(value, kept[0].model.state_dict()[name]), name


def test_the_ambient_random_state_is_left_alone(make_config: MakeConfig) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run.run(make_config())
    assert torch.equal(before, torch.get_rng_state())


def test_divergence_is_a_state(make_config: MakeConfig) -> None:
    record = run.run(make_config("optim=sgd", "optim.lr=1e20"))[-1]
    assert record.state == "diverged"
    assert "loss" in str(record.reason)
    assert record.error is None


def test_a_last_step_that_blows_up_is_divergence_too(make_config: MakeConfig) -> None:
    """The training loss was still finite; only the evaluation after it is not."""
    one_step = ("schedule=steps", "schedule.epochs=null", "schedule.steps=1", "schedule.warmup_fraction=0")
    record = run.run(make_config(*one_step, "optim=sgd", "optim.lr=1e30"))[-1]
    assert record.state == "diverged"


def test_a_failure_never_takes_the_place_of_a_finished_record(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    (done,) = run.run(config)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "advance", stopped)
    assert run.run(config, RunRequest(again=True))[0].state == "interrupted"
    assert records.read(records.path_of(config.directory, config.run_id)) == done


def test_running_out_of_memory_is_a_state(make_config: MakeConfig) -> None:
    record = run.run(make_config("model.width=300000", "model.depth=2"))[-1]
    assert record.state == "oom"
    assert "can't allocate memory" in str(record.reason)


def test_a_bug_is_a_state_and_leaves_its_traceback(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Trainer, "advance", broken)
    config = make_config()
    record = run.run(config)[-1]
    assert record.state == "failed"
    assert "KeyError" in str(record.reason)
    assert "Traceback" in (config.directory / "logs" / f"{config.run_id}.log").read_text()


def test_ctrl_c_is_a_state(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "advance", stopped)
    assert run.run(make_config())[-1].state == "interrupted"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["optim.batch_size=5000"], "larger than the 898 training examples"),
        (["data=mnist", "data.download=false"], "is missing"),
        (
            ["model=torchvision", "model.architecture=vgg11", *NO_DIALS],
            "cannot take",
        ),
        (["launch.device=cuda"], "no GPU"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="one case is about having no GPU")
def test_bad_input_writes_nothing(
    overrides: list[str], words: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(*overrides)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, root=str(tmp_path / "none")))
    with pytest.raises(ValueError, match=words):
        run.run(config)
    assert not config.directory.exists()


def test_a_flop_budget_is_met_within_a_step(make_config: MakeConfig) -> None:
    record = run.run(make_config("schedule=budget", "schedule.epochs=null", "schedule.train_gflops=0.003"))[
        -1
    ]
    assert record.compute is not None
    assert record.compute.train_flops_per_example is not None
    assert record.compute.train_flops == pytest.approx(3e6, abs=32 * record.compute.train_flops_per_example)


def test_short_cells_are_replayed_and_metered_through_nvml(
    make_config: MakeConfig, nvml_stub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU cell beside a stub board at a constant 300 W: joules must be 300 W x the training seconds."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub_folder))
    uuid = "GPU-00000000-0000-0000-0000-000000000000"
    monkeypatch.setattr(metering, "gpu_uuids", lambda device: (uuid,))
    config = make_config("meter.window_seconds=1.5", "meter.idle_seconds=0.3", "meter.period_seconds=0.05")
    record = run.run(config)[-1]
    energy, timing, spent = record.energy, record.time, record.spent
    assert energy is not None, record.energy_reason
    assert timing is not None
    assert energy.replayed
    assert energy.window_seconds >= 1.5
    assert energy.window_seconds < 3.0, "no longer than is missing"
    assert energy.source == "shape"
    per_second = energy.energy_joules / timing.train_seconds
    assert 150 < per_second < 600, "300 W, at the mean speed of the run and of its repetitions"
    assert energy.own_joules == pytest.approx(300 * timing.train_seconds, abs=300 * 0.15)
    assert energy.devices[0].uuid == uuid
    polls = (config.directory / "power" / f"{record.run_id}.jsonl").read_text().splitlines()
    assert len(polls) > energy.window_seconds / 0.05 / 2
    assert energy.grade != "A"
    assert spent.wasted_seconds == pytest.approx(energy.window_seconds - timing.train_seconds, rel=0.05)
    assert record.curve[-1].energy_joules == pytest.approx(energy.energy_joules)
    assert record.curve[0].energy_joules == pytest.approx(energy.energy_joules / 5, rel=0.3)
    plain = run.run(dataclasses.replace(config, meter=dataclasses.replace(config.meter, energy="none")))[-1]
    assert result(plain) == result(record), "metering changed the training"


def test_the_csv_tracker_writes_the_curve(make_config: MakeConfig) -> None:
    config = make_config("tracker=csv")
    record = run.run(config)[-1]
    lines = (config.directory / "curves" / f"{config.run_id}.csv").read_text().splitlines()
    assert lines[0].startswith("step,examples,seconds,val_error")
    assert len(lines) == 1 + len(record.curve)


def test_provenance_says_where_a_record_is_from(done_record: Record) -> None:
    origin = done_record.provenance
    assert origin.versions["torch"] == torch.__version__.partition("+")[0]
    assert origin.threads == 1
    assert origin.precision == "fp32"
    assert (origin.git_commit is None) == (origin.git_commit_reason is not None)
    assert done_record.cell == json.loads(json.dumps(done_record.cell))


def test_a_gpu_is_refused_where_there_is_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    launch = compose.compose_config([], None).launch
    assert prepare.pick_device(launch) == torch.device("cpu")
    with pytest.raises(ConfigError, match="doctor"):
        prepare.pick_device(dataclasses.replace(launch, device="cuda"))
    with pytest.raises(ValueError, match="graph needs a GPU"):
        prepare.pick_device(dataclasses.replace(launch, step="graph"))


def test_the_processor_of_cells_side_by_side_is_metered_for_none_of_them(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "powercap/intel-rapl:0"
    package.mkdir(parents=True)
    for name, text in (("name", "package-0"), ("energy_uj", "1000"), ("max_energy_range_uj", "262143328850")):
        (package / name).write_text(f"{text}\n")
    found = rapl.find(tmp_path / "powercap")
    assert found.domains
    monkeypatch.setattr(rapl, "find", lambda: found)
    assert metering.processor("nothing") == found
    for shared in ("processor", "gpu"):
        assert metering.processor(shared).domains == ()
    (beside,) = run.run(make_config(), RunRequest(shared="processor"))
    assert beside.energy_reason is not None
    assert "launch.workers=1" in beside.energy_reason
