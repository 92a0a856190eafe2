"""isoflop fit --law and --isoflop, from the command line: a known law, published numbers, refusals."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop import record as records
from isoflop.cli import main, output
from isoflop.cli.terminal import console
from isoflop.record import Record
from isoflop.table import aggregate

SCALING = Path(__file__).parents[2] / "../shared/data/scaling"
ALPHA, BETA, A, B, E = 0.35, 0.37, 480.0, 2100.0, 1.8
GROWS = BETA / (ALPHA + BETA)
FEW = ("--resamples", "100")
Run = Callable[..., tuple[int, str, str]]


def _best(compute: float) -> float:
    """The optimal N of the law."""
    return float((ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA)) * (compute / 6) ** GROWS)


def _law(noise: float = 0.003) -> pd.DataFrame:
    """Chinchilla's law at 4 budgets and 9 sizes around the optimum."""
    budget, u = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e18, 1e21, 4), np.linspace(-1, 1, 9)))
    n = np.array([_best(c) for c in budget]) * np.exp(u)
    d = budget / (6 * n)
    loss = (E + A / n**ALPHA + B / d**BETA) * np.exp(noise * np.random.default_rng(0).standard_normal(len(n)))
    return pd.DataFrame({"C": budget, "N": n, "D": d, "loss": loss})


@pytest.fixture
def table(tmp_path: Path) -> Callable[[pd.DataFrame], Path]:
    def written(rows: pd.DataFrame, name: str = "runs.csv") -> Path:
        path = tmp_path / name
        rows.to_csv(path, index=False)
        return path

    return written


@pytest.fixture
def fit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """fit(PATH, ...) -> exit code, standard output, standard error; as into a file, wherever tests run."""
    monkeypatch.setattr(console.OUT, "width", 100)

    def run(path: Path, *options: str) -> tuple[int, str, str]:
        code = main.main(["fit", str(path), *options])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def _json(fit: Run, path: Path, *options: str) -> dict[str, Any]:
    code, out, err = fit(path, *options, *FEW, "--json", "-")
    assert code == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def test_a_table_of_c_n_d_loss_needs_the_law_only(fit: Run, table: Callable[..., Path]) -> None:
    code, out, _ = fit(table(_law()), "--law", "chinchilla", *FEW)
    assert code == 0
    assert "chinchilla: loss against N (parameters) and D (data)" in out
    assert "36 rows of 36 configurations" in out
    assert re.search(r"least sum of Huber's loss of ln loss beyond 0\.001: \d", out)
    assert "best split of C = 6 parameters x data" in out
    at = re.search(r"parameters as compute to the power (\S+) \((\S+), (\S+)\), a = beta", out)
    assert at is not None
    value, low, high = map(float, at.groups())
    assert low < GROWS < high
    assert value == pytest.approx(GROWS, abs=0.05)
    assert re.search(r"^1e\+21 .*\n1e\+22 ", out, re.MULTILINE), "the largest compute, and ten times it"
    assert "10 times the largest of the rows: extrapolated" in out
    assert max(map(len, out.splitlines())) <= 130


def test_the_optimum_is_that_of_the_law(fit: Run, table: Callable[..., Path]) -> None:
    result = _json(fit, table(_law(noise=0.0)), "--law", "chinchilla")
    for at, compute in zip(result["allocation"]["optima"], (1e21, 1e22), strict=True):
        n, d, ratio = (each["value"] for each in at["best"])
        assert at["compute"] == pytest.approx(compute)
        assert n == pytest.approx(_best(compute), rel=1e-3)
        assert 6 * n * d == pytest.approx(compute)
        assert ratio == pytest.approx(d / n)


def test_columns_may_have_any_name_and_data_follows_from_compute(
    fit: Run, table: Callable[..., Path]
) -> None:
    rows = (
        _law().rename(columns={"C": "Training FLOP", "N": "Model Size"}).drop(columns="D").assign(hex="#fff")
    )
    path = table(rows)
    options = ("--law", "chinchilla", "--n", "Model Size", "--compute", "Training FLOP", "--y", "loss")
    code, out, _ = fit(path, *options, *FEW)
    assert code == 0
    assert "note: data is Training FLOP / (6 Model Size): 6 FLOPs per parameter and token" in out
    derived, given = _json(fit, path, *options), _json(fit, table(_law(), "cnd.csv"), "--law", "chinchilla")
    assert derived["objective"] == pytest.approx(given["objective"])
    assert [e["value"] for e in derived["parameters"]] == pytest.approx(
        [e["value"] for e in given["parameters"]], rel=1e-6
    )


