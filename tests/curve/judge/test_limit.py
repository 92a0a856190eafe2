"""The verdict on the paper's limit: each reason that keeps a sweep from telling, and both sides of it."""

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.check import front, undertrained
from isoflop.curve.check.finding import Finding, Outcome, subjects
from isoflop.curve.judge import data_growth, limit
from isoflop.curve.result import Excluded
from isoflop.table import axis, target


def sweep(b=0.15, *, shapes=8, seeds=3, growth=0.5, decades=4.0, noise=0.02, bend=0.0):
    """Rows whose RMS error falls as compute^-b, bent by `bend` a squared decade, on data ~ compute^growth."""
    draw = np.random.default_rng(0)
    rows = []
    for shape in range(shapes):
        decade = decades * shape / (shapes - 1)
        compute = 10.0**decade
        for seed in range(seeds):
            rms = 0.25 * compute**-b * 10 ** (bend * decade**2) * np.exp(noise * draw.standard_normal())
            rows.append(
                {
                    **{"run_id": f"{shape}-{seed}", "config_id": str(shape), "label": f"w{shape}"},
                    **{"seed": seed, "train_gflops": compute, "train_n": 1000 * compute**growth},
                    **{"test_error": 0.5 * compute**-0.1, "chance_error": 0.9, limit.RMS: rms},
                }
            )
    return pd.DataFrame(rows)


def causes(judged):
    return [reason.cause for reason in judged.reasons]


@pytest.mark.parametrize(
    ("b", "answer"), [(0.15, "agrees"), (0.25, "compatible but not decisive"), (0.4, "disagrees")]
)
def test_a_sweep_whose_data_grow_is_judged_by_its_exponent(b, answer):
    judged = limit.judge(sweep(b))
    assert judged.answer == answer
    assert judged.reasons == ()
    assert judged.exponent.value == pytest.approx(b, abs=0.01)
    assert judged.alpha.value == pytest.approx(1 / b, rel=0.05)
    assert (judged.runs, judged.configs, judged.outcome) == (24, 8, limit.RMS)


def test_a_noisy_sweep_on_the_claims_side_is_too_wide_to_agree():
    judged = limit.judge(sweep(0.1, noise=0.5))
    assert judged.exponent.interval.high < 0.25
    assert judged.answer == "compatible but not decisive"
    assert "wide" in judged.why


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"seeds": 1}, "seeds"),
        ({"decades": 1.49}, "decades"),
        ({"shapes": 4}, "configurations"),
        ({"growth": 0.0}, "fixed data"),
        ({"growth": 0.24}, "fixed data"),
        ({"bend": 0.015}, "law rejected"),
        ({"b": 0.0}, "no fall"),
        ({"b": -0.2}, "no fall"),
    ],
)
def test_each_reason_keeps_a_sweep_from_telling(changed, cause):
    judged = limit.judge(sweep(**changed))
    assert judged.answer == "cannot be told"
    assert cause in causes(judged)
    assert judged.why == judged.reasons[0].sentence


@pytest.mark.parametrize(
    "changed", [{"seeds": 2}, {"decades": 1.51, "noise": 0.01}, {"shapes": 5}, {"growth": 0.26}]
)
def test_on_the_other_side_of_each_threshold_it_is_told(changed):
    assert limit.judge(sweep(**changed)).answer == "agrees"


def test_without_root_mean_square_error_nothing_is_judged():
    """Neither classification error nor the loss of text is bounded by the limit, however they fall."""
    judged = limit.judge(sweep().drop(columns=limit.RMS))
    assert causes(judged) == ["outcome"]
    assert judged.exponent is None
    assert "Brier" in judged.why
    some = sweep()
    some.loc[0, limit.RMS] = np.nan
    assert "only some of these runs" in limit.judge(some).why
    text = sweep().drop(columns=limit.RMS).assign(**{target.DOMAIN: target.TEXT})
    assert "loss of text" in limit.judge(text).why


def test_a_column_of_ones_own_is_an_rms_error_by_its_name():
    own = sweep().drop(columns=limit.RMS).assign(val_rmse=lambda r: 0.3 * r["train_gflops"] ** -0.1)
    assert limit.judge(own, y="val_rmse").outcome == "val_rmse"
    assert limit.judge(own, y="test_error").outcome is None
    assert limit.outcome(own.assign(terms=1.0), "terms") is None, "rms in the middle of a word is none"


def test_runs_near_chance_and_runs_left_out_are_no_points():
    rows = sweep()
    rows.loc[rows["config_id"] == "0", "test_error"] = 0.82  # over nine tenths of 0.9
    assert limit.judge(rows).configs == 7
    rows["test_error"] = 0.80
    assert limit.judge(rows).configs == 8
    assert limit.judge(rows, left_out=(Excluded("0-0", "for a test"),)).runs == 23


def checked(rows, poor):
    """The report of checks that call the shapes `poor` undertrained."""
    finding = Finding(undertrained.CHECK, "fault", subjects(poor), "too high a loss", "train them longer")
    outcomes = (Outcome(undertrained.CHECK, (finding,)), *front.check(rows).outcomes[1:])
    return front.CheckReport(len(rows), rows["config_id"].nunique(), outcomes, None)


def test_an_answer_that_hangs_on_undertrained_shapes_cannot_be_told():
    rows = sweep(0.4, shapes=10)
    late = rows["config_id"].astype(int) >= 6
    assert limit.judge(rows, checked(rows, rows[late])).answer == "disagrees", (
        "the same with and without them"
    )
    level = rows.loc[rows["config_id"] == "5", limit.RMS].mean()
    rows.loc[late, limit.RMS] = level
    assert limit.judge(rows).answer == "cannot be told", "the largest shapes bend the curve"
    assert limit.judge(rows[~late]).answer == "disagrees"
    judged = limit.judge(rows, checked(rows, rows[late]))
    assert judged.answer == "cannot be told"
    assert causes(judged)[0] == "undertrained"
    assert "without them 'disagrees'" in judged.why


def test_the_limit_speaks_of_error_against_training_compute_alone():
    rows = sweep()
    assert limit.of_axes(rows, None, ("train_gflops", "test_error")) is not None
    assert limit.of_axes(rows, None, ("train_seconds", "test_error")) is None
    assert limit.of_axes(rows, None, ("energy_joules", "test_error")) is None
    described = axis.Axes(axis.describe("gmacs", "GMAC"), axis.describe_y("top1_err", "percent"))
    assert described.x.a_pass
    own = rows.assign(gmacs=rows["train_gflops"], top1_err=rows["test_error"])
    assert limit.of_axes(own, None, ("gmacs", "top1_err"), described) is None


def test_distinct_examples_are_the_fewer_of_read_and_held():
    rows = sweep(growth=0.0)
    assert data_growth.exponent(rows, "train_gflops") == pytest.approx(0.0, abs=1e-9)
    read = rows.assign(examples_seen=lambda r: r["train_n"] * (r["train_gflops"] / 1e4) ** 0.5)
    assert data_growth.exponent(read, "train_gflops") == pytest.approx(0.5)
    more = rows.assign(examples_seen=lambda r: r["train_n"] * r["train_gflops"])
    assert data_growth.exponent(more, "train_gflops") == pytest.approx(0.0, abs=1e-9)
    assert data_growth.exponent(rows.drop(columns="train_n"), "train_gflops") is None
    unknown = data_growth.reason(rows.drop(columns="train_n"), "train_gflops")
    assert "not known" in unknown.sentence
