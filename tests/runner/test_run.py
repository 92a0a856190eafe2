"""One cell by two real processes: one record, and whatever happens to one of them, no cell that hangs."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from isoflop import record
from isoflop.config import Config, ConfigError, compose
from isoflop.meter.energy.polls import Window
from isoflop.record import Energy, Record
from isoflop.runner import checkpoint, energy, ranks, run
from isoflop.runner.request import RunRequest
from isoflop.train import distributed

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
TWO = ("launch.devices=2", "model.width=16", "optim.batch_size=60")
LONG = (
    *TWO,
    "schedule=steps",
    "schedule.epochs=null",
    "schedule.steps=1000",
    "launch.checkpoint_seconds=0.1",
)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pids_by_rank() -> dict[int, int]:
    """Rank -> process of the cell that this process is running."""
    found: dict[int, int] = {}
    for agent in children(os.getpid()):
        if b"isoflop.runner.rank" in Path(f"/proc/{agent}/cmdline").read_bytes():
            for pid in children(agent):
                environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                found |= {int(e.removeprefix(b"RANK=")): pid for e in environ if e.startswith(b"RANK=")}
    return found


def after_checkpoint(config: Config, act: Callable[[dict[int, int]], object]) -> threading.Thread:
    """In a thread: wait for the first checkpoint of the cell, then act on its processes."""

    def wait() -> None:
        deadline = time.monotonic() + 120
        while not checkpoint.path_of(config).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        act(pids_by_rank())

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def result(found: Record) -> list[object]:
    return [found.run_id, found.error, found.loss, [(p.step, p.examples, p.val_loss) for p in found.curve]]


def test_two_processes_write_one_record_that_agrees_with_one(make_config: MakeConfig) -> None:
    config = make_config(*TWO, "meter.cpu_watts=100")
    (both,) = run.run(config)
    assert [p.name for p in (config.directory / "records").iterdir()] == [f"{both.run_id}.json"]
    assert record.read(record.path_of(config.directory, both.run_id)) == both
    assert not (config.directory / "progress").exists() or not list((config.directory / "progress").iterdir())
    launch = dataclasses.replace(config.launch, devices=1)
    (one,) = run.run(dataclasses.replace(config, launch=launch), RunRequest(again=True))
    assert both.state == one.state == "done"
    assert both.run_id == one.run_id
    assert both.compute == one.compute
    assert both.loss is not None
    assert one.loss is not None
    assert both.loss.test == pytest.approx(one.loss.test, abs=1e-5)
    assert both.energy is not None
    assert both.time is not None
    assert both.energy.used == "modelled"
    assert both.energy.energy_joules == pytest.approx(100 * both.energy.window_seconds)
    assert both.energy.window_seconds == pytest.approx(both.time.train_seconds, rel=0.2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The long cell by two processes that nothing happens to."""

    words = ("model.depth=1", "launch.threads=1", "meter.idle_seconds=0", "meter.window_seconds=0", *LONG)
    config = dataclasses.replace(
        compose.compose_config(words, None), out=str(tmp_path_factory.mktemp("whole"))
    )
    (found,) = run.run(config)
    return found


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_fails_the_cell_which_then_resumes(
    victim: int, make_config: MakeConfig, whole: Record
) -> None:
    config = make_config(*LONG)
    killer = after_checkpoint(config, lambda pids: os.kill(pids[victim], signal.SIGKILL))
    clock = time.monotonic()
    (failed,) = run.run(config)
    killer.join()
    assert time.monotonic() - clock < 100
    assert failed.state == "failed"
    assert failed.reason is not None
    assert ("died or hung" if victim == 0 else "another process of this run ended") in failed.reason
    assert record.read(record.path_of(config.directory, failed.run_id)) == failed
    (resumed,) = run.run(config)
    assert (resumed.state, resumed.attempt) == ("done", failed.attempt + 1)
    assert result(resumed) == result(whole)
    assert resumed.compute == whole.compute
    assert not checkpoint.path_of(config).exists()


def test_a_silent_process_fails_the_cell_within_the_time_out(make_config: MakeConfig) -> None:
    config = make_config(*LONG, "launch.parallel_timeout_seconds=4")
    silenced: list[float] = []

    def silence(pids: dict[int, int]) -> None:
        os.kill(pids[1], signal.SIGSTOP)
        silenced.append(time.monotonic())

    thread = after_checkpoint(config, silence)
    (failed,) = run.run(config)
    thread.join()
    assert time.monotonic() - silenced[0] < 25
    assert failed.state == "failed"
    assert failed.reason is not None
    assert "another process of this run ended or fell silent" in failed.reason


