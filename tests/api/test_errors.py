"""Bad input is a ValueError of one line that names the argument; nothing is printed or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import isoflop
from isoflop.api.arguments import in_python

NO_RUNS: Any = [1, 2]
XY: dict[str, Any] = {"x": "flops", "y": "error"}
Bad = Callable[[pd.DataFrame], object]

CASES: list[tuple[Bad, str]] = [
    (lambda t: isoflop.fit(t), "data frame: say x=: the columns are recipe, shape, flops"),
    (lambda t: isoflop.fit(t, x="flop", y="error"), "x= flop: no such column: did you mean flops?"),
    (lambda t: isoflop.fit(t, **XY, seed="sed"), "seed= sed: no such column: did you mean seed?"),
    (lambda t: isoflop.fit(t, **XY, group=["shape", "nope"]), "group= nope: no such column"),
    (lambda t: isoflop.fit(t, **XY, where="flops >"), "where= flops >"),
    (lambda t: isoflop.fit(t, **XY, hold_out="flops > 1e20"), "hold_out= flops > 1e20: no row is held out"),
    (lambda t: isoflop.fit(t, **XY, laws="powr_law"), "unknown law powr_law: did you mean"),
    (lambda t: isoflop.fit(t, **XY, laws=()), "no law to fit"),
    (lambda t: isoflop.fit(t, **XY, level=95), "level is 95: give the share that an interval holds"),
    (lambda t: isoflop.fit(t, **XY, resamples=10), "resamples= 10: an interval needs at least 100"),
    (lambda t: isoflop.fit(t, **XY, quantile=2), "quantile is 2: give a number between 0 and 1"),
    (lambda t: isoflop.fit(t, **XY, fix={"Q": 1}), "fix= Q=1: no such parameter"),
    (lambda t: isoflop.fit(t, **XY, exclude="bad"), "exclude= bad: give undertrained"),
    (lambda t: isoflop.fit(t, **XY, chance=90), "chance is 90: give the error of guessing"),
    (lambda t: isoflop.fit(t.assign(error=100 * t["error"]), **XY), "an error rate is a fraction"),
    (lambda t: isoflop.fit(t.assign(error="x"), **XY), "error is 'x', not a number"),
    (lambda t: isoflop.fit(t.iloc[:0], **XY), "data frame: no rows"),
    (lambda t: isoflop.fit(t.iloc[:2], **XY), "at least 3"),
    (lambda t: isoflop.fit(t.set_axis(["a", "a", "flops", "seed", "error"], axis=1), **XY), "two columns"),
    (
        lambda t: isoflop.fit(NO_RUNS),
        "give a pandas DataFrame, or the path of a folder or file: this is a list",
    ),
    (lambda t: isoflop.fit("nowhere.csv"), "nowhere.csv: no such file or folder"),
    (lambda t: isoflop.load("nowhere"), "nowhere: no such file or folder"),
    (lambda t: isoflop.load(Path(__file__).parent), "no records folder here: give the folder of a sweep"),
    (lambda t: isoflop.load(__file__), "no reader for .py"),
    (
        lambda t: isoflop.fit(isoflop.load("results/digits-cpu"), seed="seed"),
        "seed= is for a table of your own",
    ),
    (lambda t: isoflop.check(t, **XY, width="w"), "width= w: no such column"),
    (lambda t: isoflop.check("results/digits-cpu", lr="lr"), "lr= is for a table of your own"),
    (lambda t: isoflop.compare(t, **XY), "one curve is no comparison: give a second one, or by="),
    (lambda t: isoflop.compare(), "one curve is no comparison"),
    (lambda t: isoflop.compare(t, t, by="recipe", **XY), "by= divides one table: give only that"),
    (lambda t: isoflop.compare(t, t, baseline="a", **XY), "baseline= names a value of by="),
    (lambda t: isoflop.compare(t, by="flops", **XY), "the column has 9 values"),
    (lambda t: isoflop.compare(t, by="recipe", baseline="x", **XY), "baseline= x: recipe is one of new, old"),
    (
        lambda t: isoflop.compare({"a": t, "b": NO_RUNS}, **XY),
        "b: give a pandas DataFrame or a path: this is a list",
    ),
    (lambda t: isoflop.compare({"a": t, "b": t}, **XY, law="m4"), "law is m4: curves are compared by"),
    (
        lambda t: isoflop.write_report("nowhere"),
        "out= is missing: give the folder that the page is written to",
    ),
    (lambda t: isoflop.write_report("nowhere", "page"), "nowhere: no such file or folder"),
    (
        lambda t: isoflop.write_report(t, "results", **XY),
        "out= results: this folder holds files and no report",
    ),
    (lambda t: isoflop.write_report("results/digits-cpu", "page"), "out= is for a table of your own"),
    (lambda t: isoflop.write_report("results/digits-cpu", x="width"), "x= is for a table of your own"),
    (
        lambda t: isoflop.write_report(isoflop.load("results/digits-cpu"), "page"),
        "the table of a sweep: give its",
    ),
    (
        lambda t: isoflop.write_report(t, "page", cost="us_2023", **XY),
        "say gpu_tflops= and gpu_watts=, or cost= paper",
    ),
    (lambda t: isoflop.write_report(t, "page", gpu_watts=700, **XY), "gpu_watts= needs gpu_tflops="),
    (lambda t: isoflop.write_report(t, "page", target=[-1], **XY), "target= -1: give a number above 0"),
    (
        lambda t: isoflop.write_report("results/digits-cpu", target=[0.01]),
        "target, gpu_tflops and gpu_watts are for a table of your own",
    ),
    (lambda t: isoflop.fit("results/digits-cpu", y_unit="percent"), "y_unit= is for a table of your own"),
    (lambda t: isoflop.fit("results/digits-cpu", cost="moon"), "cost= moon"),
    (
        lambda t: isoflop.fit(isoflop.load("results/digits-cpu"), cost="paper"),
        "cost=: give it where runs are read",
    ),
]


TRAINED = [
    (lambda t: isoflop.run_config("model.widht=4"), "unknown key model.widht: did you mean model.width?"),
    (lambda t: isoflop.run_config("model.width=4,8"), "these are several runs: use run_sweep"),
    (
        lambda t: isoflop.run_config("data=digits", config_dir="nowhere"),
        "config_dir= nowhere: there is no such",
    ),
    (
        lambda t: isoflop.run_sweep("sweep=digits", "launch=slurm"),
        "launch=slurm submits jobs: use `isoflop sweep`",
    ),
    (lambda t: isoflop.run_sweep("sweep=digits", retry="bad"), "retry= bad: give one or more of"),
]


def _case(call: Bad, message: str, *marks: pytest.MarkDecorator) -> Any:
    return pytest.param(call, message, id=message[:40], marks=marks)


@pytest.mark.parametrize(
    ("call", "message"),
    [*(_case(*each) for each in CASES), *(_case(*each, pytest.mark.torch) for each in TRAINED)],
)
def test_bad_input_is_one_line(
    call: Bad,
    message: str,
    own: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "results").symlink_to(Path(__file__).parents[2] / "results")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        call(own)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capsys.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_options_are_named_as_arguments() -> None:
    assert in_python("--hold-out x > 1, --mixed") == "hold_out= x > 1, mixed=True"
    assert in_python("say --seed run if seeds repeat one") == "say seed= run if seeds repeat one"
    assert (
        in_python("see --isoflop and --law, a --groups b, x--y")
        == "see --isoflop and --law, a --groups b, x--y"
    )
    assert in_python("--by or --where fits them apart") == "where=, or groupby in pandas, fits them apart"
