"""Order, limits and exit codes of a campaign, with phases that are made up; bad options in one line."""

from __future__ import annotations

import json
import os
import signal

import pytest

from isoflop.config import ConfigError
from isoflop.sweep.campaign import command, journal, summary
from isoflop.sweep.campaign.journal import LeftOut, PhaseReport
from isoflop.sweep.campaign.plan import FULL, REHEARSAL, Phase


@pytest.fixture
def fake(monkeypatch):
    """fake(ladder=[report or error, ...]) -> names and limits of the phases as they are executed."""
    executed = []

    def make(**answers):
        class Fake:
            def __init__(self, plan, chosen, directory, say):
                say("ready")

            def execute(self, phase, seconds):
                executed.append((phase.name, seconds))
                queue = answers.get(phase.name, [])
                answer = queue.pop(0) if queue else PhaseReport(phase.name, "done", seconds)
                if callable(answer):
                    answer = answer()
                if isinstance(answer, BaseException):
                    raise answer
                return answer

        monkeypatch.setattr(command, "Phases", Fake)
        return executed

    return make


def partial(name):
    left = (LeftOut("resnet w64 d3, seed 1", "predicted 9 s, which no longer fits"),)
    return PhaseReport(name, "partial", 1.0, runs=2, done=1, left_out=left)


def test_phases_run_in_order_each_with_its_share_and_what_is_left(fake, tmp_path, capsys):
    executed = fake()
    assert command.run(FULL, FULL.phases, tmp_path, 480.0) == command.DONE
    assert [name for name, _ in executed] == list(FULL.names)
    limits = dict(executed)
    assert limits["ceilings"] == pytest.approx(24.0, abs=1)
    assert limits["ladder"] == pytest.approx(480 * 0.68, abs=1)  # nothing before it took any time
    assert limits["fashion_mnist"] == pytest.approx(480 * 0.96, abs=1)  # metering's share is kept for it
    assert limits["metering"] == pytest.approx(480.0, abs=1)
    assert [each.phase for each in journal.read_phases(tmp_path)] == list(FULL.names)
    assert (tmp_path / summary.FILE).read_text() in capsys.readouterr().out


def test_time_left_over_goes_to_what_was_left_out_in_the_same_order(fake, tmp_path):
    executed = fake(
        ladder=[partial("ladder"), PhaseReport("ladder", "done", 1.0)], data_grid=[partial("data_grid")]
    )
    assert command.run(FULL, FULL.phases, tmp_path, 480.0) == command.DONE
    names = [name for name, _ in executed]
    before_held_out = ["ladder", "data_grid", "held_out"]
    assert names == [*FULL.names[:4], *before_held_out, "fashion_mnist", "metering"]
    assert executed[4][1] == pytest.approx(480 * 0.80, abs=1), "the share of the held-out runs is kept"
    latest = {each.phase: each.state for each in journal.read_phases(tmp_path)}
    assert latest["ladder"] == latest["data_grid"] == "done"


def test_what_held_out_runs_leave_over_goes_to_what_is_still_left_out(fake, tmp_path):
    executed = fake(ladder=2 * [partial("ladder")], held_out=[partial("held_out")])
    assert command.run(FULL, FULL.phases, tmp_path, 480.0) == command.DONE
    names = [name for name, _ in executed]
    assert names[4:] == ["ladder", "held_out", "ladder", "held_out", "fashion_mnist", "metering"]
    assert executed[6][1] == pytest.approx(480 * 0.96, abs=1)


def test_what_is_left_out_is_written_down_and_is_no_failure(fake, tmp_path):
    fake(ladder=3 * [partial("ladder")])
    assert command.run(FULL, FULL.phases, tmp_path, 480.0) == command.DONE
    lines = [json.loads(line) for line in (tmp_path / "phases.jsonl").read_text().splitlines()]
    ladder = [line for line in lines if line["phase"] == "ladder"][-1]
    assert ladder["left_out"][0]["what"] == "resnet w64 d3, seed 1"
    text = (tmp_path / "summary.md").read_text()
    assert "left out of ladder: resnet w64 d3, seed 1: predicted 9 s, which no longer fits" in text