def test_held_out_rows_seeds_and_groups(fit: Run, table: Callable[..., Path]) -> None:
    rows = pd.concat([_law(), _law().assign(loss=lambda t: 1.001 * t["loss"])], ignore_index=True)
    rows["seed"] = np.repeat([0, 1], 36)
    options = ("--law", "chinchilla", "--n", "N", "--d", "D", "--compute", "C", "--y", "loss")
    path = table(rows)
    assert _json(fit, path, *options, "--seed", "seed")["configs"] == 36
    assert _json(fit, path, *options, "--group", "C")["configs"] == 4
    assert _json(fit, path, *options, "--seed-of-resamples", "3")["bootstrap_seed"] == 3
    held = _json(fit, path, *options, "--hold-out", "C>5e20")
    assert (held["points"], len(held["held_out"]["rows"])) == (54, 18)
    assert held["held_out"]["log_rmse"] < 0.02
    code, out, _ = fit(path, *options, "--hold-out", "C>5e20", *FEW)
    assert code == 0
    assert re.search(r"18 rows held out: off by ×1\.0\d+; \d+ of 18 inside", out)


def test_profiles_of_a_table(fit: Run, table: Callable[..., Path]) -> None:
    code, out, _ = fit(table(_law()), "--isoflop", "N", *FEW)
    assert code == 0
    assert "IsoFLOP profiles of loss over N: 4 budgets of C, each within 25%" in out
    assert "optimal N as C to the power 0." in out
    assert "optimal D as C to the power 0." in out
    result = _json(fit, table(_law(noise=0.0)), "--isoflop", "N")
    assert result["growth"][0]["exponent"]["value"] == pytest.approx(GROWS, abs=0.005)
    for budget in result["budgets"]:
        assert budget["optimum"][0]["value"] == pytest.approx(_best(budget["compute"]), rel=0.05)


def _records(folder: Path, like: Record) -> None:
    """A sweep of 3 lengths and 7 widths, two seeds each, whose error follows a law without a floor."""
    assert like.compute is not None
    assert like.error is not None
    generator = np.random.default_rng(0)
    made = 0
    for budget in (1e11, 1e12, 1e13):
        for u in np.linspace(-1.2, 1.2, 7):
            n = 3.4e4 * (budget / 1e11) ** 0.5 * np.exp(u)
            d = budget / (6 * n)
            for seed in (0, 1):
                y = float((40 * n**-0.6 + 200 * d**-0.6) * np.exp(0.02 * generator.standard_normal()))
                compute = dataclasses.replace(like.compute, train_flops=budget, examples_seen=round(d))
                error = dataclasses.replace(like.error, test=y, ci_low=0.9 * y, ci_high=min(1.1 * y, 1.0))
                model = dataclasses.replace(like.model, width=round(np.sqrt(n)), depth=2, parameters=round(n))
                made_up = dataclasses.replace(like, run_id=f"{made:016x}", config_id=f"{made // 2:016x}")
                made_up = dataclasses.replace(made_up, compute=compute, error=error, model=model, seed=seed)
                records.write(made_up, folder)
                made += 1


def test_a_sweep_is_known_by_its_records_and_nothing_is_written(
    fit: Run, done_record: Record, tmp_path: Path
) -> None:
    _records(tmp_path / "s", done_record)
    code, out, err = fit(tmp_path / "s", "--law", "chinchilla", *FEW)
    assert code == 0, err
    assert "test_error against parameters and examples_seen (data)" in out
    assert "42 rows of 21 configurations" in out
    assert "best split of train_gflops = 6e-09 parameters x data" in out
    code, out, _ = fit(tmp_path / "s", "--isoflop", "width", *FEW)
    assert code == 0
    assert "3 budgets of train_gflops" in out
    assert "optimal examples_seen as train_gflops to the power" in out
    level = _json(fit, tmp_path / "s", "--law", "rosenfeld")
    chance = done_record.data.chance_error if done_record.data else None
    assert next(e["value"] for e in level["parameters"] if e["name"] == "e0") == pytest.approx(chance)
    lower = _json(fit, tmp_path / "s", "--law", "chinchilla", "--chance", "0.15")
    assert lower["excluded"], "runs at or above chance are left out by name"
    assert all("at chance (0.15)" in e["reason"] for e in lower["excluded"])
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["records"]
    aggregate.write(aggregate.aggregate(tmp_path / "s"), tmp_path / "s")
    table = _json(fit, tmp_path / "s" / "table.csv", "--law", "chinchilla")
    assert table["configs"] == 21
    (tmp_path / "s/records/damaged.json").write_text("{")
    left = _json(fit, tmp_path / "s", "--law", "chinchilla")["excluded"]
    assert [entry["run_id"] for entry in left] == ["damaged"]
    assert f"left out: damaged: {left[0]['reason']}" in fit(tmp_path / "s", "--law", "chinchilla", *FEW)[1]


