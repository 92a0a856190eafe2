"""A fit as an object: predictions, parameters, text, HTML, and figures on the caller's axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import isoflop
from isoflop.cli import main, output

AXES: dict[str, Any] = {"x": "flops", "y": "error", "seed": "seed", "where": "recipe == 'old'"}
FEW: dict[str, Any] = {"laws": "power_law,power_law_floor", "resamples": 200}


@pytest.fixture(scope="module")
def fitted(own: pd.DataFrame) -> isoflop.Fit:
    return isoflop.fit(own, **AXES, **FEW)


@pytest.fixture
def axes() -> Any:
    figure, made = plt.subplots()
    yield made
    plt.close(figure)


def test_a_prediction_holds_the_law_that_made_the_data(fitted: isoflop.Fit) -> None:
    x = np.geomspace(1e12, 1e16, 7)
    truth = 0.04 + 0.5 * (x / 1e12) ** -0.2
    for law in (None, "power_law_floor"):
        made = fitted.predict(x, law=law)
        assert list(made["x"]) == list(x)
        assert made["y"].to_numpy() == pytest.approx(truth, rel=0.06)
        assert ((made["low"] <= truth) & (truth <= made["high"])).mean() > 0.7
        assert (made["new_low"] <= made["low"]).all()
        assert (made["new_high"] >= made["high"]).all()


def test_a_prediction_at_a_point_of_the_band_is_the_band(fitted: isoflop.Fit) -> None:
    band = fitted.report.forecast.band if fitted.report.forecast else None
    assert band is not None
    made = fitted.predict([band.x[3], band.x[-1]])
    assert made["y"].to_numpy() == pytest.approx([band.y[3], band.y[-1]], rel=1e-12)
    assert made["new_high"].to_numpy() == pytest.approx([band.new_high[3], band.new_high[-1]], rel=1e-12)


@pytest.mark.parametrize("law", [None, "power_law"])
def test_far_predictions_go_on_with_the_same_curve(fitted: isoflop.Fit, law: str | None) -> None:
    near = fitted.predict([1e14, 1e16], law=law)
    far = fitted.predict([1e14, 1e16, 1e20], law=law)
    assert far["y"].iloc[:2].to_numpy() == pytest.approx(near["y"].to_numpy(), rel=2e-3)
    assert far["low"].iloc[:2].to_numpy() == pytest.approx(near["low"].to_numpy(), rel=2e-2)
    assert far["y"].iloc[2] < near["y"].iloc[1]
    width = (far["high"] / far["low"]).to_numpy()
    assert width[2] > width[1]


def test_far_predictions_do_not_see_held_out_runs(own: pd.DataFrame) -> None:
    apart = isoflop.fit(own, **AXES, **FEW, hold_out="flops > 2e15")
    without = isoflop.fit(own[own["flops"] <= 2e15], **AXES, **FEW)
    far = [1e14, 1e19]
    assert apart.predict(far)["y"].to_numpy() == pytest.approx(without.predict(far)["y"].to_numpy(), rel=1e-6)
    assert len(apart.runs) == len(without.runs)


def test_one_number_is_one_row(fitted: isoflop.Fit) -> None:
    assert len(fitted.predict(1e15)) == 1


@pytest.mark.parametrize(
    ("x", "law", "message"),
    [
        (0.0, None, "x must be numbers above 0, in the unit of flops"),
        ([1e13, float("nan")], None, "x must be numbers above 0"),
        ([], None, "x must be numbers above 0"),
        (1e9, None, r"x = 1e\+09 lies below the smallest run, flops 1e\+12"),
        (1e15, "m4", "no law m4 was fitted: did you mean"),
    ],
)
def test_a_prediction_that_cannot_be_made_is_refused(
    fitted: isoflop.Fit, x: Any, law: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fitted.predict(x, law=law)


def test_parameters_are_a_table(fitted: isoflop.Fit) -> None:
    rows = fitted.parameters.to_dict("records")
    named = {(row["law"], row["parameter"]): row for row in rows}
    b = named["power_law_floor", "b"]
    assert b["low"] < 0.2 < b["high"]
    assert named["power_law", "alpha"]["value"] == pytest.approx(1 / named["power_law", "b"]["value"])
    assert ("forecast", "local_exponent") in named
    assert fitted.parameters["rejected"].dtype == bool


def test_runs_and_notes_are_those_of_the_fit(fitted: isoflop.Fit) -> None:
    assert list(fitted.runs) == ["run_id", "config_id", "flops", "error"]
    assert len(fitted.runs) == fitted.report.points == 27
    assert any(note.startswith("where= recipe == 'old': 27 of 54") for note in fitted.notes)
    assert fitted.notes[-1].startswith("check: ")


def test_the_text_says_what_the_first_screen_says(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--x", "flops", "--y", "error", "--seed", "seed", "--laws", FEW["laws"], "--resamples", "200")
    assert main.main(["fit", str(csv), *options]) == output.DONE
    printed = capsys.readouterr().out.splitlines()
    text = repr(isoflop.fit(csv, x="flops", y="error", seed="seed", **FEW)).splitlines()
    said = [line for line in printed if line.startswith(("error against", "falls", "forecast", "check"))]
    assert len(said) == 5
    assert set(said) <= set(text)
    assert [line.split() for line in printed if line.startswith("power")] == [
        line.split() for line in text if line.startswith("power")
    ]
    assert max(map(len, text[:-1])) <= 88  # the last line names the file
    assert len(text) < 24


def test_html_is_escaped_and_whole(own: pd.DataFrame) -> None:
    renamed = own.rename(columns={"error": "<b>error"})
    html = isoflop.fit(renamed, x="flops", y="<b>error", seed="seed", **FEW)._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;error against compute" in html
    for tag in ("div", "table", "tr", "td", "details", "ul", "li", "p", "strong"):
        assert html.count(f"<{tag}>") + html.count(f"<{tag} ") == html.count(f"</{tag}>")


def test_figures_are_drawn_on_the_axes_that_are_given(fitted: isoflop.Fit, axes: Axes) -> None:
    assert fitted.plot(axes) is axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Compute (FLOP)", "Error (%)")
    assert axes.get_xscale() == axes.get_yscale() == "log"
    legend = axes.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names[0] == "Power law with a floor", "the law that is shown comes first"
    assert "Forecast" in names
    for draw in (isoflop.plot_residuals, isoflop.plot_calibration):
        axes.clear()
        assert draw(fitted, axes) is axes
        assert axes.collections


def test_a_figure_opens_without_axes_and_leaves_the_users_style(fitted: isoflop.Fit) -> None:
    before = dict(plt.rcParams)
    drawn = fitted.plot(laws=["power_law"])
    assert dict(plt.rcParams) == before
    assert len(plt.get_fignums()) == 1
    assert drawn.get_legend() is not None
    plt.close("all")
    with pytest.raises(ValueError, match="no law m3 was fitted: did you mean"):
        fitted.plot(laws=["m3"])


def test_a_comparison_is_drawn_and_tabulated(own: pd.DataFrame, axes: Axes) -> None:
    compared = isoflop.compare(own, by="recipe", baseline="old", x="flops", y="error", resamples=199)
    assert compared.plot(axes) is axes
    axes.clear()
    assert isoflop.plot_gain(compared, axes) is axes
    assert compared.gain["gain"].iloc[-1] > 1
    assert compared.gain["inside"].dtype == bool
    b = compared.differences.query("quantity == 'b'").iloc[0]
    assert b["value"] == pytest.approx(0.1, abs=0.06)
    assert compared.tests["p"].between(0, 1).all()
    assert repr(compared).splitlines()[1].endswith("the baseline")
    assert "new against old" in compared._repr_html_()


def test_a_check_is_tabulated() -> None:
    checked = isoflop.check(Path(__file__).parents[2] / "results/digits-cpu")
    assert set(checked.findings["severity"]) == {"warning", "note"}
    assert set(checked.checks["outcome"]) == {"found", "passed", "not checked"}
    text = repr(checked)
    assert text.startswith("45 runs of 15 configurations: 2 warnings, 3 notes")
    findings, _, verdict = text.partition("not checked (.checks)\n")
    assert findings.endswith("6 passed, 2 ")
    assert verdict.startswith("verdict: k times less error needs at least k⁴ times the compute: cannot be")
    assert "<details>" in checked._repr_html_()


def test_json_is_written_to_a_file(fitted: isoflop.Fit, tmp_path: Path) -> None:
    fitted.to_json(tmp_path / "fit.json")
    assert (tmp_path / "fit.json").read_text() == fitted.to_json()