def test_a_stop_asked_of_one_stops_all_at_the_same_step(make_config: MakeConfig, whole: Record) -> None:
    config = make_config(*LONG)
    thread = after_checkpoint(config, lambda pids: os.kill(pids[1], signal.SIGTERM))
    (stopped,) = run.run(config)
    thread.join()
    assert stopped.state == "interrupted"
    assert stopped.reason is not None
    assert stopped.reason.startswith("SIGTERM received after step")
    (resumed,) = run.run(config)
    assert result(resumed) == result(whole)
    assert resumed.spent.wasted_seconds == pytest.approx(0, abs=1e-9)


PROGRAM = """
import sys
import msgspec
from isoflop import config; from isoflop.runner import run
found = run.run(config.from_dict(msgspec.json.decode(sys.stdin.buffer.read())))
print(found[-1].state, found[-1].reason, "torch" in sys.modules)
"""


def test_the_process_that_waits_hands_on_signals_and_imports_no_torch(make_config: MakeConfig) -> None:
    config = make_config(*LONG)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(config).decode())
        process.stdin.close()
        thread = after_checkpoint(config, lambda _: process.send_signal(signal.SIGUSR1))
        assert process.stdout is not None
        said = process.stdout.read()
        thread.join()
    assert said.startswith("interrupted SIGUSR1 received after step"), said
    assert said.endswith("False\n")


def test_bad_input_is_one_line_from_whichever_process(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=r"optim.batch_size=60 cannot be shared by 7"):
        run.run(make_config("launch.devices=7", "optim.batch_size=60"))
    config = make_config(*TWO, "data=imagefolder", "data.root=/nowhere")
    with pytest.raises(ConfigError, match="nowhere"):
        run.run(config)
    assert not config.directory.exists()


def test_a_cell_that_another_runs_is_busy(make_config: MakeConfig) -> None:
    config = make_config(*TWO)
    with (
        record.claim(config.directory, config.run_id),
        pytest.raises(record.RecordBusyError, match="another"),
    ):
        run.run(config)


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "5"}
SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_NODES": "1"}


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({}, None),
        (TORCHRUN, ranks.Rank(3, 4, 1, "a", 5)),
        (SRUN, ranks.Rank(3, 4, 1, "127.0.0.1", 20_000)),
        (SRUN | TORCHRUN, ranks.Rank(3, 4, 1, "a", 5)),
        (SRUN | {"SLURM_JOB_ID": "2", "SLURM_STEP_ID": "1"}, ranks.Rank(3, 4, 1, "127.0.0.1", 20_195)),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, None),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
    ],
)
def test_the_environment_says_which_rank_this_is(environ: dict[str, str], rank: ranks.Rank | None) -> None:
    assert ranks.from_environment(environ) == rank


def test_the_number_of_processes_must_be_the_one_asked_for(make_config: MakeConfig) -> None:
    four = ranks.from_environment(TORCHRUN)
    ranks.check(make_config("launch.devices=2", "launch.nodes=2").launch, four, TORCHRUN)
    with pytest.raises(ConfigError, match=r"for 4 processes, and launch\.devices x launch\.nodes is 2"):
        ranks.check(make_config("launch.devices=2").launch, four, TORCHRUN)
    with pytest.raises(ConfigError, match="srun --nodes=2 --ntasks-per-node=4"):
        ranks.check(make_config("launch.devices=4", "launch.nodes=2").launch, None, {})
    with pytest.raises(ConfigError, match="job of as many nodes"):
        ranks.check(make_config("launch.nodes=2").launch, None, {"SLURM_JOB_NUM_NODES": "3"})
    ranks.check(make_config("launch.nodes=2").launch, None, {"SLURM_JOB_NUM_NODES": "2"})


SRUN_OF_TWO = """#!/bin/bash
# As srun: the command once a node, here twice on this one, numbered; a signal goes to all.
printf '%s\\n' "$@" > "{folder}/words"
while [[ $1 == --* ]]; do shift; done
pids=()
for number in 0 1; do SLURM_PROCID=$number SLURM_NODEID=$number "$@" & pids+=($!); done
trap 'kill -TERM "${{pids[@]}}"' TERM
code=0
for pid in "${{pids[@]}}"; do wait "$pid" || code=1; done
exit $code
"""


