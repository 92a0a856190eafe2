"""Held-out runs: declared before anything is trained, predicted, then trained; never fitted nor changed."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from isoflop import record as records
from isoflop.cli import main, output
from isoflop.config import ConfigError, compose
from isoflop.record import Record
from isoflop.sweep import grid, held_out
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.planning import RunPlan
from isoflop.table import aggregate
from isoflop.table import held_out as declared

HELD = "sweep.held_out=[{model.width: 32}]"
SWEEP = (
    *(
        "sweep",
        "model.width=2,3,4,6,8,12",
        "seed=0",
        "model.depth=1",
        "schedule.epochs=4",
        "launch.threads=1",
    ),
    *(HELD, "out=s"),
)


def planned(tmp_path: Path, *overrides: str) -> tuple[PlannedRun, ...]:
    config = compose.compose_config(["model.width=4,8", HELD, *overrides], None)
    return grid.expand(dataclasses.replace(config, out=str(tmp_path)))


def test_the_declaration_names_the_points_and_is_written_once(tmp_path: Path) -> None:
    runs = planned(tmp_path)
    first = held_out.declare(tmp_path, runs)
    assert first is not None
    _, (held,) = held_out.split(runs)
    assert first.declaration.run_ids == (held.run_id,)
    assert first.declaration.settings == ({"model.width": 32},)
    assert first.declaration_sha256 == declared.sha256(first.declaration)
    assert first.prediction is None
    assert declared.read(tmp_path) == first
    assert held_out.declare(tmp_path, runs) == first, "the same command again changes nothing"
    assert held_out.declare(tmp_path / "other", planned(tmp_path, "sweep.held_out=[]")) is None


def test_other_held_out_runs_and_fitting_one_are_refused_in_one_line(tmp_path: Path) -> None:
    held_out.declare(tmp_path, planned(tmp_path))
    with pytest.raises(ConfigError, match=r"declared other runs on .* cannot be changed any more"):
        held_out.declare(tmp_path, planned(tmp_path, "sweep.held_out=[{model.width: 64}]"))
    with pytest.raises(ConfigError, match=r"was held out on .* cannot be trained to be fitted"):
        held_out.declare(tmp_path, planned(tmp_path, "sweep.held_out=[]", "sweep.grid.model.width=[32]"))
    assert held_out.declare(tmp_path, planned(tmp_path, "sweep.held_out=[]")) is not None, "more fitted runs"


def test_a_file_that_was_edited_is_refused(tmp_path: Path) -> None:
    held_out.declare(tmp_path, planned(tmp_path))
    path = tmp_path / declared.FILE
    path.write_text(path.read_text().replace('"run_ids": [', '"run_ids": ["aaaaaaaaaaaaaaaa",'))
    with pytest.raises(ValueError, match="its SHA-256 differs"):
        declared.read(tmp_path)
    path.write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        declared.read(tmp_path)


def test_a_file_of_schema_1_is_read_as_a_prediction_of_the_forecast(tmp_path: Path) -> None:
    """Its hashes are of what was written then, not of the fields that predictions have since."""
    declaration = {
        **{"run_ids": ["a" * 16], "settings": [{"model.width": 32}], "declared_at": "2026-01-01"},
        **{"isoflop_version": "0.1.0", "git_commit": None, "git_commit_reason": "no checkout"},
    }
    point = {"run_id": "a" * 16, "x": 5.0, "y": 0.1, "new_low": 0.05, "new_high": 0.2}
    prediction = {
        **{"x": "train_gflops", "y": "test_error", "predicted_at": "2026-01-02"},
        **{"declaration_sha256": declared.sha256(declaration), "fitted_points": 6, "fitted_sha256": "0"},
        **{"points": [point], "reason": None},
    }
    old = {
        **{"schema": 1, "declaration": declaration, "declaration_sha256": declared.sha256(declaration)},
        **{"prediction": prediction, "prediction_reason": None},
        **{"prediction_sha256": declared.sha256(prediction)},
    }
    path = tmp_path / declared.FILE
    path.write_text(json.dumps(old))
    read = declared.stored_prediction(tmp_path)
    assert read is not None
    assert (read.law, read.law_reason, read.resources) == (declared.FORECAST, None, ("train_gflops",))
    assert read.points[0].resources == (5.0,)
    assert read.points[0].new_high == 0.2
    prediction["points"] = [point | {"y": 0.15}]
    path.write_text(json.dumps(old))
    with pytest.raises(ValueError, match="its SHA-256 differs"):
        declared.read(tmp_path)
    path.write_text(json.dumps(old | {"schema": declared.SCHEMA + 1}))
    with pytest.raises(ValueError, match="written by a newer isoflop"):
        declared.read(tmp_path)


def test_size_and_bytes_of_a_language_model_are_known_before_it_is_trained(tmp_path: Path) -> None:
    from isoflop.runner import prepare
    from isoflop.train.data import Facts

    overrides = ["sweep=isoflop_lm_toy", "model.width=16", "model.depth=2"]
    config = dataclasses.replace(compose.compose_config(overrides, None), out=str(tmp_path))
    size = prepare.parameters_without_embeddings(config, Facts(10**6, (64,), 256))
    assert size == 2 * (12 * 16**2 + 2 * 16) + 16 + 256 * 16, "blocks with their norms, last norm, readout"
    images = compose.compose_config([], None)
    assert prepare.parameters_without_embeddings(images, Facts(1000, (1, 8, 8), 10)) is None
    plan = RunPlan(2e9, (1e9, 2e9), 30, (10, 20), 1, (64,), size)
    run = PlannedRun(config.run_id, {}, config, held_out=True)
    (point,) = held_out._planned_points([run], [dataclasses.replace(plan, point_flops=(1e9,), ends=(10,))])[
        ["train_gflops", "parameters_without_embeddings", "examples_seen"]
    ].to_numpy()
    assert tuple(point) == (1.0, size, 10 * config.optim.batch_size)


def test_what_is_trained_already_cannot_be_held_out(tmp_path: Path, done_record: Record) -> None:
    runs = planned(tmp_path)
    _, (held,) = held_out.split(runs)
    records.write(dataclasses.replace(done_record, run_id=held.run_id), tmp_path)
    with pytest.raises(ConfigError, match=r"holds the record of .* already"):
        held_out.declare(tmp_path, runs)
    assert not (tmp_path / declared.FILE).exists()


@pytest.mark.slow
def test_a_sweep_predicts_its_held_out_runs_before_it_trains_them(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*SWEEP]) == output.DONE
    shown = capsys.readouterr().out
    file = declared.read(here / "s")
    assert file is not None
    assert file.prediction is not None
    assert file.prediction.reason is None
    (run_id,) = file.declaration.run_ids
    (point,) = file.prediction.points
    assert point.run_id == run_id
    assert file.prediction.fitted_points == 6
    assert point.new_low < point.y < point.new_high
    assert f"predicted {run_id}" in shown
    trained = records.read(records.path_of(here / "s", run_id))
    assert file.declaration.declared_at <= file.prediction.predicted_at <= trained.provenance.started_at
    assert trained.compute is not None
    assert trained.compute.train_flops == pytest.approx(point.x * 1e9), "the FLOPs were known beforehand"

    rows = aggregate.aggregate(here / "s").rows.set_index("run_id")
    assert rows[declared.COLUMN].to_dict() == {each: float(each == run_id) for each in rows.index}
    assert main.main(["fit", "s", "--resamples", "100", "--json", "fit.json"]) == output.DONE
    report = json.loads(Path("fit.json").read_text())["reports"][0]
    assert report["points"] == 6, "never fitted"
    assert {"run_id": run_id, "reason": declared.EXCLUDED} in report["excluded"]
    assert [row["run_id"] for row in report["held_out"]["rows"]] == [run_id]
    assert report["held_out"]["rows"][0]["y"] == trained.error.test if trained.error else False
    assert report["held_out"]["rows"][0]["predicted"] == point.y, "not what this fit would predict"
    assert main.main(["fit", "s", "--laws", "power_law_ols", "--json", "own.json"]) == output.DONE
    own = json.loads(Path("own.json").read_text())["reports"][0]
    assert own["held_out"]["rows"] == report["held_out"]["rows"], "nor what other laws would"

    before = (here / "s" / declared.FILE).read_bytes()
    assert main.main([*SWEEP]) == output.DONE
    assert (here / "s" / declared.FILE).read_bytes() == before
    changed = [word.replace("width: 32", "width: 48") for word in SWEEP]
    assert main.main(changed) == output.INPUT
    assert len(list((here / "s/records").glob("*.json"))) == 7, "nothing was trained"


@pytest.mark.parametrize(
    ("state", "waits"), [("done", 0), ("diverged", 0), ("oom", 0), ("failed", 1), ("interrupted", 1)]
)
def test_held_out_runs_wait_for_those_that_the_next_command_tries_again(
    state: Any, waits: int, tmp_path: Path, done_record: Record
) -> None:
    fitted, _ = held_out.split(planned(tmp_path))
    assert held_out.waits(tmp_path, fitted) == (
        "the held-out runs wait: 2 other points are not done: the same command goes on"
    )
    for each, known in zip(fitted, ("done", state), strict=True):
        reason = None if known == "done" else "for the test"
        record = dataclasses.replace(done_record, run_id=each.run_id, state=known, reason=reason)
        records.write(record, tmp_path)
    line = held_out.waits(tmp_path, fitted)
    assert (line is not None) == bool(waits)
    if state == "failed":
        assert line == (
            f"the held-out runs wait: 1 other points failed ({fitted[1].run_id}): see {tmp_path / 'logs'}, "
            "mend the cause and give the same command, or take their runs out of the grid"
        )


def together(*actions: Callable[[], Any]) -> list[Any]:
    """Return what the actions return or raise when they are started at the same time."""
    start = threading.Barrier(len(actions))

    def act(action: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return action()
        except ConfigError as error:
            return error

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(act, actions))


def test_two_sweeps_that_start_together_share_one_declaration_and_one_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, others = planned(tmp_path), planned(tmp_path, "sweep.held_out=[{model.width: 64}]")
    write, made = held_out._write, []

    def slow_write(file: declared.HeldOutFile, directory: Path) -> None:
        time.sleep(0.2)  # long enough for the other one to have read the folder before
        write(file, directory)

    def predict(directory: Path, declaration: str, points: pd.DataFrame) -> declared.Prediction:
        made.append(points)
        number = f"number {len(made)}"
        return declared.Prediction(
            *("x", "y", "forecast", None, ("x",), number, declaration, 0, "", (), "for the test")
        )

    monkeypatch.setattr(held_out, "_write", slow_write)
    monkeypatch.setattr(held_out, "_predict", predict)
    ended = together(lambda: held_out.declare(tmp_path, runs), lambda: held_out.declare(tmp_path, others))
    (kept,) = (each for each in ended if isinstance(each, declared.HeldOutFile))
    (refused,) = (each for each in ended if isinstance(each, ConfigError))
    assert "declared other runs" in str(refused)
    assert declared.read(tmp_path) == kept

    _, held = held_out.split(runs if kept is ended[0] else others)
    plans = [RunPlan(1e9, (1e9,), 1, (1,), 1, (1, 8, 8))]
    first, second = together(*2 * [lambda: held_out.predict(tmp_path, held, plans)])
    assert first == second == declared.stored_prediction(tmp_path)
    assert len(made) == 1