def test_the_published_fit_of_chinchilla_from_the_command_line(fit: Run) -> None:
    path = SCALING / "chinchilla_points.csv"
    if not path.exists():
        pytest.skip("no chinchilla_points.csv in ../shared/data/scaling")
    options = ("--n", "Model Size", "--compute", "Training FLOP", "--y", "loss", "--hold-out", "loss>3.44")
    result = _json(fit, path, "--law", "chinchilla", *options)
    assert (result["points"], len(result["held_out"]["rows"])) == (240, 5)
    assert result["objective"] == pytest.approx(0.00101827402, abs=1e-9)
    ratio = result["allocation"]["optima"][0]["best"][-1]
    assert 15 < ratio["value"] < 25, "about 20 tokens a parameter"


def test_the_public_c_n_d_file_works_as_it_is(fit: Run) -> None:
    path = SCALING / "kyo_takano_cnd.csv"
    if not path.exists():
        pytest.skip("no kyo_takano_cnd.csv in ../shared/data/scaling")
    result = _json(fit, path, "--law", "chinchilla")
    assert result["allocation"]["exponents"][0]["value"] == pytest.approx(0.5, abs=0.03)


def test_parquet_without_its_reader_is_one_line_that_says_what_to_install(
    fit: Run, tmp_path: Path, without: Callable[..., None]
) -> None:
    without("pyarrow")
    path = tmp_path / "runs.parquet"
    path.write_bytes(b"PAR1")
    code, _, err = fit(path, *LAW)
    assert code == output.INPUT
    needs = "pyarrow, which is not installed: pip install 'isoflop[parquet]'"
    assert err == f"isoflop: {path}: reading Parquet needs {needs}\n"


