from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from isoflop import record as records
from isoflop.cli import main, output
from isoflop.record import Record

TINY = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new user's empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ISOFLOP_DATA", raising=False)
    yield tmp_path
    torch.set_num_threads(1)


def one_line(captured: pytest.CaptureFixture[str]) -> str:
    """The single line an error must be."""
    text = captured.readouterr().err
    assert text.startswith("isoflop: ")
    assert text.count("\n") == 1, text
    return text


def spread_records(directory: Path, like: Record, gflops: list[float], errors: list[float]) -> None:
    """Records of made-up runs, one shape each."""
    assert like.compute is not None
    assert like.error is not None
    for index, (x, y) in enumerate(zip(gflops, errors, strict=True)):
        made = dataclasses.replace(
            like,
            run_id=f"{index:016x}",
            config_id=f"{index:016x}",
            compute=dataclasses.replace(like.compute, train_flops=x * 1e9),
            error=dataclasses.replace(like.error, test=y, ci_low=y * 0.9, ci_high=y * 1.1),
        )
        records.write(made, directory)


def test_run_writes_a_record_and_does_not_repeat_a_done_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["run", *TINY]) == 0
    first = capsys.readouterr().out
    (path,) = (here / "results/runs/records").glob("*.json")
    assert "test error" in first
    assert path.stem in first
    assert main.main(["run", *TINY]) == 0
    assert "done before" in capsys.readouterr().out
    assert records.read(path).attempt == 1
    assert main.main(["run", "--again", *TINY]) == 0
    assert records.read(path).attempt == 2


