"""The record of a loop of the user's own: what it holds, what it refuses, how it ends."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import isoflop
from isoflop import Recorder, RecorderError
from isoflop import record as records
from isoflop.record import heartbeat
from isoflop.record.binomial import wilson

MakeRecorder = Callable[..., Recorder]
TRAIN_FLOPS = 4 * 16 * 8 + 6 * 8 * 4
"""Of the network at width 8: forward and gradients, without that of the first layer's input."""


def train(recorder: Recorder, *logs: dict[str, Any], error: BaseException | None = None) -> None:
    """A loop that logs, and may end by an exception."""
    with recorder:
        for log in logs:
            recorder.log(**log)
        if error is not None:
            raise error


def test_a_loop_leaves_a_whole_record(make_recorder: MakeRecorder) -> None:
    with make_recorder(test_n=100, train_n=50, hyperparameters={"lr": 0.1, "batch_size": 10}) as recorder:
        for epoch in range(1, 4):
            time.sleep(0.03)
            recorder.log(step=5 * epoch - 1, examples=50 * epoch - 10)
            scores = {"val_error": 0.6 / epoch, "val_loss": 1.5, "train_loss": 2 / epoch}
            recorder.log(step=5 * epoch, examples=50 * epoch, **scores)
        recorder.log(step=15, examples=150, test_accuracy=0.75)
    record = records.read(recorder.path)
    assert record == recorder.record
    assert records.problem(record) is None
    assert (record.state, record.attempt, record.schema) == ("done", 1, records.SCHEMA)
    assert record.cell["source"] == "recorder"
    assert record.compute is not None
    assert record.compute.train_flops_per_example == TRAIN_FLOPS
    assert record.compute.train_flops == 150 * TRAIN_FLOPS
    assert record.compute.counters_agree
    assert record.error is not None
    assert (record.error.test, record.error.val) == (0.25, pytest.approx(0.2))
    low, high = (float(end[0]) for end in wilson(np.array([0.25]), np.array([100.0])))
    assert (record.error.ci_low, record.error.ci_high) == pytest.approx((low, high))
    assert record.loss is not None
    assert (record.loss.val, record.loss.train, record.loss.train_over) == (
        1.5,
        pytest.approx(2 / 3),
        "steps",
    )
    assert record.loss.test_reason == "not logged"
    assert record.train_loss is not None
    assert [(each.end_step, each.examples) for each in record.train_loss] == [(5, 50), (10, 100), (15, 150)]
    assert [point.step for point in record.curve] == [5, 10, 15]
    assert record.curve[-1].train_flops == record.compute.train_flops
    assert record.optim is not None
    assert (record.optim.lr, record.optim.batch_size, record.optim.steps) == (0.1, 10, 15)
    assert record.optim.name_reason == "not among the hyperparameters"
    assert record.data is not None
    assert record.data.passes == 3
    assert record.model.parameters == 16 * 8 + 8 + 8 * 4 + 4


def test_evaluations_are_in_neither_joules_nor_seconds(make_recorder: MakeRecorder) -> None:
    with make_recorder() as recorder:
        time.sleep(0.1)
        with recorder.evaluating():
            time.sleep(0.4)
        recorder.log(step=1, examples=1, val_error=0.5)
    record = recorder.record
    assert record is not None
    assert record.time is not None
    assert record.energy is not None
    assert 0.1 <= record.time.train_seconds < 0.3
    assert record.time.eval_seconds >= 0.4
    assert record.energy.energy_joules == pytest.approx(20 * record.time.train_seconds, abs=0.1)
    assert record.curve[0].energy_joules == pytest.approx(20 * record.curve[0].seconds, abs=0.1)


def test_flops_may_be_given_instead_of_a_model(make_recorder: MakeRecorder) -> None:
    with make_recorder(model=None, input_shape=None, train_flops_per_example=5e6, energy=False) as recorder:
        recorder.log(step=1, examples=3, val_loss=2.0)
    record = recorder.record
    assert record is not None
    assert record.compute is not None
    assert record.compute.train_flops == 15e6
    assert record.compute.forward_macs_per_example_reason is not None
    assert "given" in record.compute.forward_macs_per_example_reason
    assert record.compute.counters_agree is None
    assert record.error is None
    assert record.energy_reason == "meter.energy=none"


def test_neither_model_nor_flops_is_a_reason(make_recorder: MakeRecorder) -> None:
    with make_recorder(model=None, input_shape=None) as recorder:
        recorder.log(step=1, examples=3, val_error=0.5)
    assert recorder.record is not None
    assert recorder.record.compute is not None
    assert recorder.record.compute.train_flops_reason == "Recorder was given no model"


