import dataclasses

import pytest

from isoflop.cli.terminal import console, fit_table
from isoflop.curve.result import HeldOut, HeldOutRun, LackOfFit


@pytest.fixture
def shown(monkeypatch, capsys):
    """shown(report) -> what fit_table prints in 100 columns."""
    monkeypatch.setattr(console.OUT, "width", 100)

    def run(report):
        fit_table.show(report)
        return capsys.readouterr().out

    return run


def test_seven_laws_take_a_line_each_in_a_hundred_columns(make_table, make_fits, shown):
    report = make_fits(make_table(), floor=0.0123).reports[0]
    lines = shown(report).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("law "))
    assert [line.split()[0] for line in lines[start + 1 : start + 8]] == [fit.law for fit in report.fits]
    assert max(map(len, lines[start : start + 8])) <= 100
    floored = next(line for line in lines if line.startswith("power_law_floor "))
    assert floored.split() == [
        *("power_law_floor", "0.3", "(0.29,", "0.31)", "0.0123", "(0.0098,", "0.015)", "-", "0.020"),
        *("1.11", "1.22", "-", "25%"),
    ]


def test_the_forecast_and_every_warning_are_shown(make_table, make_fits, shown):
    report = make_fits(make_table()).reports[0]
    warned = dataclasses.replace(report.fits[3], warnings=("[red] is literal",))
    text = shown(dataclasses.replace(report, fits=(*report.fits[:3], warned, *report.fits[4:])))
    assert "forecast at 10x: " in text
    assert "off by x1.11 at 2x, x1.22 at 4x where smaller runs predicted larger ones" in text
    assert "a synthetic word on the forecast" in text
    assert "note: a synthetic warning" in text
    assert "note: power_law_floor: [red] is literal" in text
    bare = dataclasses.replace(report, forecast=None, forecast_reason="a quantile is fitted")
    assert "no forecast: a quantile is fitted" in shown(bare)


def test_held_out_runs_are_judged_one_by_one(make_table, make_fits, shown):
    rows = (
        HeldOutRun("feed", 9.0, 0.25, 0.2, 0.15, 0.24),
        HeldOutRun("beef", 8.0, 0.2, 0.2, 0.15, 0.24),
    )
    held = HeldOut("train_gflops>7", 2, 0.1, 1, 3.0, rows)
    text = shown(dataclasses.replace(make_fits(make_table()).reports[0], held_out=held))
    inside = {line.split()[0]: line.split()[-1] for line in text.splitlines() if line[:4] in ("feed", "beef")}
    assert inside == {"feed": "no", "beef": "yes"}
    assert "train_gflops>7: 2 runs up to 3 times the largest x fitted; off by x1.11; 1 of 2 inside" in text


def test_a_rejected_exponent_is_starred_and_the_line_below_says_why(make_table, make_fits, shown):
    report = make_fits(make_table()).reports[0]
    bent = LackOfFit("wild bootstrap", 0.004, None, None, 0.3, 0.1, 1.4, True)
    first = dataclasses.replace(report.fits[0], lack_of_fit=bent)
    text = shown(dataclasses.replace(report, fits=(first, *report.fits[1:])))
    row = next(line for line in text.splitlines() if line.startswith("power_law_ols "))
    assert row.split()[1] == "0.15*"
    assert row.count("*") == 2  # b and alpha
    assert "* rejected: power_law_ols." in text
    assert "*" not in shown(report)
