"""Text that cannot be used: one line that names what to change, exit code 2, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.cli import main, output

SMALL = (
    *("recipe=language", "data=text", "model.context=8", "model.head_width=4", "model.width=8"),
    *("optim.batch_size=64", "schedule.steps=4", "launch.threads=1", "meter=none"),
)
FOUR = "one two three four. one two three!"


@pytest.fixture
def texts(here: Path) -> Path:
    """Files that can and cannot be used, in the current folder."""
    (here / "empty.txt").touch()
    (here / "one.txt").write_text(FOUR * 20)
    (here / "short").mkdir()
    (here / "good").mkdir()
    (here / "odd").mkdir()
    for number in range(40):
        (here / "short" / f"{number}").write_text(f"{number:03}")
        (here / "good" / f"{number}").write_text(f"{number} {FOUR}")
    (here / "odd" / "a").write_text(FOUR * 20)
    for name in "bcd":
        (here / "odd" / name).write_text(name)
    (here / "table.csv").write_text("start,length\n0,200\n200,200\n400,300\n")
    (here / "words.csv").write_text("start,length\n0,a few\n")
    (here / "other.csv").write_text("name,size\na,b\n")
    return here


BAD = {
    "no path": ((), "data: text needs path"),
    "no file": (("data.path=nowhere",), "nowhere is missing: set data.path to text that is there"),
    "empty": (("data.path=empty.txt",), "empty.txt is empty: set data.path to text"),
    "one document": (("data.path=one.txt",), "one.txt is one document only, and whole documents train"),
    "shorter than a context": (
        ("data.path=short", "model.context=16"),
        "the longest document of the training part has 3 bytes, fewer than one window of model.context=16",
    ),
    "training shorter than a context": (
        ("data.path=good", "data.fraction=0.005"),
        "the training part has 7 bytes, fewer than two windows of model.context=8",
    ),
    "a part shorter than a context": (("data.path=odd",), "fewer than one window of model.context=8"),
    "separator that does not occur": (
        ("data.path=one.txt", "data.separator=|"),
        "data.separator='|' does not occur in one.txt",
    ),
    "offsets beyond the file": (
        ("data.path=one.txt", "data.offsets=table.csv"),
        "table.csv, line 4: the document ends at byte 700, and the text has 680 bytes: correct data.offsets",
    ),
    "offsets that are no numbers": (
        ("data.path=one.txt", "data.offsets=words.csv"),
        "words.csv, line 2: a few is not a whole number: correct data.offsets",
    ),
    "offsets without columns": (("data.path=one.txt", "data.offsets=other.csv"), "other.csv has no column"),
    "offsets of a folder": (("data.path=good", "data.offsets=table.csv"), "good is a folder"),
    "the same text to test": (("data.path=good", "data.eval_path=good"), "both data.path and data.eval_path"),
    "more bytes than there are": (
        ("data.path=good", "schedule.steps=30"),
        "schedule.steps=30 reads 1,920 bytes, 1.43 times the 1,344 there are: give a smaller budget, "
        "more text, or data.passes=1.5",
    ),
    "a budget of more bytes than there are": (
        ("data.path=good", "schedule.steps=null", "schedule.train_gflops=1"),
        "schedule.train_gflops=1 reads",
    ),
    "batch larger than the text": (
        ("data.path=good", "optim.batch_size=6400"),
        "optim.batch_size=6400: larger than the 1,344 bytes of the training part: lower it",
    ),
    "batch of no whole windows": (
        ("data.path=good", "optim.batch_size=100"),
        "optim.batch_size=100 bytes is not a multiple of model.context=8: try 96",
    ),
    "batch that two cannot share": (
        ("data.path=good", "optim.batch_size=24", "launch.devices=2"),
        "optim.batch_size=24 cannot be shared by 2 processes",
    ),
    "width": (("data.path=good", "model.width=10"), "width 10 is not a multiple of head_width 4: try 8"),
    "odd heads": (("data.path=good", "model.width=9", "model.head_width=3"), "head_width must be even"),
    "images for a language model": (("data=digits",), "model=gpt reads text: set data=python"),
    "text for a model of images": (
        (
            *("data.path=good", "model=mlp", "model.parametrization=standard", "model.base_width=null"),
            *("model.base_depth=null", "model.head_width=null", "model.context=null"),
        ),
        "data=text is text: set model=gpt",
    ),
    "augmented": (("data.path=good", "data.augment=crop_flip"), "is for photographs, not for text"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_line_says_what_to_change(
    name: str, texts: Path, error_line: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    overrides, message = BAD[name]
    before = sorted(texts.rglob("*"))
    assert main.main(["run", *SMALL, *overrides, "out=written"]) == output.INPUT
    assert message in error_line()
    assert [path for path in sorted(texts.rglob("*")) if "cache" not in path.parts] == before


@pytest.mark.slow
def test_one_bad_value_of_an_axis_refuses_the_sweep(texts: Path, error_line: Callable[[], str]) -> None:
    assert main.main(["sweep", *SMALL, "data.path=good,nowhere", "out=written"]) == output.INPUT
    assert "nowhere is missing: set data.path to text that is there" in error_line()
    assert not (texts / "written").exists()


@pytest.mark.slow
def test_bad_input_is_found_before_anything_is_declared(texts: Path, error_line: Callable[[], str]) -> None:
    """What a declaration says cannot be changed: one of runs that cannot be trained would bar the folder."""
    held = ("sweep.points=[{seed: 0}]", "sweep.held_out=[{seed: 1}]", "out=written")
    assert main.main(["sweep", *SMALL, "data.path=empty.txt", *held]) == output.INPUT
    assert "empty.txt is empty" in error_line()
    assert not (texts / "written").exists()
    dry = main.main(["sweep", *SMALL, "data.path=good", "schedule.steps=400", "seed=0,1", "--dry-run"])
    assert dry == output.INPUT
    assert "or data.passes=19.1" in error_line()
    assert not (texts / "written").exists()


@pytest.mark.slow
def test_texts_are_an_axis_of_a_sweep(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """data=text alone is no run; with each value of the axis it is one."""
    axis = ["data.path=good,short", "model.context=2", "model.head_width=2", "optim.batch_size=16"]
    assert main.main(["sweep", *SMALL, *axis, "--dry-run"]) == output.DONE
    shown = capsys.readouterr().out
    assert "path good" in shown
    assert "path short" in shown