def test_ids_follow_what_the_user_says(make_recorder: MakeRecorder, tmp_path: Path) -> None:
    script = tmp_path / "loop.py"
    script.write_text("1")
    base, other_seed = make_recorder(), make_recorder(seed=1)
    assert base.run_id == make_recorder().run_id
    assert base.description.config_id == other_seed.description.config_id
    others = [
        other_seed,
        make_recorder(width=16),
        make_recorder(hyperparameters={"lr": 1.0}),
        make_recorder(data="other"),
        make_recorder(precision="bf16"),
        make_recorder(script=script),
    ]
    assert len({each.run_id for each in (base, *others)}) == 7
    assert others[-1].description.script_sha256 == hashlib.sha256(b"1").hexdigest()
    # What is said of the data is no part of the run.
    assert make_recorder(test_n=5, steps=9, classes=4).run_id == base.run_id


BAD: list[tuple[dict[str, Any], str]] = [
    ({"width": 0}, "width=0: give a whole number above 0"),
    ({"seed": -1}, "seed=-1"),
    ({"seed": True}, "seed=True"),
    ({"name": " "}, "name=' ': give a name"),
    ({"hyperparameters": {"x": object()}}, "hyperparameters: .* give what JSON can hold"),
    ({"hyperparameters": {"lr": math.nan}}, "hyperparameters.lr is nan: give a finite number"),
    ({"hyperparameters": {"a": {"api_key": "x"}}}, "hyperparameters.api_key is named like a secret"),
    ({"model": "resnet"}, "model is a str: give the torch.nn.Module"),
    ({"input_shape": (3, 0)}, "input_shape=.*: give the sizes of one example"),
    ({"train_flops_per_example": -1.0}, "train_flops_per_example=-1.0: give a number above 0"),
    ({"chance_error": 90}, "chance_error=90: give a fraction"),
    ({"script": "/nowhere/x.py"}, "script=/nowhere/x.py: No such file"),
    ({"idle_seconds": -1}, "idle_seconds=-1"),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=[message[:20] for _, message in BAD])
def test_settings_that_cannot_be_used_are_refused(
    make_recorder: MakeRecorder, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecorderError, match=message):
        make_recorder(**settings)
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there_is_refused(make_recorder: MakeRecorder) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RecorderError, match="device cuda:0: "), make_recorder(device="cuda:0"):
        pass
    recorder = make_recorder()
    with recorder:
        recorder.log(step=1, examples=1, val_error=0.5)


def test_a_device_without_a_meter_is_a_reason(make_recorder: MakeRecorder) -> None:
    with make_recorder(device="xla:0") as recorder:
        recorder.log(step=1, examples=1, val_error=0.5)
    assert recorder.record is not None
    assert recorder.record.energy_reason == "isoflop has no meter for xla"


def test_a_loop_that_logged_no_examples_fails(make_recorder: MakeRecorder) -> None:
    recorder = make_recorder()
    with pytest.raises(RecorderError, match=r"no examples were logged: call recorder\.log"), recorder:
        pass
    assert records.read(recorder.path).state == "failed"


LOGS: list[tuple[dict[str, Any], str]] = [
    ({"step": 4, "examples": 60}, "step=4 after step=5"),
    ({"step": 6, "examples": 40}, "examples=40 after examples=50"),
    ({"step": 5, "examples": 60}, "step 5 was logged with examples=50, now 60"),
    ({"step": 6.5, "examples": 60}, "step=6.5: give a whole number"),
    ({"step": 6, "examples": None}, "examples=None: give a whole number"),
    (
        {"step": 6, "examples": 60, "val_error": 12.5},
        "val_error=12.5: give a fraction in .0, 1., not per",
    ),
    (
        {"step": 6, "examples": 60, "val_error": 0.1, "val_accuracy": 0.9},
        "val_error or val_accuracy, not",
    ),
    ({"step": 6, "examples": 60, "train_loss": "low"}, "train_loss='low': give a number"),
]


@pytest.mark.parametrize(("logged", "message"), LOGS, ids=[message[:24] for _, message in LOGS])
def test_a_log_that_cannot_be_is_refused(
    make_recorder: MakeRecorder, logged: dict[str, Any], message: str
) -> None:
    with make_recorder() as recorder:
        recorder.log(step=5, examples=50, val_error=0.5)
        with pytest.raises(RecorderError, match=message):
            recorder.log(**logged)
    assert recorder.record is not None
    assert (recorder.record.state, len(recorder.record.curve)) == ("done", 1)


