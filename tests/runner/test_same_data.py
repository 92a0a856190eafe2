"""Data that change under their name: a run on the old ones is neither done nor resumed, nor are they kept."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from msgspec.structs import replace
from PIL import Image

from isoflop import record as records
from isoflop import signals
from isoflop.cli import main
from isoflop.config import Config, ConfigError, to_dict
from isoflop.runner import checkpoint, run, same_data, segment
from isoflop.runner.prepare import prepare
from isoflop.runner.request import RunRequest
from isoflop.runner.state import TrainingState
from isoflop.sweep import planning
from isoflop.sweep.grid import PlannedRun
from isoflop.train import snapshot_file

CPU = torch.device("cpu")
MakeConfig = Callable[..., Config]
LANGUAGE = (
    *("recipe=language", "data=text", "model.context=8", "model.head_width=4", "optim.batch_size=64"),
    *("schedule.epochs=null", "schedule.steps=6", "data.eval_bytes=256"),
)


def write_text(folder: Path, seed: int) -> Path:
    """Twenty documents of 100 to 200 letters, others for each seed but of the same lengths."""
    folder.mkdir(exist_ok=True)
    draw = np.random.default_rng(seed)
    for number in range(20):
        letters = draw.integers(97, 123, size=100 + 5 * number).astype(np.uint8)
        path = folder / f"{number:02}.txt"
        path.write_bytes(letters.tobytes())
        os.utime(path, ns=(seed * 10**9, seed * 10**9))
    return folder


def write_images(folder: Path, seed: int) -> Path:
    """Two classes of ten images to train on and two to test on."""
    draw = np.random.default_rng(seed)
    for part, count in (("train", 10), ("test", 2)):
        for name in ("a", "b"):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).resize((8 + seed, 8)).save(folder / part / name / f"{number}.png")
    return folder


@pytest.fixture
def on_text(make_config: MakeConfig, tmp_path: Path) -> Config:
    return make_config(*LANGUAGE, f"data.path={write_text(tmp_path / 'books', 1)}", "model.width=4")


@pytest.fixture
def on_images(make_config: MakeConfig, tmp_path: Path) -> Config:
    root = write_images(tmp_path / "images", 0)
    return make_config(
        "model=mlp", "data=imagefolder", "data.resolution=8", f"data.root={root}", "optim.batch_size=4"
    )


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[Config], None]:
    """interrupt(config) leaves a checkpoint after the run's first step."""

    class Stopped(signals.Stop):
        def __init__(self) -> None:
            self.looks = 1

        @property
        def reason(self) -> str | None:  # type: ignore[override]
            self.looks -= 1
            return "SIGTERM received" if self.looks < 0 else None

        @contextlib.contextmanager
        def at_once(self) -> Iterator[None]:
            yield  # it stops at steps only: looks are counted

    def until_stopped(config: Config) -> None:
        @contextlib.contextmanager
        def watched() -> Iterator[signals.Stop]:
            yield Stopped()

        with monkeypatch.context() as patch:
            patch.setattr(segment, "LONGEST_BURST_STEPS", 1)
            patch.setattr(signals, "watched", watched)
            assert run.run(config)[-1].state == "interrupted"

    return until_stopped


def test_a_warm_process_reads_changed_data_again(on_text: Config, on_images: Config, tmp_path: Path) -> None:
    for config, write in ((on_text, write_text), (on_images, write_images)):
        before = prepare(config, CPU).data
        assert prepare(config, CPU).data is before
        write(tmp_path / ("books" if write is write_text else "images"), 3)
        assert prepare(config, CPU, reread_changed=False).data is before
        after = prepare(config, CPU).data
        assert after.split_sha256 != before.split_sha256
        assert prepare(config, CPU).data is after


