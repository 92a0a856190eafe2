import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop import record as records
from isoflop.curve.check import collapse, loss_curves
from isoflop.curve.check.collapse import Collapse
from isoflop.curve.check.finding import Subject
from isoflop.curve.check.loss_curves import LossCurve


def ladder(make_healthy):
    """Sizes whose data grow with size: w8 on 5,000 to w128 on 80,000 images."""
    place = {8: 5_000, 16: 10_000, 32: 20_000, 64: 40_000, 128: 80_000}
    table = make_healthy(depths=(1,), sizes=tuple(place.values()))
    return table[[place.get(int(w)) == n for w, n in zip(table["width"], table["train_n"], strict=True)]]


def measured(table, curves) -> Collapse:
    seen = collapse.measure(table, curves)
    assert isinstance(seen, Collapse)
    return seen


def test_curves_of_one_form_collapse_and_their_irreducible_loss_is_seen(make_healthy, make_curves):
    table = ladder(make_healthy)
    seen = measured(table, make_curves(table))
    assert len(seen.curves) == 5
    assert seen.deviation < 1e-3
    assert seen.irreducible == pytest.approx(0.1, rel=0.02)
    assert seen.noise == pytest.approx(0.02 / np.sqrt(3), rel=0.6)
    assert collapse.check(seen).passed


def test_a_size_that_learns_otherwise_breaks_the_collapse_and_is_named(make_healthy, make_curves):
    table = ladder(make_healthy)
    seen = measured(table, make_curves(table, bend={"w32d1n20000": 0.3}))
    (found,) = collapse.check(seen).findings
    assert "do not collapse" in found.sentence
    assert found.subjects[0].name == "mlp w32 d1"
    assert seen.deviation > 3 * seen.noise


def test_of_a_grid_the_diagonal_is_taken(make_healthy, make_curves):
    table = make_healthy(depths=(1,))
    seen = measured(table, make_curves(table))
    places = [curve.subject.config_id for curve in seen.curves]
    assert places[0] == "w8d1n5000"
    assert places[-1] == "w128d1n80000"
    assert len(places) == 3


def test_fixed_data_or_records_without_intervals_are_not_checked(make_healthy, make_curves):
    table = make_healthy(sizes=(20_000,))
    assert (
        "whose data grow with size" in collapse.check(collapse.measure(table, make_curves(table))).not_checked
    )
    assert "train_loss intervals" in collapse.check(collapse.measure(table, {})).not_checked


def test_without_seeds_the_deviation_is_told_and_not_judged(make_healthy, make_curves):
    table = ladder(make_healthy)
    table = table[table["seed"] == 0]
    seen = measured(table, make_curves(table))
    assert seen.noise is None
    assert "no size has several seeds" in collapse.check(seen).findings[0].sentence


def test_a_curve_is_averaged_over_parts_of_any_length():
    """Loss 3 over the first 100 examples and 1 over the next 300: half the run is at a mean of 2."""
    curve = LossCurve((100.0, 400.0), (3.0, 1.0))
    assert curve.over(np.array([0.25, 0.5, 1.0])) == pytest.approx([1.0, 1.0])
    assert curve.over(np.array([0.125, 0.375])) == pytest.approx([2.0])


def test_the_intervals_of_records_become_curves(tmp_path):
    intervals = (records.LossInterval(1, 64, 2.0), records.LossInterval(3, 192, 1.5))
    read = records.read(Path(__file__).parents[2] / "data" / "record_schema_2_gpu.json")
    made = dataclasses.replace(read, train_loss=intervals, train_loss_reason=None)
    records.write(made, tmp_path)
    curves = loss_curves.read(tmp_path, [made.run_id, "absent"])
    assert curves == {made.run_id: LossCurve((64.0, 192.0), (2.0, 1.5))}
    bare = dataclasses.replace(made, train_loss=None, train_loss_reason="not recorded")
    assert loss_curves.of_records([bare]) == {}


def test_every_irreducible_loss_tried_is_below_every_loss(make_healthy, make_curves):
    """Losses that rise at the end have their least in the middle of training."""
    table = ladder(make_healthy)
    curves = {
        run: dataclasses.replace(
            curve, mean_loss=(*curve.mean_loss[:-6], *(3 * x for x in curve.mean_loss[-6:]))
        )
        for run, curve in make_curves(table).items()
    }
    seen = measured(table, curves)
    assert np.isfinite(seen.deviation)
    assert all(np.isfinite(curve.ratio).all() for curve in seen.curves)