def test_a_metric_that_is_not_finite_is_a_divergence(make_recorder: MakeRecorder) -> None:
    recorder, said = make_recorder(), "val_loss is nan at step 2: the training has diverged"
    first = {"step": 1, "examples": 1, "val_loss": 1.0}
    with pytest.raises(RecorderError, match=said):
        train(recorder, first, {"step": 2, "examples": 2, "val_loss": math.nan})
    record = records.read(recorder.path)
    assert (record.state, record.reason) == ("diverged", said)


def test_a_divergence_that_the_loop_catches_is_recorded_too(make_recorder: MakeRecorder) -> None:
    with make_recorder() as recorder, pytest.raises(RecorderError):
        recorder.log(step=2, examples=2, train_loss=torch.tensor(math.inf))
    assert records.read(recorder.path).state == "diverged"


def test_a_recorder_records_once(make_recorder: MakeRecorder) -> None:
    recorder = make_recorder()
    with pytest.raises(RecorderError, match=r"recorder\.log: enter the recorder first"):
        recorder.log(step=1, examples=1)
    with recorder:
        recorder.log(step=1, examples=1, val_error=0.5)
        assert not recorder.is_done
    assert recorder.is_done
    for call in (recorder.close, lambda: recorder.log(step=2, examples=2), recorder.pause):
        with pytest.raises(RecorderError, match=r"it is closed: its record is .*\.json"):
            call()
    with pytest.raises(RecorderError, match="entered before"), recorder:
        pass


def test_a_run_that_is_done_is_not_recorded_again_unless_asked(make_recorder: MakeRecorder) -> None:
    for again in (False, True):
        with make_recorder(again=again) as recorder:
            recorder.log(step=1, examples=1, val_error=0.5)
    with pytest.raises(RecorderError, match="this run is done: give another seed"), make_recorder():
        pass
    record = recorder.record
    assert record is not None
    assert record.attempt == 2


def test_one_process_records_a_run(make_recorder: MakeRecorder) -> None:
    first, second = make_recorder(), make_recorder()
    with first:
        with pytest.raises(records.RecordBusyError, match="another process is working on this run"), second:
            pass
        first.log(step=1, examples=1, val_error=0.5)


def test_an_exception_is_recorded_and_propagates(make_recorder: MakeRecorder, tmp_path: Path) -> None:
    recorder = make_recorder()
    with pytest.raises(ZeroDivisionError):
        train(recorder, {"step": 1, "examples": 1, "val_error": 0.5}, error=ZeroDivisionError("by zero"))
    record = records.read(recorder.path)
    assert record.state == "failed"
    assert record.reason is not None
    assert record.reason.startswith("ZeroDivisionError: by zero (traceback in ")
    assert "in train" in (tmp_path / "out/logs" / f"{recorder.run_id}.log").read_text()
    for error, state in ((MemoryError(), "oom"), (KeyboardInterrupt(), "interrupted")):
        recorder = make_recorder(seed=1)
        with pytest.raises(type(error)), recorder:
            raise error
        assert records.read(recorder.path).state == state


def test_a_schedulers_signal_leaves_a_record(make_recorder: MakeRecorder) -> None:
    recorder = make_recorder()

    def loop() -> None:
        with recorder:
            recorder.log(step=1, examples=1, val_error=0.5)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        loop()
    record = records.read(recorder.path)
    assert (record.state, record.reason) == ("interrupted", "SIGTERM received")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_resumed_run_counts_both_attempts(make_recorder: MakeRecorder, tmp_path: Path) -> None:
    recorder, states = make_recorder(), []

    def loop() -> None:
        with recorder:
            time.sleep(0.1)
            recorder.log(step=10, examples=100, val_error=0.5, train_loss=1.0)
            states.append(recorder.state_dict())
            time.sleep(0.1)
            recorder.log(step=16, examples=160, val_error=0.4)
            raise RuntimeError("lost")

    with pytest.raises(RuntimeError):
        loop()
    beat = heartbeat.last(tmp_path / "out", recorder.run_id)
    assert beat is not None
    assert beat[0].steps_done == 16
    torch.save(states[0], tmp_path / "checkpoint.pt")  # as a loop would keep it
    with make_recorder() as resumed:
        resumed.load_state_dict(torch.load(tmp_path / "checkpoint.pt"))
        with pytest.raises(RecorderError, match="step=5 after step=10"):
            resumed.log(step=5, examples=50)
        time.sleep(0.1)
        resumed.log(step=20, examples=200, val_error=0.3)
    record = resumed.record
    assert record is not None
    assert record.attempt == 2
    assert [point.step for point in record.curve] == [10, 20]
    assert record.energy is not None
    assert record.time is not None
    assert record.energy.energy_joules == pytest.approx(20 * record.time.train_seconds, rel=0.05)
    assert 0.2 <= record.time.train_seconds < 0.3
    assert record.curve[1].energy_joules is not None
    assert record.curve[1].energy_joules > 20 * 0.2
    assert record.compute is not None
    assert record.compute.examples_seen == 200
    assert record.spent.wasted_flops == pytest.approx(60 * TRAIN_FLOPS)
    assert record.spent.wasted_seconds == pytest.approx(0.1, abs=0.08)
    assert heartbeat.last(tmp_path / "out", recorder.run_id) is None


