"""A cell that was stopped ends as if it had not been."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.config import Config, compose
from isoflop.record import Record, heartbeat
from isoflop.runner import attempt, checkpoint, energy, run
from isoflop.train import snapshot_file

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
EPOCHS = 300
TRUNK = ("schedule=steps", "schedule.epochs=null", "schedule.steps=24", "schedule.cooldowns=[0.25,0.5,1]")
KINDS = {
    "mlp": (),
    "trunk": TRUNK,
    "resnet-averaged": (*TRUNK, "model=resnet", "model.width=2", "optim=sgd", "optim.ema_decay=0.9"),
}


def result(found: tuple[Record, ...]) -> list[tuple[object, ...]]:
    """What must be the same to the last bit."""
    return [
        (r.run_id, r.error, r.loss, [(p.step, p.examples, p.val_error, p.val_loss) for p in r.curve])
        for r in found
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_at_any_step_a_cell_ends_with_the_same_bits(
    kind: str, make_config: MakeConfig, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    config = make_config(*KINDS[kind], "schedule.evaluations=3")
    whole = run.run(dataclasses.replace(config, out=str(tmp_path / "whole")))
    for looks in (0, 1, 2, 3, 5, 8, 11, 13, 17, 23, 27):
        here = dataclasses.replace(config, out=str(tmp_path / f"stopped-{looks}"))
        attempts = 0
        while not attempt.finished(here):
            stop_after(looks if attempts % 2 == 0 else 10**6)
            found = run.run(here)
            attempts += 1
            assert attempts < 3
            if attempts == 1 and looks < 20:
                assert found[-1].state == "interrupted", found[-1].reason
        assert result(attempt.finished(here)) == result(whole)
        assert not checkpoint.path_of(here).exists()


def test_stopped_again_and_again_it_still_ends(
    make_config: MakeConfig, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    config = make_config(*TRUNK, "schedule.evaluations=3")
    whole = run.run(dataclasses.replace(config, out=str(tmp_path / "whole")))
    attempts = 0
    while not attempt.finished(config):
        stop_after(4)
        run.run(config)
        attempts += 1
    found = attempt.finished(config)
    assert attempts > 5
    assert result(found) == result(whole)
    assert found[-1].attempt == attempts
    assert sum(r.spent.wasted_flops or 0 for r in found) == 0
    assert [r.spent.flops for r in found] == [r.spent.flops for r in whole]


def start(folder: Path) -> subprocess.Popen[bytes]:
    words = [
        *("model.width=8", "model.depth=1", f"schedule.epochs={EPOCHS}", "launch.threads=1"),
        *(f"out={folder}", "launch.checkpoint_seconds=0.05"),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "isoflop", "run", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stdout and process.stdout.read().decode()
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, ...]:
    """The records of the run of `start` that nothing happens to."""
    words = ("model.width=8", "model.depth=1", f"schedule.epochs={EPOCHS}", "launch.threads=1")
    settings = compose.compose_config((*words, "meter.idle_seconds=0", "meter.window_seconds=0"), None)
    return run.run(dataclasses.replace(settings, out=str(tmp_path_factory.mktemp("undisturbed"))))


# SIGHUP, of a terminal that closes, is in tests/sweep/local/test_signal_phases.py.
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT, signal.SIGKILL])
def test_a_real_signal_costs_no_bit(
    number: signal.Signals, undisturbed: tuple[Record, ...], tmp_path: Path
) -> None:
    process = start(tmp_path)
    wait_for("checkpoints/*.pt", tmp_path, process)
    process.send_signal(number)
    process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "records").exists()
    else:
        assert process.returncode == 75
        (path,) = (tmp_path / "records").iterdir()
        assert records.read(path).state == "interrupted"
    again = start(tmp_path)
    again.communicate(timeout=120)
    assert again.returncode == 0
    (path,) = (tmp_path / "records").iterdir()
    assert result((records.read(path),)) == result(undisturbed)
    assert not list(tmp_path.glob("checkpoints/*"))
    assert not list(tmp_path.glob("progress/*"))


def test_what_an_attempt_lost_is_counted_as_waste(
    make_config: MakeConfig, stop_after: Callable[[int], None]
) -> None:
    config = make_config(*TRUNK[:-1], "schedule.cooldowns=[]")
    stop_after(10)
    run.run(config)
    # The attempt went on to step 17 after its checkpoint and then lost its machine.
    heartbeat.HeartbeatWriter(config.directory, config.run_id).write(checkpoint.heartbeat_of(1, 17, 24, 9.0))
    stop_after(10**6)
    (found,) = run.run(config)
    assert found.compute is not None
    each = found.compute.train_flops_per_example
    assert each is not None
    assert found.spent.wasted_flops == pytest.approx(7 * config.optim.batch_size * each)
    assert 8 < found.spent.wasted_seconds < 9
    assert found.spent.seconds > found.spent.wasted_seconds


def interrupted(config: Config, stop_after: Callable[[int], None], looks: int = 10) -> None:
    stop_after(looks)
    assert run.run(config)[-1].state == "interrupted"


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    make_config: MakeConfig, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    config = make_config(*TRUNK)
    whole = run.run(dataclasses.replace(config, out=str(tmp_path / "whole")))
    stop_after(6)
    run.run(config)
    stop_after(6)
    run.run(config)
    path = checkpoint.path_of(config)
    assert snapshot_file.older(path).exists()
    path.write_bytes(path.read_bytes()[:-100])
    stop_after(10**6)
    steps: list[int] = []
    found = run.run(config, watch=lambda point, _: steps.append(point.step))
    assert steps[0] > 1, "it went on from the older checkpoint"
    assert result(found) == result(whole)


def test_with_both_damaged_it_starts_anew(
    make_config: MakeConfig, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    config = make_config(*TRUNK)
    whole = run.run(dataclasses.replace(config, out=str(tmp_path / "whole")))
    interrupted(config, stop_after)
    interrupted(config, stop_after, 3)
    path = checkpoint.path_of(config)
    for each in (path, snapshot_file.older(path)):
        each.write_bytes(b"not a checkpoint")
    stop_after(10**6)
    assert result(run.run(config)) == result(whole)


def test_a_point_that_was_removed_is_trained_again(
    make_config: MakeConfig, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    config = make_config(*TRUNK)
    whole = run.run(dataclasses.replace(config, out=str(tmp_path / "whole")))
    interrupted(config, stop_after, 12)
    first = next(iter(config.point_ids.values()))
    records.path_of(config.directory, first).unlink()
    stop_after(10**6)
    assert result(run.run(config)) == result(whole)


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(*TRUNK, "launch.checkpoint_seconds=0.000001")

    def full(path: Path, payload: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(snapshot_file, "write_bytes", full)
    found = run.run(config)
    assert "isoflop: no checkpoint was written" in capsys.readouterr().err
    assert {r.state for r in found} == {"done"}


def test_joules_are_summed_over_interruptions(
    make_config: MakeConfig,
    stop_after: Callable[[int], None],
    nvml_stub_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A CPU cell beside a stub board at a constant 300 W, stopped twice."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub_folder))
    uuid = "GPU-00000000-0000-0000-0000-000000000000"
    monkeypatch.setattr(energy, "gpu_uuids", lambda device: (uuid,))
    meter = ("meter.window_seconds=0.01", "meter.idle_seconds=0", "meter.period_seconds=0.05")
    config = make_config("schedule.epochs=120", *meter)
    for looks in (900, 900):
        interrupted(config, stop_after, looks)
    stop_after(10**6)
    (found,) = run.run(config)
    assert found.energy is not None, found.energy_reason
    assert found.time is not None
    assert len(found.energy.devices) == 3
    assert found.energy.window_seconds == pytest.approx(found.time.train_seconds, rel=0.02)
    # The counter moves every 0.1 s, so each attempt's window may miss or gain as much at its edges.
    assert found.energy.energy_joules == pytest.approx(300 * found.energy.window_seconds, abs=3 * 0.1 * 300)
    assert "summed over 3 attempts" in found.energy.grade_reasons
    assert found.curve[-1].energy_joules == pytest.approx(found.energy.energy_joules, abs=3 * 0.1 * 300)
