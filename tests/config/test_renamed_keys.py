"""Configuration keys under the names of earlier releases: read for one release, with the new name offered."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from isoflop import config
from isoflop.config import Config, compose, keys
from isoflop.sweep import grid, manifest

OLD, NEW = "launch.slurm.cells_per_task", "launch.slurm.runs_per_task"
WARNING = (
    f"isoflop: {OLD} is now called {NEW}: use the new name, the old one stops working in the next release\n"
)
Table = Callable[[Mapping[str, str]], None]


@pytest.fixture(autouse=True)
def _warn_again() -> Iterator[None]:
    keys._warn_renamed.cache_clear()
    yield
    keys._warn_renamed.cache_clear()


@pytest.fixture
def rename(monkeypatch: pytest.MonkeyPatch) -> Table:
    """rename({old: new}) replaces the table of renamed keys."""
    return lambda table: monkeypatch.setattr(keys, "RENAMED_KEYS", dict(table))


def with_old_name(settings: Config, value: int) -> dict[str, Any]:
    """Return the plain settings as an earlier release wrote them."""
    plain = copy.deepcopy(config.to_dict(settings))
    del plain["launch"]["slurm"]["runs_per_task"]
    plain["launch"]["slurm"]["cells_per_task"] = value
    return plain


def test_every_new_name_is_a_key_and_no_old_one_is() -> None:
    names = set(config.names())
    assert set(keys.RENAMED_KEYS.values()) <= names
    assert not set(keys.RENAMED_KEYS) & names


@pytest.mark.parametrize("prefix", ["", "++"])
def test_an_override_under_the_old_name_is_read_and_the_new_one_offered(
    prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    composed = compose.compose_config([f"{prefix}{OLD}=3"], None)
    assert composed.launch.slurm.runs_per_task == 3
    assert capsys.readouterr().err == WARNING


def test_the_length_of_a_replay_is_now_that_of_the_window(capsys: pytest.CaptureFixture[str]) -> None:
    assert compose.compose_config(["meter.replay_seconds=3"], None).meter.window_seconds == 3
    assert "meter.replay_seconds is now called meter.window_seconds" in capsys.readouterr().err


def test_the_warning_comes_once_a_process_and_not_for_new_names(capsys: pytest.CaptureFixture[str]) -> None:
    compose.compose_config([f"{NEW}=3"], None)
    assert capsys.readouterr().err == ""
    for _ in range(2):
        compose.compose_config([f"{OLD}=3"], None)
    assert capsys.readouterr().err == WARNING


def test_plain_values_under_the_old_name_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    base = compose.compose_config([], None)
    assert config.from_dict(with_old_name(base, 5)).launch.slurm.runs_per_task == 5
    assert capsys.readouterr().err == WARNING


def test_a_file_of_the_users_own_counts_unless_the_command_line_says_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file has the old name; the defaults that it extends have the new one."""
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch/mine.yaml").write_text(
        "defaults: [base, _self_]\nname: slurm\nslurm: {cells_per_task: 7}\n"
    )
    composed = compose.compose_config(["launch=mine"], str(tmp_path))
    assert composed.launch.slurm.runs_per_task == 7
    assert capsys.readouterr().err == WARNING
    composed = compose.compose_config(["launch=mine", f"{NEW}=2"], str(tmp_path))
    assert composed.launch.slurm.runs_per_task == 2


@pytest.mark.parametrize(
    "overrides",
    [
        ["optim.rate=0.1,0.2"],
        ["sweep.grid={optim.rate: [0.1, 0.2]}"],
        ["sweep.grid={optim: {rate: [0.1, 0.2]}}"],
        ["sweep.points=[{optim.rate: 0.1}, {optim: {rate: 0.2}}]"],
    ],
)
def test_axes_under_the_old_name_are_axes_of_the_new_one(
    overrides: list[str], rename: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    rename({"optim.rate": "optim.lr"})
    runs = grid.expand(compose.compose_config(overrides, None))
    assert [planned.config.optim.lr for planned in runs] == [0.1, 0.2]
    assert [set(planned.settings) for planned in runs] == [{"optim.lr"}] * 2
    assert "isoflop: optim.rate is now called optim.lr" in capsys.readouterr().err
    new = [each.replace("rate", "lr") for each in overrides]
    assert [p.run_id for p in runs] == [p.run_id for p in grid.expand(compose.compose_config(new, None))]


def test_hydras_multirun_gets_the_new_name(rename: Table, tmp_path: Path) -> None:
    rename({"optim.rate": "optim.lr"})
    rates: list[float] = []
    command = ["optim.rate=0.1,0.2", f"out={tmp_path}", f"hydra.sweep.dir={tmp_path}"]
    compose.multirun(command, None, lambda composed: rates.append(compose.from_hydra(composed).optim.lr))
    assert rates == [0.1, 0.2]


def test_a_manifest_of_an_earlier_release_is_read(
    make_config: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = grid.expand(make_config("seed=0,1"))
    path = grid.write_manifest(runs, runs[0].config.directory)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    old = [
        line | {"config": with_old_name(runs[0].config, 4) | {"seed": line["config"]["seed"]}}
        for line in lines
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in old))
    read = manifest.read_runs(path)
    assert [planned.run_id for planned in read] == [planned.run_id for planned in runs]
    assert {planned.config.launch.slurm.runs_per_task for planned in read} == {4}
    assert [planned.config.run_id for planned in read] == [planned.run_id for planned in runs]
    assert dataclasses.replace(read[1].config.launch.slurm, runs_per_task=1) == runs[1].config.launch.slurm
    assert capsys.readouterr().err == WARNING
    path.write_text('{"run_id":"x","settings":{},"config":5,"cells_per_task":1}\n')
    with pytest.raises(config.ConfigError, match="line 1 is damaged"):
        manifest.read_runs(path)