def test_repeated_data_do_not_grow_with_size(make_healthy, make_curves):
    """Forty passes over one small set are longer training, and not more data."""
    table = make_healthy()
    curves = make_curves(table)
    assert isinstance(collapse.measure(table, curves), collapse.Collapse)
    repeated = table.assign(train_n=table["examples_seen"] / 40)
    lacking = collapse.measure(repeated, curves)
    assert isinstance(lacking, str)
    assert "no example seen more than 4 times" in lacking


@pytest.mark.parametrize("irreducible", [0.0, 0.01, 0.03, 0.5, 0.93])
def test_the_irreducible_loss_is_found_between_the_shares_that_are_tried(make_healthy, irreducible):
    """Losses that collapse for one irreducible loss alone, wherever it lies, at the ends of the grid too."""
    table = ladder(make_healthy)
    ends = np.geomspace(0.01, 1.0, 400)
    curves = {
        str(row["run_id"]): LossCurve(
            tuple(ends * float(row["examples_seen"])),
            tuple(irreducible + (1 - irreducible) * (1 + i % 5) * ends**-0.4),
        )
        for i, row in enumerate(table.to_dict("records"))
    }
    least = min(float(curve.over(collapse.EDGES).min()) for curve in curves.values())
    seen = measured(table, curves)
    assert seen.irreducible == pytest.approx(irreducible, abs=2e-3 * least)
    assert seen.deviation < 2e-3


def test_deviation_and_noise_are_those_computed_by_hand():
    """Three parts, sizes of one, two and four seeds: only the latter two tell the noise."""
    logs = [
        np.array([[0.9, 0.4, 0.0]]),
        np.array([[1.1, 0.5, 0.1], [0.7, 0.5, -0.1]]),
        np.array([[0.8, 0.3, 0.0], [0.8, 0.5, 0.2], [0.9, 0.1, 0.0], [0.7, 0.3, -0.2]]),
    ]
    rows = [
        pd.DataFrame({"run_id": map(str, range(len(each))), "config_id": f"w{i}", "width": 8.0 * i})
        for i, each in enumerate(logs, 1)
    ]
    seen = collapse._at(rows, "width", [0.3 + np.exp(each) for each in logs], 0.3)
    # ln ratio to the last part of each size: (0.9, 0.4), (0.9, 0.5), (0.8, 0.3).
    deviation = np.sqrt(np.mean([np.var([0.9, 0.9, 0.8], ddof=1), np.var([0.4, 0.5, 0.3], ddof=1)]))
    assert seen.deviation == pytest.approx(deviation)
    # Squares about the mean: 0.08 + 0.02 and 0 + 0.08 in the first two parts, with 1 + 3 degrees of freedom.
    of_mean = np.mean([1, 1 / 2, 1 / 4])
    assert seen.noise == pytest.approx(np.sqrt((0.10 + 0.08) / 2 / 4 * of_mean))
    assert [curve.seeds for curve in seen.curves] == [1, 2, 4]
    assert [curve.size for curve in seen.curves] == [8.0, 16.0, 24.0]
    assert seen.curves[2].ratio == pytest.approx(np.exp([0.8, 0.3, 0.0]))


@pytest.mark.parametrize(("noise", "passed"), [(0.0999, False), (0.1, True), (0.2, True)])
def test_curves_collapse_where_they_differ_by_no_more_than_seeds(noise, passed):
    ratios = ((4.0, 2.0, 1.0), (4.1, 2.0, 1.0), (8.0, 3.0, 1.0))
    curves = tuple(
        collapse.NormalisedCurve(Subject(name, name, (name,)), size, 2, ratio)
        for name, size, ratio in zip("abc", (1.0, 2.0, 3.0), ratios, strict=True)
    )
    seen = Collapse((0.2, 0.5, 0.9), curves, 0.3, 0.1, noise)
    assert collapse.farthest(seen) is curves[2]
    outcome = collapse.check(seen)
    assert (outcome.passed is not None) == passed
    if passed:
        assert outcome.passed == (
            "normalised loss curves of 3 sizes differ by 0.1 in ln (root mean square), seeds of one size by "
            f"{noise:.2g} (irreducible loss 0.3 nats)"
        )
    else:
        (found,) = outcome.findings
        assert found.subjects == (curves[2].subject,)
        assert "c is farthest from the others" in found.sentence
