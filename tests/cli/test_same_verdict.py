"""One verdict on the paper's limit for one sweep, whoever is asked: fit, check, report's page, and paper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from isoflop.api import rows as table_rows
from isoflop.cli import main, output
from isoflop.curve import fit
from isoflop.curve.check import front, sweep_files
from isoflop.curve.judge import limit
from isoflop.curve.judge.answer import Judgement
from isoflop.paper import claims, own_sweep
from isoflop.report import check_panel
from isoflop.report.text import lead, verdict
from isoflop.table import aggregate

RESULTS = Path(__file__).parents[2] / "results"
DIGITS, LADDER = RESULTS / "digits-cpu", RESULTS / "cifar10-h200-ladder"


@pytest.mark.parametrize("folder", [DIGITS, LADDER], ids=lambda folder: folder.name)
def test_every_engine_has_the_same_verdict_of_the_same_runs(folder: Path) -> None:
    rows = aggregate.aggregate(folder).rows
    checked = front.check(rows)
    method = fit.Method(laws=("power_law_ols",), resamples=50, forecast=False, mixed=True)
    report = fit.fit_table(rows, method=method)
    judged = limit.judge(rows, checked)
    of_page = check_panel.validity(rows, sweep_files.NONE, report)
    of_file = fit.file_of((report,), source=folder.name)
    fits, checked_once = table_rows.with_checks(of_file, rows, "isoflop check")
    files = sweep_files.read(folder, rows["run_id"])
    shared = check_panel.validity(rows, files, report, checked_once)
    assert shared == check_panel.validity(rows, files, report), "the page may take what fit.json is made of"
    own = own_sweep.of_rows(rows, folder.name)
    assert judged == of_page.limit == fits.verdict == own.verdict
    page = verdict.judge(rows, report, "", checked, of_page.support, limit=of_page.limit)
    claim = claims.judge(claims.Results(own=(own,))).claims[0]
    assert judged.answer == page.answer == claim.verdict
    assert folder.name in claim.claim, "the user's own sweep is the first row"
    assert lead.of_points(fits.reports[0]) == lead.of_points(report, of_page.support)


def test_the_ladder_holds_root_mean_square_error_and_the_digits_do_not() -> None:
    ladder, digits = (limit.judge(aggregate.aggregate(folder).rows) for folder in (LADDER, DIGITS))
    assert ladder.outcome == limit.RMS
    assert ladder.exponent is not None
    assert [reason.cause for reason in ladder.reasons] == ["fixed data"]
    assert digits.outcome is None
    assert [reason.cause for reason in digits.reasons] == ["outcome", "fixed data"]


def test_the_commands_print_one_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def ask(*command: str) -> Any:
        assert main.main([*command, "--json", "-"]) == output.DONE
        return json.loads(capsys.readouterr().out)

    fitted = ask("fit", str(DIGITS), "--laws", "power_law_ols", "--resamples", "100")["verdict"]
    assert fitted == ask("check", str(DIGITS))["verdict"]
    assert msgspec.convert(fitted, Judgement) == limit.judge(aggregate.aggregate(DIGITS).rows)
    claim = ask("paper", "claims", str(DIGITS), "--out", str(tmp_path / "out"))["claims"][0]
    assert claim["verdict"] == fitted["answer"]
    assert claim["claim"].startswith("digits-cpu: ")


def test_what_is_no_sweep_of_records_is_refused_before_a_part_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out, empty = tmp_path / "out", tmp_path / "mine"
    (empty / "records").mkdir(parents=True)
    for verb in ("claims", "all"):
        for path, said in ((tmp_path / "no", "no folder"), (empty, "no records yet: run the sweep first")):
            assert main.main(["paper", verb, str(path), "--out", str(out)]) == 2
            assert said in capsys.readouterr().err
    assert not out.exists()