@pytest.fixture
def two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of two nodes, both of them this machine; the words that srun was given come to be in /words."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "srun").write_text(SRUN_OF_TWO.format(folder=folder))
    (folder / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    return folder


def test_two_nodes_with_a_torchrun_each_write_one_record_that_agrees_with_one(
    two_nodes: Path, make_config: MakeConfig
) -> None:
    """Only the network between them is not tried: both nodes are this machine."""
    config = make_config(*TWO[1:], "launch.nodes=2")
    (both,) = run.run(config)
    words = (two_nodes / "words").read_text().splitlines()
    assert words[:4] == ["--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=3"]
    assert not list(config.directory.glob(".isoflop-*"))
    assert [p.name for p in (config.directory / "records").iterdir()] == [f"{both.run_id}.json"]
    launch = dataclasses.replace(config.launch, nodes=1)
    (one,) = run.run(dataclasses.replace(config, launch=launch), RunRequest(again=True))
    assert both.state == one.state == "done", both.reason
    assert (both.run_id, both.compute) == (one.run_id, one.compute)
    assert both.loss is not None
    assert one.loss is not None
    assert both.loss.test == pytest.approx(one.loss.test, abs=1e-5)
    missing = make_config(*TWO[1:], "launch.nodes=2", "data=imagefolder", "data.root=/nowhere")
    gone = dataclasses.replace(missing, out=str(config.directory / "gone"))
    with pytest.raises(ConfigError, match="nowhere"):
        run.run(gone)
    assert not gone.directory.exists()


def modelled(watts: float, seconds: float) -> Energy:
    from isoflop.meter.energy.measurement import Circumstances, modelled

    return modelled(watts, [Window(0.0, seconds)], Circumstances())


def test_joules_of_nodes_add_up_and_their_seconds_do_not() -> None:
    both = energy.over_nodes([modelled(100, 10), modelled(50, 9)])
    assert both.energy_joules == 1450
    assert both.window_seconds == 10
    assert both.grade_reasons[0] == "summed over 2 nodes"
    assert energy.over_nodes([modelled(100, 10)]) == modelled(100, 10)


class Node:
    """A node's meter, as far as it is asked."""

    has_readings = True

    def __init__(self, watts: float | None) -> None:
        self.watts = watts

    def measurement(self, windows: Any, **_: Any) -> tuple[Energy | None, str | None]:
        return (modelled(self.watts, windows[0].seconds), None) if self.watts else (None, "board lost")

    def joules_so_far(self, windows: Any) -> float | None:
        return self.watts and self.watts * windows[0].seconds


class Told(distributed.World):
    """A world of four whose second node says what `other` says; ranks 1 and 3 meter nothing."""

    other: Any = None

    def all_gather(self, value: Any) -> list[Any]:
        return [value, type(self).silent, type(self).other, type(self).silent]

    silent: Any = None


@pytest.mark.parametrize(("watts", "joules"), [(50.0, 300.0), (None, None)])
def test_a_meter_a_node_counts_every_node_once(watts: float | None, joules: float | None) -> None:
    windows, second = [Window(0.0, 2.0)], Node(watts)
    meter = energy.WorldMeter(Told(0, 4), Node(100.0))  # type: ignore[arg-type]
    Told.other, Told.silent = second.measurement(windows), None
    measured, reason = meter.measurement(windows)
    assert (measured and measured.energy_joules) == joules
    assert reason == (None if watts else "board lost")
    Told.other, Told.silent = [second.joules_so_far(windows)], []
    assert meter.joules_so_far(windows) == joules


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID", "MASTER_PORT", "SLURM_JOB_ID"])
def test_a_variable_that_is_no_number_is_named_and_an_empty_one_is_not_set(name: str) -> None:
    whole = SRUN | TORCHRUN if name in TORCHRUN else SRUN
    with pytest.raises(ConfigError, match=f"the environment variable {name}=1x is not a whole number"):
        ranks.from_environment(whole | {name: "1x"})
    ranks.from_environment(whole | {name: ""})
    assert ranks.from_environment({"RANK": "", "WORLD_SIZE": "", "SLURM_PROCID": ""}) is None


def test_variables_left_over_of_another_job_are_named(make_config: MakeConfig) -> None:
    launch = make_config().launch
    left_over = ranks.from_environment({"RANK": "0", "WORLD_SIZE": "4"})
    with pytest.raises(ConfigError, match=r"RANK=0 and WORLD_SIZE=4 are set, as torchrun .*: unset them"):
        ranks.check(launch, left_over, {})
    of_srun = ranks.from_environment(SRUN)
    with pytest.raises(ConfigError, match="SLURM_PROCID=3 and SLURM_STEP_NUM_TASKS=4 are set, as srun does"):
        ranks.check(launch, of_srun, SRUN)