@pytest.mark.slow
def test_a_sweep_runs_what_is_missing_then_fits_and_reports(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["sweep", "model.width=4,16,64", "seed=0,1", "sweep.name=tiny", *TINY[1:]]
    assert main.main(sweep) == 0
    assert "6 cells, 6 to run" in capsys.readouterr().out
    manifest = [json.loads(line) for line in (here / "results/tiny/manifest.jsonl").read_text().splitlines()]
    work = [cell["planned_train_flops"] for cell in manifest]
    assert work == sorted(work, reverse=True)
    sorted((here / "results/tiny/records").iterdir())[0].unlink()
    assert main.main(sweep) == 0
    assert "6 cells, 1 to run" in capsys.readouterr().out
    assert main.main(["aggregate", "results/tiny", "--json", "-"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert len(table["rows"]) == 6
    assert table["rows"][0]["energy_joules"] is None
    assert main.main(["fit", "results/tiny", "--resamples", "100", "--json", "fit-copy.json"]) == 0
    assert json.loads(Path("fit-copy.json").read_text())["reports"][0]["points"] == 6
    assert main.main(["report", "results/tiny", "--resamples", "100"]) == 0
    assert "page: results/tiny/index.html" in capsys.readouterr().out
    for name in ("index.html", "fit.json", "table.csv", "dropped.csv", "manifest.jsonl"):
        assert (here / "results/tiny" / name).is_file(), name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "model.widht=3"], "did you mean model.width"),
        (["run", "modle=mlp"], "did you mean model"),
        (["run", "model=resnte"], "Available options in 'model': convmixer mlp resnet torchvision vit"),
        (["run", "model.width=wide"], "model.width=wide: expected int"),
        (["run", "model.width=-3"], "model.width=-3: expected int >= 1"),
        (["run", "model.width=0"], "model.width=0: expected int >= 1"),
        (["run", "optim.batch_size=5000"], "larger than the 898 training images"),
        (["run", "data=cifar10", "data.download=false"], "cifar-10-batches-py/data_batch_1 is missing"),
        (["run", "seed=99999999999999999999"], "seed"),
        (["run", "nonsense"], "not an override"),
        (["run", "--bogus"], "unknown option --bogus"),
        (["run", "--config-dir", "nowhere"], "there is no such folder"),
        (["run", "model.width=8,16"], "use isoflop sweep"),
        (["run", "out=/proc/none/here"], "No such file or directory"),
        (["run", "-m", "model.width=8,16", "model.widht=1"], "did you mean model.width"),
        (["run", "-m", "model.width=8,0", *TINY[1:]], "expected int >= 1"),
        (["sweep"], "no cells"),
        (["sweep", "model=mlp,resnet"], "axis is a value"),
        (["sweep", "sweep=digits", "optim.batch_size=5000"], "larger than the 898"),
        (["sweep", "sweep=digist"], "Available options in 'sweep'"),
        (["aggregate", "nowhere"], "no records folder"),
        (["fit", "nowhere"], "nowhere: no such file or folder"),
        (["report", "nowhere"], "no records folder"),
        (["fit", "nowhere", "--resamples", "3"], "at least 100"),
        (["fit", "nowhere", "model.width=3"], "does not take model.width=3"),
        (["flops", "resnet", "--input", "3,x,3"], "channels,height,width"),
        (["flops", "resnet", "--classes", "0"], "at least 1"),
        (["doctor", "--json", "/none/here.json"], "a folder that exists"),
        (["flops", "resnte"], "Available options in 'model'"),
        (["flops", "torchvision:resnet1"], "did you mean resnet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    arguments: list[str], words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == output.INPUT
    assert words in one_line(capsys)
    assert list(here.rglob("*.json")) == []


def test_an_unwritable_folder_is_told_before_training(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("in the way")
    assert main.main(["run", "out=file/inside", *TINY]) == output.INPUT
    assert "file" in one_line(capsys)


def test_a_full_disk_is_the_machines_fault_and_loses_no_record(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main.main(["run", "seed=1", *TINY]) == 0
    capsys.readouterr()
    (old,) = (here / "results/runs/records").glob("*.json")
    before = old.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main.main(["run", "seed=2", *TINY]) == output.FAILED
    assert "No space left on device" in one_line(capsys)
    assert [p.read_bytes() for p in (here / "results/runs/records").iterdir()] == [before]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (["optim=sgd", "optim.lr=1e20"], output.DIVERGED),
        (["model.width=300000", "model.depth=2"], output.OOM),
    ],
)
def test_exit_codes_tell_the_state(extra: list[str], code: int, here: Path) -> None:
    assert main.main(["run", *TINY, *extra]) == code


@pytest.mark.parametrize(("damage", "words"), [("{", "damaged"), ('{"schema": 99}', "newer")])
def test_a_bad_record_is_named_and_the_others_still_count(
    damage: str, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["sweep", "seed=0,1", "sweep.name=two", *TINY]) == 0
    bad = sorted((here / "results/two/records").iterdir())[0]
    bad.write_text(damage)
    capsys.readouterr()
    assert main.main(["aggregate", "results/two"]) == 0
    shown = capsys.readouterr().out
    assert words in shown
    assert bad.stem in shown
    assert "1 points, 1 dropped" in shown
    assert bad.read_text() == damage, "aggregate must not touch records"


def test_fewer_than_three_scales_cannot_be_fitted(
    here: Path, done_record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    spread_records(here / "d", done_record, [1.0, 10.0], [0.2, 0.1])
    assert main.main(["fit", "d"]) == output.INPUT
    assert "scales" in one_line(capsys)
    assert not (here / "d/fit.json").exists()


def test_impossible_errors_are_excluded_by_name(
    here: Path, done_record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    spread_records(here / "d", done_record, [1, 10, 100, 1000, 5000], [0.4, 0.2, 0.1, 0.05, 1.7])
    assert main.main(["fit", "d", "--resamples", "100", "--json", "-"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)["reports"][0]
    assert report["points"] == 4
    assert [e["run_id"] for e in report["excluded"]] == [f"{4:016x}"]


def test_an_unknown_column_names_the_nearest(
    here: Path, done_record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    spread_records(here / "d", done_record, [1, 10, 100], [0.4, 0.2, 0.1])
    assert main.main(["fit", "d", "--x", "train_gflop"]) == output.INPUT
    assert "train_gflops" in one_line(capsys)


def test_a_run_that_another_process_holds_is_left_to_it(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "lockf", held)
    assert main.main(["run", *TINY]) == output.FAILED
    assert "another process is running this cell" in one_line(capsys)
    assert list(here.rglob("*.json")) == []


@pytest.mark.slow
def test_ctrl_c_ends_a_sweep_with_every_cell_accounted_for(here: Path) -> None:
    """A real Ctrl-C, to the whole process group, in the middle of a sweep; then the same command again."""
    command = [
        sys.executable,
        "-m",
        "isoflop",
        "sweep",
        "seed=range(0,40)",
        "out=s",
        *TINY,
        "schedule.epochs=8",
    ]
    sweep = subprocess.Popen(command, stdout=-1, stderr=-1, start_new_session=True, text=True)
    while len(list(here.glob("s/records/*.json"))) < 3 and sweep.poll() is None:
        time.sleep(0.02)
    os.killpg(sweep.pid, signal.SIGINT)
    _, told = sweep.communicate(timeout=60)
    assert sweep.returncode == output.INTERRUPTED
    assert told.endswith("isoflop: interrupted: run the same command again to go on\n")
    states = {records.read(path).state for path in here.glob("s/records/*.json")}
    assert states <= {"done", "interrupted"}
    assert main.main(command[3:]) == output.DONE
    assert len(list(here.glob("s/records/*.json"))) == 40


def test_traces_only_with_debug(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main.main(["run", "--debug", "model.width=0"])
    assert "Traceback" in capsys.readouterr().err


def test_hydras_multirun_writes_the_same_records(here: Path) -> None:
    assert main.main(["run", "-m", "seed=0,1", "out=multi", *TINY]) == 0
    assert main.main(["sweep", "seed=0,1", "out=swept", *TINY]) == 0
    multi, swept = (sorted((here / d / "records").glob("*.json")) for d in ("multi", "swept"))
    assert [p.name for p in multi] == [p.name for p in swept]
    for a, b in zip(multi, swept, strict=True):
        assert records.read(a).error == records.read(b).error


def test_a_users_own_config_folder_is_found(here: Path) -> None:
    (here / "mine/sweep").mkdir(parents=True)
    (here / "mine/sweep/own.yaml").write_text("name: own\ngrid: {seed: [0, 1, 2]}\n")
    assert main.main(["sweep", "--config-dir", "mine", "sweep=own", *TINY]) == 0
    assert len(list((here / "results/own/records").glob("*.json"))) == 3


def test_flops_and_doctor_speak_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["flops", "torchvision:resnet50", "--json", "-"]) == 0
    macs = json.loads(capsys.readouterr().out)["forward_macs_per_example"]
    assert macs == pytest.approx(4.089e9, rel=1e-3)
    assert main.main(["flops", "mlp", "--input", "1,8,8", "--classes", "10"]) == 0
    assert "GMACs" in capsys.readouterr().out
    assert main.main(["doctor", "--json", "-"]) == 0
    subjects = {finding["subject"] for finding in json.loads(capsys.readouterr().out)}
    assert {"training", "FLOPs", "energy", "data", "results"} <= subjects
    assert main.main(["doctor"]) == 0


def test_help_and_version_need_no_heavy_import() -> None:
    code = (
        "import sys; from isoflop.cli import main as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'hydra', 'pandas', 'scipy', 'matplotlib', 'plotly', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