def test_a_run_on_other_text_is_not_done(
    on_text: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = run.run(on_text)
    assert run.run(on_text) == (first,), "done on the same text"
    write_text(tmp_path / "books", 2)
    path = records.path_of(on_text.directory, on_text.run_id)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"data\.path=.*books.*record .*--again") as error:
        run.run(on_text)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert not checkpoint.path_of(on_text).exists()
    settings = to_dict(on_text)
    overrides = [
        *LANGUAGE,
        *("model.width=4", "model.depth=1", "launch.threads=1", f"out={on_text.out}"),
        f"data.path={settings['data']['path']}",
    ]
    assert main.main(["run", *overrides]) == 2
    assert "isoflop: data.path=" in capsys.readouterr().err
    (anew,) = run.run(on_text, RunRequest(again=True))
    assert anew.data is not None
    assert first.data is not None
    assert anew.data.split_sha256 != first.data.split_sha256
    assert run.run(on_text) == (anew,)


def test_a_checkpoint_on_other_text_is_not_resumed(
    on_text: Config, tmp_path: Path, interrupt: Callable[[Config], None]
) -> None:
    interrupt(on_text)
    write_text(tmp_path / "books", 2)
    before = checkpoint.path_of(on_text).read_bytes()
    with pytest.raises(ConfigError, match=r"data\.path=.*books.*checkpoint .*put the former text back"):
        run.run(on_text)
    assert checkpoint.path_of(on_text).read_bytes() == before
    assert records.read_state(records.path_of(on_text.directory, on_text.run_id)) == "interrupted"
    write_text(tmp_path / "books", 1)
    (resumed,) = run.run(on_text)
    assert resumed.state == "done"
    assert resumed.attempt == 2


def test_images_too(on_images: Config, tmp_path: Path) -> None:
    run.run(on_images)
    write_images(tmp_path / "images", 3)
    with pytest.raises(ConfigError, match=r"data=imagefolder, data\.root=.*images"):
        run.run(on_images)


def test_a_checkpoint_of_an_earlier_version_is_resumed_and_says_it_from_then_on(
    on_text: Config, interrupt: Callable[[Config], None]
) -> None:
    interrupt(on_text)
    path = checkpoint.path_of(on_text)
    stored = snapshot_file.read(path)
    state = msgspec.json.decode(stored.header, type=TrainingState)
    assert state.split_sha256 == prepare(on_text, CPU).data.split_sha256
    older = msgspec.json.decode(msgspec.json.encode(replace(state, split_sha256=None)))
    del older["split_sha256"]
    snapshot_file.save(path, msgspec.json.encode(older).decode(), stored.snapshots)
    interrupt(on_text)
    written = checkpoint.read_state(on_text)
    assert written is not None
    assert written.steps_done > state.steps_done, "it was resumed"
    assert written.split_sha256 == state.split_sha256


def of_other_data(config: Config, like: records.Record) -> records.Record:
    """Write and return a record of the run, trained on data of another hash."""
    assert like.data is not None
    facts = dataclasses.replace(like.data, split_sha256="0123456789abcdef" * 4)
    written = dataclasses.replace(like, run_id=config.run_id, data=facts)
    records.write(written, config.directory)
    return written


def test_a_sweep_finds_it_before_any_run(on_text: Config, done_record: records.Record) -> None:
    planned = PlannedRun(on_text.run_id, {}, on_text)
    written = of_other_data(on_text, done_record)
    with pytest.raises(ConfigError, match=r"data\.path=.*former text back.*out to another folder"):
        planning.plan((planned,))
    records.write(dataclasses.replace(written, state="failed", reason="x"), on_text.directory)
    (sized,), _ = planning.plan((planned,))
    assert sized.planned_train_flops


def test_the_source_of_another_interpreter(make_config: MakeConfig, done_record: records.Record) -> None:
    config = make_config(*LANGUAGE, "data=python", "model.width=4")
    written = of_other_data(config, done_record)
    assert written.data is not None
    same_data.check(config, written.data.split_sha256)
    with pytest.raises(ConfigError, match=r"data=python: .*01234567, now ffffffff.*former interpreter"):
        same_data.check(config, "f" * 64)