def test_a_run_that_starts_over_says_how_to_resume(
    make_recorder: MakeRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError):
        train(make_recorder(), {"step": 10, "examples": 100}, error=RuntimeError("lost"))
    with make_recorder() as again:
        again.log(step=10, examples=100, val_error=0.3)
        again.log(step=11, examples=110, val_error=0.2)
    assert capsys.readouterr().err.count("attempt 2 starts from its first step; to resume, give") == 1
    assert again.record is not None
    assert again.record.spent.wasted_flops == pytest.approx(100 * TRAIN_FLOPS)


def test_a_state_of_another_run_is_refused(make_recorder: MakeRecorder) -> None:
    state = make_recorder(seed=1).state_dict()
    with pytest.raises(RecorderError, match=r"the state is of run .* give Recorder the same"):
        make_recorder().load_state_dict(state)
    with pytest.raises(RecorderError, match="no state of a recorder"):
        make_recorder().load_state_dict({"run_id": make_recorder().run_id})
    recorder = make_recorder()
    with recorder:
        recorder.log(step=1, examples=1, val_error=0.5)
        with pytest.raises(RecorderError, match=r"before the first recorder\.log"):
            recorder.load_state_dict(recorder.state_dict())


def test_heartbeats_say_how_far_a_loop_is(
    make_recorder: MakeRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isoflop.record.heartbeat.PERIOD_SECONDS", 0.0)
    with make_recorder(steps=40) as recorder:
        recorder.log(step=10, examples=100, val_error=0.5)
        beat = heartbeat.last(tmp_path / "out", recorder.run_id)
        assert beat is not None
        assert (beat[0].steps_done, beat[0].steps, beat[0].pid) == (10, 40, os.getpid())


@pytest.mark.slow
def test_a_loop_without_torch_does_not_load_it(tmp_path: Path) -> None:
    program = """
import sys
import isoflop
from isoflop import Recorder
assert "torch" not in sys.modules
with Recorder(sys.argv[1], name="toy", data="toy", seed=0, train_flops_per_example=1e6) as recorder:
    recorder.log(step=1, examples=10, val_error=0.5)
assert "torch" not in sys.modules
print(recorder.record.state)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "done\n", ended.stderr


@pytest.mark.slow
def test_a_program_that_ends_without_closing_leaves_a_record(tmp_path: Path) -> None:
    program = """
import sys
from isoflop import Recorder
recorder = Recorder(sys.argv[1], name="toy", data="toy", seed=0, train_flops_per_example=1e6)
recorder.start()
recorder.log(step=1, examples=10, val_error=0.5)
raise ValueError("a fault of the loop")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    (path,) = (tmp_path / "out/records").glob("*.json")
    record = records.read(path)
    assert ended.returncode == 1
    assert record.state == "failed"
    assert record.reason is not None
    assert record.reason.startswith("ValueError: a fault of the loop")


def test_every_public_name_is_loaded_lazily() -> None:
    assert isoflop.Recorder is Recorder
    assert set(isoflop.__all__) >= {"EnergyMeter", "Recorder", "RecorderError"}
    with pytest.raises(AttributeError, match="no attribute Recoder"):
        _ = isoflop.Recoder


def test_a_record_without_a_reason_would_be_noticed(make_recorder: MakeRecorder) -> None:
    with make_recorder() as recorder:
        recorder.log(step=1, examples=1, val_error=0.5)
    record = recorder.record
    assert record is not None
    assert record.error is not None
    broken = dataclasses.replace(record, error=dataclasses.replace(record.error, test_reason=None))
    assert "record.error.test" in str(records.problem(broken))
