"""A stop signal in every phase of a run: 75 and one plain line, and what was trained is kept.

The signals are real; they come in this process, when the run enters the phase.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop import record as records
from isoflop import signals
from isoflop.cli import main
from isoflop.config import Config
from isoflop.record import Record
from isoflop.runner import attempt, checkpoint, evaluation, run, segment, trajectory
from isoflop.signals import StopNow, _Interrupt
from isoflop.train.loop import Trainer

MakeConfig = Callable[..., Config]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
TINY: tuple[str, ...] = ("data=digits", "model=mlp", "model.width=8", "model.depth=1", "schedule=steps")
TINY += ("schedule.epochs=null", "schedule.steps=24", "schedule.evaluations=2", "launch.threads=1")
TINY += ("meter.idle_seconds=0", "meter.window_seconds=0")
BEFORE_TRAINING: dict[str, tuple[Any, str]] = {
    "planning": (attempt, "prepare"),
    "compile": (Trainer, "warm_up"),
    "metering the idle device": (trajectory, "_meter_of"),
}
IN_TRAINING: dict[str, tuple[Any, str]] = {
    "training": (segment.SegmentTrainer, "_burst"),
    "evaluation": (evaluation.Evaluator, "validate"),
    "evaluation of a point": (evaluation.Evaluator, "score"),
}
AT_THE_END: dict[str, tuple[Any, str]] = {
    "metering": (trajectory, "energy_of"),
    "writing": (records, "write"),
}


@pytest.fixture(autouse=True)
def as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps one by one, so that a signal in training finds one ahead."""
    monkeypatch.setattr(segment, "LONGEST_BURST_STEPS", 1)


def signalled(
    monkeypatch: pytest.MonkeyPatch, phase: tuple[Any, str], number: int, times: int = 1
) -> Callable[[], int]:
    """Send this process a signal as it enters the phase; return how often it was entered."""
    holder, name = phase
    original, entered = getattr(holder, name), []

    def enter(*arguments: Any, **options: Any) -> Any:
        entered.append(name)
        if len(entered) == 1:
            for _ in range(times):
                os.kill(os.getpid(), number)
        return original(*arguments, **options)

    monkeypatch.setattr(holder, name, enter)
    return lambda: len(entered)


def isoflop(out: Path) -> int:
    with signals.interrupting():
        return main.main(["run", *TINY, f"out={out}"])


def the_record(out: Path) -> Record:
    (path,) = (out / "records").iterdir()
    return records.read(path)


def whole(out: Path) -> tuple[object, ...]:
    record = the_record(out)
    curve = [(each.step, each.val_error, each.val_loss) for each in record.curve]
    return record.state, record.error, record.loss, curve


@pytest.mark.parametrize("phase", BEFORE_TRAINING)
@pytest.mark.parametrize("number", SIGNALS)
def test_before_training_it_ends_at_once(
    phase: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled(monkeypatch, BEFORE_TRAINING[phase], number)
    trained = signalled(monkeypatch, (segment.SegmentTrainer, "_burst"), 0)
    assert isoflop(tmp_path) == 75
    assert trained() == 0
    assert not (tmp_path / "checkpoints").exists()
    if (tmp_path / "records").exists():
        record = the_record(tmp_path)
        assert record.state == "interrupted"
        assert str(record.reason).endswith("before training: run it again to go on")


@pytest.mark.parametrize("phase", IN_TRAINING)
@pytest.mark.parametrize("number", SIGNALS)
def test_in_training_and_evaluation_it_keeps_a_checkpoint_and_resumes(
    phase: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninterrupted, out = tmp_path / "whole", tmp_path / "out"
    assert isoflop(uninterrupted) == 0
    with monkeypatch.context() as patch:
        signalled(patch, IN_TRAINING[phase], number)
        assert isoflop(out) == 75
    record = the_record(out)
    assert record.state == "interrupted"
    assert "run it again to go on" in str(record.reason)
    assert len(list((out / "checkpoints").iterdir())) == 1
    steps = signalled(monkeypatch, (segment.SegmentTrainer, "_burst"), 0)
    assert isoflop(out) == 0
    assert steps() == {"training": 23, "evaluation": 12, "evaluation of a point": 0}[phase]
    assert whole(out) == whole(uninterrupted)
    assert not list((out / "checkpoints").iterdir())


@pytest.mark.parametrize("phase", AT_THE_END)
@pytest.mark.parametrize("number", SIGNALS)
def test_at_the_end_the_record_is_written_and_nothing_is_left_to_do(
    phase: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled(monkeypatch, AT_THE_END[phase], number)
    assert isoflop(tmp_path) == 0
    assert the_record(tmp_path).state == "done"


@pytest.mark.parametrize("phase", AT_THE_END)
def test_between_two_points_the_first_is_written_and_the_rest_resumes(
    phase: str, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(*TINY, "schedule.cooldowns=[0.5,1]")
    signalled(monkeypatch, AT_THE_END[phase], signal.SIGTERM)
    first, second = run.run(config)
    assert (first.state, second.state) == ("done", "interrupted")
    assert checkpoint.path_of(config).exists()
    assert [each.state for each in run.run(config)] == ["done", "done"]


@pytest.mark.parametrize("number", signals.BESIDE_CTRL_C)
def test_the_signal_of_a_scheduler_may_come_twice(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled(monkeypatch, IN_TRAINING["evaluation"], number, times=2)
    assert isoflop(tmp_path) == 75
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_an_interrupted_command_is_not_interrupted_again() -> None:
    handler = _Interrupt()
    with pytest.raises(KeyboardInterrupt):
        handler(signal.SIGTERM, None)
    handler(signal.SIGUSR1, None)


def test_what_a_signal_asked_for_is_not_interrupted_by_the_next() -> None:
    """SLURM's SIGTERM comes to all processes, and once more as USR1 from the batch script."""
    with signals.interrupting():
        with signals.watched():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)
    with signals.interrupting():
        with pytest.raises(KeyboardInterrupt), signals.interrupting():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)


def test_a_signal_from_before_ends_what_may_end_at_once() -> None:
    stop = signals.Stop()
    stop.ask(signal.SIGTERM, None)
    stop.ask(signal.SIGUSR1, None)
    assert stop.reason == "SIGTERM received", "the first counts"
    with pytest.raises(StopNow, match="SIGTERM received"), stop.at_once():
        pytest.fail("it was entered")
    stop.ask(signal.SIGTERM, None)  # outside, it is noted only


def test_a_run_of_a_worker_sees_the_signal_that_came_before_it() -> None:
    with signals.watched() as outer, signals.watched() as inner:
        assert inner is outer
        os.kill(os.getpid(), signal.SIGHUP)
        assert inner.reason == "SIGHUP received"
    with signals.watched() as later:
        assert later.reason is None


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts a command
    try:
        with signals.watched() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.reason is None
        signals.interrupt_on_stop()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
        for number in signals.BESIDE_CTRL_C:
            signal.signal(number, signal.SIG_DFL)


def test_a_signal_that_is_held_comes_afterwards() -> None:
    seen: list[int] = []
    with signals.handled(signals.STOP_SIGNALS, lambda number, frame: seen.append(number)):
        with signals.held():
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert seen == [signal.SIGTERM]
