"""The W&B workspace and report: valid for W&B's own model, and of nothing that the runs do not show."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isoflop import extras
from isoflop import record as records
from isoflop.cli import main
from isoflop.curve import result
from isoflop.curve.result import FitFile
from isoflop.record import Record
from isoflop.report.wandb import upload
from isoflop.table import aggregate, target
from isoflop.track import numbers

if not (extras.installed("wandb") and extras.installed("wandb_workspaces")):
    pytest.skip("wandb is not installed: pip install 'isoflop[wandb]'", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wandb-workspaces' own, of pydantic


@pytest.fixture
def dry(
    done_record: Record,
    tmp_path: Path,
    make_table: Callable[..., aggregate.RunTable],
    make_fits: Callable[..., FitFile],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """What `isoflop wandb DIR --dry-run` prints, without a key."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    directory = tmp_path / "a sweep's own"
    records.write(done_record, directory)
    result.write_fits(make_fits(make_table(joules=True)), directory / "fit.json")
    arguments = ["wandb", str(directory), "--project", "p", "--entity", "e", "--dry-run", "--json", "-"]
    assert main.main(arguments) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def strings(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for value in tree.values():
            yield from strings(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from strings(value)
    elif isinstance(tree, str):
        yield tree


def panels(dry: dict[str, Any]) -> list[dict[str, Any]]:
    sections = dry["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
    return [panel for section in sections for panel in section["panels"]]


def test_both_are_valid_for_wandb_workspaces_own_model(dry: dict[str, Any]) -> None:
    from wandb_workspaces.reports.v2 import interface as reports
    from wandb_workspaces.reports.v2 import internal as reports_internal
    from wandb_workspaces.workspaces import internal

    view = internal.View.model_validate(dry["workspace"])
    again = json.loads(view.model_dump_json(by_alias=True, exclude_none=True))
    assert again == dry["workspace"], "nothing of it is unknown to the model"
    page = reports_internal.ReportViewspec.model_validate(dry["report"])
    kinds = [type(block).__name__ for block in reports.Report._from_model(page).blocks]
    assert kinds == ["MarkdownBlock", "PanelGrid", "PanelGrid"]
    assert (view.entity, view.project) == ("e", "p")


def test_every_panel_asked_for_is_there(dry: dict[str, Any]) -> None:
    sections = dry["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
    kinds = {section["name"]: [panel["viewType"] for panel in section["panels"]] for section in sections}
    assert kinds == {
        "How error falls": ["Scatter Plot", "Scatter Plot"],
        "Which settings matter": ["Parallel Coordinates Plot"],
        "Curves": ["Run History Line Plot"] * 4,
        "Training": ["Run History Line Plot"] * 4,
        "Power": ["Run History Line Plot"],
        "Failures": ["Bar Chart", "Bar Chart"],
    }
    compute, joules = (panel["config"] for panel in panels(dry)[:2])
    assert (compute["xAxis"], compute["yAxis"]) == ("summary:train_gflops", "summary:test_error")
    assert joules["xAxis"] == "summary:energy_joules"
    assert compute["zAxis"] == joules["zAxis"] == "config:model.value.width"
    assert compute["xAxisLogScale"] is compute["yAxisLogScale"] is True


def test_no_panel_shows_a_name_that_no_run_has(dry: dict[str, Any], done_record: Record) -> None:
    (sent,) = dry["runs"]
    known = {*aggregate.COLUMNS, *sent["summary"], "failed", "wasted_seconds", "reason"}
    curve = {f"curve/{name}" for name in (*numbers.CURVE_AXES, *sent["curve"][0])}
    training = {"training/watts", *(f"training/{name}" for row in sent["training"] for name in row)}
    for word in strings([dry["workspace"]["spec"], dry["report"]["spec"]]):
        if found := re.fullmatch(r"summary:(.+)", word):
            assert found[1] in known
        elif found := re.fullmatch(r"config:(\w+)\.value\.(\w+)", word):
            assert found[2] in sent["config"][found[1]]
        elif word.startswith("curve/"):
            assert word in curve
        elif word.startswith("training/"):
            assert word in training


def test_the_runs_are_filtered_by_a_name_they_carry(dry: dict[str, Any]) -> None:
    (runs,) = dry["workspace"]["spec"]["section"]["runSets"]
    wanted = {(f["key"]["section"], f["key"]["name"]): f["value"] for f in runs["filters"]["filters"]}
    (sent,) = dry["runs"]
    assert wanted == {("config", "sweep_name"): sent["config"]["sweep_name"], ("run", "jobType"): "run"}
    assert sent["job_type"] == "run"
    assert sent["config"]["sweep_name"] == "a-sweep-s-own"


def test_the_report_says_what_the_fit_says(dry: dict[str, Any], done_record: Record) -> None:
    text = next(b["content"] for b in dry["report"]["spec"]["blocks"] if b["type"] == "markdown-block")
    assert "test_error against train_gflops" in text
    assert "test_error against energy_joules" in text
    assert "b = 0.150 (0.140 to 0.160)" in text or "b = 0.15 (0.14 to 0.16)" in text
    (sent,) = dry["runs"]
    assert done_record.error is not None
    assert sent["summary"]["test_error"] == done_record.error.test
    assert sent["id"] == done_record.run_id
    assert len(sent["curve"]) == len(done_record.curve)


def test_the_dashboard_of_text_is_of_bits_per_byte() -> None:
    from isoflop.report.wandb import dashboard

    view = dashboard.workspace("text", "project", "owner", target.TEXTS)
    page = dashboard.report("text", "project", "owner", None, target.TEXTS)
    said = json.dumps(dashboard.specification(view, page))
    assert "test_bits_per_byte" in said
    assert "curve/val_bits_per_byte" in said
    assert "Validation loss against bytes" in said
    assert "Test loss against training GFLOPs" in said
    assert "error" not in said.lower()


def test_a_fit_that_is_missing_or_older_than_a_record_is_said(
    done_record: Record,
    tmp_path: Path,
    make_table: Callable[..., aggregate.RunTable],
    make_fits: Callable[..., FitFile],
    capsys: pytest.CaptureFixture[str],
) -> None:
    records.write(done_record, tmp_path)

    def notes() -> list[str]:
        assert main.main(["wandb", str(tmp_path), "--entity", "e", "--dry-run"]) == 0
        said: list[str] = json.loads(capsys.readouterr().out)["notes"]
        return said

    command = f"run isoflop fit {tmp_path} --save and upload again"
    assert notes() == [f"{tmp_path / 'fit.json'}: not there, so the report has no laws: {command}"]
    result.write_fits(make_fits(make_table()), tmp_path / "fit.json")
    (record,) = (tmp_path / "records").iterdir()
    os.utime(tmp_path / "fit.json", (1000, 1000))
    os.utime(record, (1000, 1000))
    assert notes() == []
    os.utime(record, (1001, 1001))
    (note,) = notes()
    assert note.startswith(f"{tmp_path / 'fit.json'}: 1 record is newer")
    assert note.endswith(command)
    sent = upload.Uploaded((done_record.run_id,), (), None, None, None, upload.notes_on_fit(tmp_path))
    assert upload.as_text(sent).splitlines()[1] == f"note: {note}"