def test_packed_json_lines_are_read_too(fit: Run, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl.gz"
    path.write_bytes(gzip.compress(_law().to_json(orient="records", lines=True).encode()))
    assert _json(fit, path, "--law", "chinchilla")["points"] == 36


GOOD = _law()
LAW = ("--law", "chinchilla")


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (GOOD, ("--law", "chinchila"), "--law chinchila: no such law in several resources: give chinchilla"),
        (GOOD, ("--law", "power_law"), "a law in one resource: say --laws power_law"),
        (GOOD, (*LAW, "--x", "C"), "does not take --x: it takes --n, --d and --y"),
        (GOOD, (*LAW, "--width", "N"), "does not take --width"),
        (GOOD, (*LAW, "--laws", "m4"), "does not take --laws: it is of laws in one resource"),
        (GOOD, (*LAW, "--frontier"), "does not take --frontier"),
        (GOOD, (*LAW, "--wild"), "does not take --wild"),
        (GOOD, (*LAW, "--counts", "10"), "does not take --counts"),
        (GOOD, (*LAW, "--energy-grade", "D"), "does not take --energy-grade"),
        (GOOD, (*LAW, "--isoflop", "N"), "two methods"),
        (GOOD, ("--n", "N"), "--n is for --law and --isoflop"),
        (GOOD, ("--isoflop", "N", "--hold-out", "C>1"), "does not take --hold-out"),
        (GOOD, ("--isoflop", "M"), "--isoflop M: no such column"),
        (GOOD, ("--isoflop", "C"), "C is named twice"),
        (GOOD, ("--isoflop", "N,D,loss"), "3 sizes: give one"),
        (GOOD, (*LAW, "--n", "M"), "--n M: no such column"),
        (GOOD, (*LAW, "--n", "D"), "D is named twice"),
        (GOOD, (*LAW, "--resamples", "3"), "at least 100"),
        (GOOD, (*LAW, "--chance", "0.9"), "are of an error rate"),
        (GOOD, (*LAW, "--hold-out", "C>1e30"), "no row is held out"),
        (GOOD, (*LAW, "--hold-out", "C"), "C is a number, not a condition: compare it, such as C > 0"),
        (GOOD, (*LAW, "--json", "/none/x.json"), "a folder that exists"),
        (GOOD, ("--law", "width_depth_data"), "say --width and --depth: the columns are C, N, D, loss"),
        (GOOD.drop(columns="D"), (*LAW, "--n", "N"), "say --d (or --compute) and --y: the columns are C, N"),
        (GOOD.assign(N=7e8), LAW, "N has 1 distinct values"),
        (GOOD.assign(D=20 * GOOD["N"]), LAW, "follows from"),
        (GOOD.assign(N=-1.0), LAW, "0 distinct combinations of N, D in 0 usable rows"),
        (GOOD.assign(loss=np.nan), LAW, "36 of them: unknown loss"),
        (GOOD.assign(loss=0.0), LAW, "36 of them: loss is 0"),
        (GOOD.assign(loss="low"), LAW, "loss is 'low', not a number"),
        (GOOD.assign(N="big"), LAW, "N"),
        (GOOD.iloc[::8], LAW, "chinchilla has 5 parameters: 5 distinct combinations"),
        (GOOD.iloc[:0], LAW, "no rows"),
        (GOOD.assign(C=np.geomspace(1, 1e9, 36)), ("--isoflop", "N"), "run more sizes at equal compute"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_line_and_exit_2(
    rows: pd.DataFrame, options: tuple[str, ...], message: str, fit: Run, table: Callable[..., Path]
) -> None:
    code, out, err = fit(table(rows), *options)
    assert code == output.INPUT
    assert message in err
    assert (out, err.count("\n")) == ("", 1)


def test_rows_that_cannot_be_used_are_named(fit: Run, table: Callable[..., Path]) -> None:
    rows = _law().astype(object)
    rows.loc[3, "N"], rows.loc[7, "D"], rows.loc[9, "loss"] = 0, np.nan, -1
    code, out, _ = fit(table(rows), *LAW, *FEW)
    assert code == 0
    assert "33 rows of 33 configurations" in out
    assert "left out: row 4: N is 0: a law on log scales needs it finite and above 0" in out
    assert "left out: row 8: unknown D" in out
    assert "left out: row 10: loss is -1" in out


def test_an_ordinary_sweep_has_no_profiles_and_the_message_gives_a_sweep_that_has(fit: Run) -> None:
    folder = Path(__file__).parents[2] / "results/digits-cpu"
    code, _, err = fit(folder, "--isoflop", "width")
    assert code == output.INPUT
    assert "such as by isoflop sweep data=digits model=resnet" in err
    code, _, err = fit(folder, *LAW)
    assert code == output.INPUT
    assert "examples_seen has 1 distinct values" in err
    code, _, err = fit(folder, "--isoflop", "width", "--compute", "energy_joules")
    assert code == output.INPUT
    assert "energy_joules is graded" in err
    code, _, err = fit(folder, *LAW, "--group", "width")
    assert "--group is for a table of your own" in err


def test_a_chart_of_wandb_is_refused_for_its_runs_table(fit: Run, tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text('"Step","a - loss","b - loss"\n1,2,3\n')
    code, _, err = fit(path, *LAW, "--n", "Step", "--d", "loss", "--y", "loss")
    assert code == output.INPUT
    assert "a W&B chart has one resource only" in err


def test_an_optimum_outside_the_sizes_measured_is_starred(fit: Run, table: Callable[..., Path]) -> None:
    """Also at ten times the compute; the JSON has the range and the reason.

    The large sizes were trained with a hundredth of the compute only.
    """
    small = _law().assign(N=lambda rows: rows["N"].where(rows["C"] > 2e19, 5 * rows["N"]))
    small = small[(small["C"] < 2e19) | (small["N"] < 0.7 * small["C"].map(_best))]
    small["D"] = small["C"] / (6 * small["N"])
    small["loss"] = E + A / small["N"] ** ALPHA + B / small["D"] ** BETA
    path = table(small)
    _, out, _ = fit(path, "--law", "chinchilla", *FEW)
    lines = [line.split() for line in out.splitlines() if line.startswith(("1e+21", "1e+22"))]
    assert [line[1].endswith("*") for line in lines] == [True, True]
    assert "* outside what was measured (at C 1e+21: parameters " in out
    assert small["N"].max() > _best(1e21), "within all sizes"
    first, last = _json(fit, path, "--law", "chinchilla")["allocation"]["optima"]
    for at in (first, last):
        assert at["best"][0]["value"] > at["best"][0]["measured"]["largest"]
    assert first["best"][0]["outside"].startswith("above the largest parameters measured at C 1e+21, ")
    assert first["outside"] is None
    assert last["outside"] == "above the largest C measured, 1e+21"


def test_an_optimum_within_them_is_not(fit: Run, table: Callable[..., Path]) -> None:
    result = _json(fit, table(_law(noise=0.0)), "--law", "chinchilla")
    assert [each["outside"] for each in result["allocation"]["optima"][0]["best"]] == [None] * 3


def test_profiles_say_their_bias_and_which_law_has_none(fit: Run, table: Callable[..., Path]) -> None:
    _, out, _ = fit(table(_law()), "--isoflop", "N", *FEW)
    assert re.search(r"optimal N as C to the power \S+ \(\S+ \S+\), bias [+-]0\.00\d", out)
    assert "miss of its own optima (optimal N by " in " ".join(out.split())
    assert "--law chinchilla has none" in " ".join(out.split())
    path = table(_law().rename(columns={"N": "size", "D": "tokens"}))
    _, out, _ = fit(path, "--isoflop", "size", "--compute", "C", "--y", "loss", *FEW)
    assert "is unknown: no column of data is known" in " ".join(out.split())


@pytest.mark.parametrize("method", [("--law", "chinchilla"), ("--isoflop", "N")])
def test_a_table_of_several_experiments_is_refused(
    fit: Run, table: Callable[..., Path], method: tuple[str, str]
) -> None:
    rows = _law().assign(dataset=["c4", "pile"] * 18)
    path = table(rows)
    named = ("--n", "N", "--d", "D", "--compute", "C", "--y", "loss")
    code, out, err = fit(path, *method, *named, *FEW)
    assert (code, out) == (2, "")
    assert "dataset has 2 values (c4, pile)" in err
    assert len(err.splitlines()) == 1
    code, out, _ = fit(path, *method, *named, "--mixed", *FEW)
    assert code == 0
    assert "note: dataset has 2 values (c4, pile), all in one fit" in out


def test_repeats_of_a_table(fit: Run, table: Callable[..., Path]) -> None:
    n, unique, passes = (
        axis.ravel()
        for axis in np.meshgrid(np.geomspace(1e4, 1e7, 4), [4e4, 4e5, 4e6], [1.0, 4.0, 16.0, 64.0])
    )
    counted = unique * (1 + 5 * (1 - np.exp(-(passes - 1) / 5)))
    rows = pd.DataFrame({"params": n, "seen": passes * unique, "set": unique})
    path = table(rows.assign(loss=0.02 + 9 / n**0.35 + 60 / counted**0.4))
    named = ("--n", "params", "--d", "seen", "--y", "loss")
    code, out, err = fit(path, "--law", "chinchilla_repeated", *named, "--unique", "set", *FEW)
    assert code == 0, err
    assert "loss against params (parameters) and seen (data) and set (unique)" in out
    assert re.search(r"^R_star +(5|5\.00\d*|4\.99\d*) ", out, re.MULTILINE)
    assert re.search(r"^compute|^FLOP .* passes", out, re.MULTILINE)
    code, _, err = fit(path, "--law", "chinchilla_repeated", *named, *FEW)
    assert code == 2
    assert "say --unique" in err
    code, _, err = fit(path, "--law", "chinchilla", *named, "--unique", "set", *FEW)
    assert code == 2
    assert "--law chinchilla does not take --unique" in err


def test_a_sweep_whose_passes_vary_hints_at_the_law_of_repeats(
    fit: Run, done_record: Record, tmp_path: Path
) -> None:
    """Chinchilla counts a repeat as new; the law of repeats finds its columns by itself."""
    folder = tmp_path / "s"
    _records(folder, done_record)
    _, out, _ = fit(folder, "--law", "chinchilla", *FEW)
    assert "--law chinchilla_repeated fits what repeats are worth" in " ".join(out.split())
    code, out, err = fit(folder, "--law", "chinchilla_repeated", *FEW)
    assert code == 0, err
    assert "examples_seen (data) and train_n (unique)" in " ".join(out.split())