def test_an_error_costs_its_phase_and_shows_its_traceback_at_once(fake, tmp_path, capsys):
    executed = fake(ladder=[RuntimeError("CUDA error: an illegal memory access")])
    assert command.run(FULL, FULL.phases, tmp_path, 480.0) == command.FAILED
    assert [name for name, _ in executed] == list(FULL.names)
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "illegal memory access" in error
    states = {each.phase: each.state for each in journal.read_phases(tmp_path)}
    assert states["ladder"] == "failed"
    assert states["data_grid"] == "done"


def test_missing_input_fails_a_phase_unless_it_is_optional(fake, tmp_path):
    fake(fashion_mnist=[ConfigError("FashionMNIST is missing")])
    assert command.run(FULL, FULL.phases, tmp_path / "a", 480.0) == command.DONE
    (last,) = [each for each in journal.read_phases(tmp_path / "a") if each.phase == "fashion_mnist"]
    assert (last.state, last.left_out[0].why) == ("unavailable", "FashionMNIST is missing")
    fake(data_grid=[ConfigError("cifar10 is missing")])
    assert command.run(FULL, FULL.phases, tmp_path / "b", 480.0) == command.FAILED


def test_a_signal_ends_the_campaign_with_everything_written(fake, tmp_path, capsys, monkeypatch):
    fake(ladder=[lambda: os.kill(os.getpid(), signal.SIGTERM)])
    code = command.main(["--out", str(tmp_path / "out"), "--phases", "ladder,data_grid"])
    assert code == command.INTERRUPTED
    assert [(e.phase, e.state) for e in journal.read_phases(tmp_path / "out")] == [("ladder", "interrupted")]
    assert (tmp_path / "out/summary.md").is_file()
    assert capsys.readouterr().err == "campaign: interrupted: the same command goes on\n"


def test_a_line_cut_off_by_a_crash_is_passed_over(tmp_path):
    journal.append(PhaseReport("ladder", "done", 1.0), tmp_path / journal.PHASES)
    with (tmp_path / journal.PHASES).open("ab") as file:
        file.write(b'{"phase":"data_g')
    assert [each.phase for each in journal.read_phases(tmp_path)] == ["ladder"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--phases", "ladder,nonsense"], "--phases nonsense: give one or more of ceilings, recipe, ladder"),
        (["--minutes", "0"], "--minutes 0: give a number above 0"),
        (["--minutes", "nan"], "--minutes nan: give a number above 0"),
        (["--minutes", "eight"], "argument --minutes: invalid float value: 'eight': see --help"),
        (["--nonsense"], "unrecognized arguments: --nonsense: see --help"),
        (["--report", "absent"], "--report absent: no phases.jsonl here: give the folder of a campaign"),
    ],
)
def test_bad_options_are_one_line(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(options) == command.INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_named(capsys, tmp_path):
    (tmp_path / "out").write_text("")
    assert command.main(["--out", str(tmp_path / "out")]) == command.INPUT
    assert (
        capsys.readouterr().err
        == f"campaign: --out {tmp_path / 'out'}: a file has this name: give a folder\n"
    )


def test_a_damaged_decision_is_named(tmp_path):
    (tmp_path / journal.RECIPE).write_text("{")
    with pytest.raises(ConfigError, match=r"recipe\.json: damaged .* remove it"):
        journal.read_decision(tmp_path)


def test_phases_are_chosen_in_the_plans_order():
    chosen = command.choose(REHEARSAL, "data_grid, ceilings")
    assert [phase.name for phase in chosen] == ["ceilings", "data_grid"]
    assert all(isinstance(phase, Phase) for phase in chosen)
