"""The claim about ways to lessen the burden, and its section, of simulated sweeps."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec
import pytest
from tests import lever_sweep
from tests.lever_sweep import Arm

from isoflop.cli import main, output
from isoflop.curve.compare.contrast import Settings
from isoflop.curve.levers import compare
from isoflop.paper import claims, claims_levers, levers
from isoflop.paper.pages import levers as pages
from isoflop.paper.section import Claim
from isoflop.table import aggregate


@functools.cache
def result(name: str, noise: float = 0.02) -> levers.LeversResult:
    arms = {"muon": Arm(gain=2.0)} | ({"steeper": Arm(b=0.05)} if name == "steeper" else {})
    table = lever_sweep.rows(arms, sizes=5, noise=noise, seed=2)
    return levers.analyse(compare.of_table(table, "simulated", None), Settings(resamples=199))


def of(found: levers.LeversResult) -> Claim:
    judged = claims.judge(claims.Results(levers=found))
    return next(each for each in judged.claims if each.claim == claims_levers.CLAIM)


@pytest.mark.slow
def test_a_lever_that_moves_the_exponent_disagrees_and_a_factor_agrees() -> None:
    moved, still = of(result("steeper")), of(result("factor"))
    assert moved.verdict == "disagrees"
    assert moved.why.startswith("steeper changes b by +0.0")
    assert "steeper +0.0" in moved.found
    assert still.verdict == "agrees"
    assert "30 runs of 1 lever and a baseline of 5 configurations on synthetic" in still.evidence


@pytest.mark.slow
def test_what_could_not_have_been_seen_cannot_be_told() -> None:
    rough = of(result("factor", noise=0.3))
    assert rough.verdict == "cannot be told"
    assert "would not have been seen" in rough.why


@pytest.mark.slow
def test_the_section_shows_the_table_and_its_figure(tmp_path: Path) -> None:
    made = pages.section(result("steeper"), tmp_path)
    assert [row[0] for row in made.tables[0].rows] == ["muon", "steeper"]
    assert (tmp_path / "figures/levers.png").is_file()
    assert all(len(row) == len(table.columns) for table in made.tables for row in table.rows)
    saved = msgspec.json.encode(result("steeper"))
    assert msgspec.json.decode(saved, type=levers.LeversResult) == result("steeper")


@pytest.mark.slow
def test_the_command_writes_the_section_from_which_the_claim_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    swept, out = tmp_path / "swept", tmp_path / "paper"
    table = lever_sweep.folder(swept, lever_sweep.rows({"muon": Arm(gain=2.0)}, sizes=4, seed=2))
    monkeypatch.setattr(aggregate, "aggregate", lambda directory, prices=None: table)
    assert main.main(["paper", "levers", str(swept), "--out", str(out)]) == output.DONE
    assert main.main(["paper", "claims", str(swept), "--out", str(out)]) == output.DONE
    shown = capsys.readouterr().out
    assert claims_levers.CLAIM in shown
    assert "muon " in shown
    assert "12 runs of 4 configurations" in shown, "the sweep's own row is the baseline's"
