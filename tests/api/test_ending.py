"""The end of a sweep says what its page says: the sentence, what the checks count, the joules."""

from __future__ import annotations

import dataclasses
import html
import shutil
from pathlib import Path

import pytest

from isoflop.api import ending
from isoflop.api.report import write_report
from isoflop.cli.terminal import sweep_end
from isoflop.table import aggregate
from isoflop.table.aggregate import RunTable

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a committed sweep of a CPU."""
    copied = tmp_path_factory.mktemp("sweep") / "digits cpu"
    shutil.copytree(RESULTS / "digits-cpu", copied)
    return copied


@pytest.fixture(scope="module")
def table(folder: Path) -> RunTable:
    return aggregate.aggregate(folder)


@pytest.mark.slow
def test_the_sentence_is_that_of_the_page(folder: Path, table: RunTable) -> None:
    found = ending.of_sweep(folder, table)
    page = html.unescape(write_report(folder).read_text())
    assert found.verdict
    assert found.verdict == found.lines[0]
    assert found.verdict in page
    check = found.lines[1].removeprefix("check: ")
    assert check in page
    assert sweep_end.next_command(found, folder, missing=0) == f"isoflop report '{folder}'"
    assert sweep_end.next_command(found, folder, missing=1) == f"isoflop status '{folder}'"


def test_a_large_sweep_is_left_to_the_report(
    folder: Path, table: RunTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "MOST_RUNS", len(table.rows) - 1)
    monkeypatch.setattr(ending, "_fit", None)  # not called
    found = ending.of_sweep(folder, table)
    assert found.verdict == ""
    assert found.lines[0] == f"no verdict yet: isoflop report fits the {len(table.rows)} runs"


def test_too_few_runs_are_checked_all_the_same(folder: Path, table: RunTable) -> None:
    few = dataclasses.replace(table, rows=table.rows.head(2))
    found = ending.of_sweep(folder, few)
    assert found.verdict == ""
    assert found.lines[0].startswith("no verdict yet: test_error against train_gflops: ")
    assert found.lines[1].startswith("check: ")
    assert sweep_end.next_command(found, folder, missing=0) == f"isoflop aggregate '{folder}'"


def test_no_run_gives_no_verdict(folder: Path, table: RunTable) -> None:
    none = dataclasses.replace(table, rows=table.rows.head(0))
    assert ending.of_sweep(folder, none).lines == ("no verdict: no run is done",)


def test_joules_are_those_of_the_page_and_say_of_how_many_runs(folder: Path, table: RunTable) -> None:
    rows = table.rows.head(3).assign(energy_joules=[1000.0, 2600.0, None], own_share=1.0)
    found = ending.of_sweep(folder, dataclasses.replace(table, rows=rows))
    assert found.lines[-1] == "energy: 1.00 Wh, known for 2 of 3 runs"
    unknown = rows.assign(energy_joules=None, energy_reason="trained on the CPU; no counters")
    found = ending.of_sweep(folder, dataclasses.replace(table, rows=unknown))
    assert found.lines[-1] == "energy: unknown (trained on the CPU)"
