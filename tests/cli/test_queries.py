"""A question writes nothing, in the sweep's folder or in the current one; what is asked to be kept is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.cli import main, output

RESULTS = Path(__file__).parents[2] / "results" / "digits-cpu"
FEW = ("--resamples", "100")
KEPT = ("table.csv", "dropped.csv", "fit.json")


@pytest.fixture
def sweep(here: Path) -> Path:
    """A sweep's folder with its records and nothing that was made of them, but for one that is damaged."""
    shutil.copytree(RESULTS / "records", here / "d/records")
    shutil.copy(RESULTS / "manifest.jsonl", here / "d")
    (here / "d/records/damaged.json").write_text("{")
    return here


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    } | {f"{path.relative_to(folder)}/": (0, b"") for path in folder.rglob("*") if path.is_dir()}


@pytest.mark.parametrize(
    "command",
    [
        ("fit", "d", *FEW),
        ("fit", "d", "--laws", "power_law_ols", *FEW),
        ("fit", "d", "--laws", "power_law_ols", *FEW, "--json", "-"),
        ("check", "d"),
        ("check", "d", "--json", "-"),
        pytest.param(("compare", "d", "--by", "depth", *FEW), marks=pytest.mark.slow),
        ("aggregate", "d", "--json", "-"),
        ("status", "d"),
        ("status", "d", "--json", "-"),
        ("paper", "growth", "--json", "-"),
        ("paper", "published", *FEW, "--json", "-"),
        ("paper", "claims", "--json", "-"),
        pytest.param(("flops", "mlp", "--input", "1,8,8"), marks=pytest.mark.slow),
        ("doctor", "--json", "-"),
        pytest.param(
            ("sweep", "data=digits", "model=mlp", "model.width=8,16", "out=s", "--dry-run"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=" ".join,
)
def test_a_question_writes_nothing(sweep: Path, command: tuple[str, ...]) -> None:
    (sweep / "d/table.csv").write_text("as it was\n")
    before = state_of(sweep)
    assert main.main(command) == output.DONE
    assert state_of(sweep) == before


def test_save_keeps_the_fit_that_is_shown(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["fit", "d", *FEW, "--json", "fit-copy.json"]) == output.DONE
    assert not [name for name in KEPT if (sweep / "d" / name).exists()]
    assert main.main(["fit", "d", *FEW, "--save"]) == output.DONE
    assert "d/fit.json" in capsys.readouterr().out
    assert all((sweep / "d" / name).is_file() for name in KEPT)
    kept = json.loads((sweep / "d/fit.json").read_text())
    assert kept == json.loads((sweep / "fit-copy.json").read_text())
    assert [each["run_id"] for each in kept["dropped"]] == ["damaged"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--json", "-"), "--save and --json - exclude each other"),
        (("--x", "train_seconds"), "--save keeps the fit that the report and paper read"),
        (("--law", "chinchilla"), "--save keeps the fit that the report and paper read"),
        (("--exclude", "undertrained"), "which --exclude would change"),
        (("--energy-grade", "A"), "which --energy-grade would change"),
        (("--chance", "0.5"), "which --chance would change"),
        (("--wild",), "which --wild would change"),
        (("--mixed",), "which --mixed would change"),
    ],
)
def test_what_cannot_be_saved_is_refused(
    sweep: Path, error_line: Callable[[], str], arguments: tuple[str, ...], message: str
) -> None:
    assert main.main(["fit", "d", "--save", *arguments]) == output.INPUT
    assert message in error_line()
    assert not (sweep / "d/fit.json").exists()


def test_a_table_of_one_s_own_is_not_saved(here: Path, error_line: Callable[[], str]) -> None:
    (here / "a.csv").write_text("flops,loss\n1,3\n10,2\n100,1\n")
    assert main.main(["fit", "a.csv", "--save", "--x", "flops", "--y", "loss"]) == output.INPUT
    assert "--save is for a sweep's folder" in error_line()


def test_a_target_that_cannot_be_written_is_refused_first(sweep: Path, error_line: Callable[[], str]) -> None:
    for verb in (["fit", "d", "--save"], ["aggregate", "d"], ["report", "d"], ["paper", "growth"]):
        assert main.main([*verb, "--json", "nowhere/a.json"]) == output.INPUT
        assert "a folder that exists" in error_line()
    assert not [name for name in KEPT if (sweep / "d" / name).exists()]
    assert not (sweep / "results").exists()
