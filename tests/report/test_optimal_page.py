"""The page of a sweep over sizes and budgets speaks of training at the best size, by the joint law."""

import dataclasses
import html
import math
import re

import numpy as np
import pytest
from scipy import optimize

from isoflop.cli.terminal import optimal_lines
from isoflop.curve.fit import Method
from isoflop.curve.forecast import holdout
from isoflop.curve.language.answers import language_answers
from isoflop.report import headline, page, run_links
from isoflop.report.text import optimal_training, verdict
from isoflop.table import aggregate

pytestmark = pytest.mark.slow

METHOD = Method(resamples=60)
TEXT_LAW = (1.2, 19.5, 0.35, 261.0, 0.35)
"""E, A, a, B, b of tests/conftest.py."""
BUDGETS = (1e11, 4e11, 1.6e12, 6.4e12, 2.56e13)


def _written(folder, change=lambda rows: rows):
    """The visible text of the page of a folder's table, its fits and its answers."""
    table = aggregate.aggregate(folder)
    table = dataclasses.replace(table, rows=change(table.rows))
    fits = holdout.fit_sweep(table.rows, source="synthetic", method=METHOD)
    text = page.write_report(folder, table, fits).read_text()
    text = re.sub(r"<(style|script).*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split()), table, fits


@pytest.fixture(scope="module")
def crossed(tmp_path_factory, make_text_sweep):
    """A sweep over sizes and budgets whose largest budget is held out."""
    folder = make_text_sweep(tmp_path_factory.mktemp("crossed") / "synthetic", budgets=BUDGETS)
    return _written(folder, lambda rows: rows.assign(held_out=rows["train_gflops"] > 2e4))


@pytest.fixture(scope="module")
def optimal(crossed):
    return language_answers(crossed[1].rows).optimal


def _above(budget, depth):
    """Bits a byte above the floor at the best width, which is any number here."""
    _, a, alpha, b, beta = TEXT_LAW

    def bits(log_width):
        width = math.exp(log_width)
        size = depth * 12 * width**2 + 256 * width
        return a / size**alpha + b * (6 * (size + 2 * depth * 256 * width) / budget) ** beta

    return optimize.minimize_scalar(bits, bounds=(0, 8), method="bounded").fun


def _bits(value):
    return f"{value:.3f}"


def test_the_headline_is_the_joint_laws(crossed, optimal, language_sweep):
    text, table, _ = crossed
    law = language_answers(table.rows).sizes[0]
    assert optimal.floor == next(each for each in law.law.parameters if each.name == "E")
    assert optimal.exponent == law.split.reducible_exponent
    assert optimal.largest.bits.value == pytest.approx(law.split.at_budgets[-1].bits.value, rel=1e-3)
    assert (
        f"At the best size for each budget, loss falls towards about {_bits(optimal.floor.value)} bits a "
        f"byte; the part above it falls as compute to the power −{optimal.exponent.value:.3f}."
    ) in text
    assert "Over all runs" not in text.replace("Over all runs of a shape", "")


def test_exponent_floor_and_forecast_are_those_of_the_known_law(optimal):
    """Those of tests/conftest.py along its own best sizes, by search at each depth."""
    floor, a, alpha, b, beta = TEXT_LAW
    assert optimal.floor.interval.low < floor < optimal.floor.interval.high
    assert optimal.ahead.compute == pytest.approx(10 * optimal.largest.compute)
    for at in (optimal.largest, optimal.ahead):
        truth = floor + a / at.size.value**alpha + b / at.seen.value**beta
        assert at.bits.value == pytest.approx(truth, rel=0.01)
        assert at.bits.interval.low < truth < at.bits.interval.high
    above = [
        [_above(1e9 * each.compute, depth) for each in (optimal.curve[0], optimal.largest)]
        for depth in (1, 2)
    ]
    decades = math.log10(optimal.largest.compute / optimal.curve[0].compute)
    low, high = sorted(math.log10(first / last) / decades for first, last in above)
    assert optimal.exponent.interval.low < high + 0.005
    assert optimal.exponent.interval.high > low - 0.005
    assert high - low < 0.02


def test_the_forecast_at_ten_times_the_compute_is_that_of_the_joint_law(crossed, optimal):
    text, _, fits = crossed
    through_all = fits.reports[0].forecast.band
    assert through_all.x[-1] == pytest.approx(optimal.ahead.compute, rel=0.2)
    assert optimal.ahead.bits.value != pytest.approx(through_all.y[-1], rel=0.02)
    assert optimal.ahead.bits.value < through_all.new_high[-1]
    said = f"Forecast at 10× compute {_bits(optimal.ahead.bits.value)} bits a byte 95% "
    assert f"{said}{optimal_training.bounds(optimal.ahead.bits)}; by the joint law, untested" in text
    assert "Exponent b" not in text


def test_half_of_what_is_above_e_costs_two_to_the_inverse_exponent(optimal):
    half = optimal_training.halving(optimal)
    assert half.value == pytest.approx(2 ** (1 / optimal.exponent.value))
    assert half.interval.low == pytest.approx(2 ** (1 / optimal.exponent.interval.high))
    flat = dataclasses.replace(optimal.exponent, interval=dataclasses.replace(half.interval, low=0.0))
    assert optimal_training.halving(dataclasses.replace(optimal, exponent=flat)).interval.high is None


def test_the_law_through_all_runs_stands_below_under_its_name(crossed):
    text, _, fits = crossed
    headline, rest = text.split("Is this sweep valid?")
    b = next(p for fit in fits.reports[0].fits for p in fit.parameters if p.name == "b")
    assert f"{b.value:.3f}" not in headline
    _, below = rest.split("All runs, whatever their size", 1)
    assert f"loss falls as compute to the power −b with b = {b.value:.3f}" in below
    assert "How far to trust the curve" not in text


def test_held_out_runs_are_judged_with_interval_and_error_in_per_cent(crossed):
    text, table, fits = crossed
    held = fits.reports[0].held_out
    assert held.law == "chinchilla"
    assert f"the joint law, fitted without them, missed by ×{math.exp(held.log_rmse):.3f}, " in text
    first = held.rows[0]
    name = run_links.names(table.rows)[first.run_id]
    assert (
        f"{name} {first.x:,.0f} {_bits(first.y)} {_bits(first.predicted)} {_bits(first.low)} to "
        f"{_bits(first.high)} {100 * (first.predicted / first.y - 1):+.1f}%"
    ) in text
    assert text.count("Held-out runs Run GFLOPs") == 1


def test_the_figure_shows_it(crossed):
    text, _, _ = crossed
    assert "Line: the joint law at the best size for each compute" in text
    assert "held-out runs with their predicted interval" in text


def test_without_a_floor_the_exponent_is_of_all_bits(optimal, crossed):
    rows = crossed[1].rows
    unknown = dataclasses.replace(optimal, floor_identified=False)
    judged = verdict.judge(rows, None, "", optimal=unknown)
    power = f"{optimal.exponent.value:.3f}"
    assert judged.headline == (
        f"At the best size for each budget, loss falls as compute to the power −{power}; no irreducible "
        "part is identified."
    )
    assert headline._of_joint(unknown)[1].value == "not identified"


def test_too_few_decades_or_one_seed_give_no_answer(optimal, crossed):
    one_seed = crossed[1].rows[crossed[1].rows["seed"] == 0]
    judged = verdict.judge(one_seed, None, "", optimal=optimal)
    assert judged.headline.startswith("Cannot be told: loss falls with compute at the best sizes")
    assert "single seed" in " ".join(judged.sentences)
    short = dataclasses.replace(optimal, curve=optimal.curve[20:])
    assert "budgets span only" in " ".join(verdict.judge(crossed[1].rows, None, "", optimal=short).sentences)


def test_one_size_a_budget_keeps_the_law_through_all_runs(tmp_path, make_text_sweep):
    def ladder(rows):
        """The best width of each budget."""
        best = rows.groupby(np.log10(rows["train_gflops"]).round(1))["test_bits_per_byte"].idxmin()
        return rows[rows["config_id"].isin(rows.loc[best, "config_id"])].reset_index(drop=True)

    text, table, _ = _written(
        make_text_sweep(tmp_path / "path", budgets=(1e10, 1e11, 1e12, 1e13), depths=(1,)), ladder
    )
    assert language_answers(table.rows).optimal is None
    assert "At the best size for each budget" not in text
    assert "How far to trust the curve" in text
    assert "All runs, whatever their size" not in text


def test_the_terminal_says_the_same(optimal, capsys):
    optimal_lines.show(optimal)
    shown = capsys.readouterr().out
    assert f"fall as compute^-{optimal.exponent.value:.3g} (" in shown
    assert f"forecast at 10 times that, {optimal.ahead.compute:,.0f} GFLOPs: " in shown
    assert shown.splitlines()[-1] == optimal_training.ALL_RUNS
