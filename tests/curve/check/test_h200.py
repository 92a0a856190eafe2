"""The first measurement on an H200: w64 d3 and w128 d3 were not trained well, and the check says so."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from isoflop.curve.check import front, noise, shapes
from isoflop.table import aggregate

ROOT = Path(__file__).parents[3]
PLACES = (
    ROOT / "results" / "cifar10-h200-fixed-recipe",
    ROOT.parent / "shared" / "gpu" / "h200-2026-11-26" / "cifar10-fixed-lr",
)


@pytest.fixture(scope="module")
def table():
    directory = next((place for place in PLACES if (place / "records").is_dir()), None)
    if directory is None:
        pytest.skip(f"the records of the H200 are in neither of {', '.join(map(str, PLACES))}")
    return aggregate.aggregate(directory).rows


@pytest.fixture(scope="module")
def report(table):
    return front.check(table)


def of(report, kind):
    return {s.name.removeprefix("resnet "): found for found in report.of(kind) for s in found.subjects}


def test_w64_d3_and_w128_d3_are_undertrained_and_nothing_else(report):
    faults = of(report, "undertrained")
    assert set(faults) == {"w64 d3", "w128 d3"}
    assert "times that of the smaller resnet w64 d2" in faults["w64 d3"].sentence
    assert "times that of the shallower resnet w128 d2" in faults["w128 d3"].sentence
    assert "one seed" in faults["w128 d3"].sentence


def test_w16_and_below_are_healthy_w4_d3_included(report):
    named = {
        s.name.removeprefix("resnet ")
        for kind in ("undertrained", "borderline", "above_trend", "seed_spread")
        for found in report.of(kind)
        for s in found.subjects
    }
    assert not {f"w{w} d{d}" for w in (2, 4, 8, 16) for d in (1, 2, 3)} & named
    assert "w32 d1" not in named, "above w16 d3, which is not nested in it"


def test_w32_d3_and_w128_d2_are_borderline_in_words(report):
    borderline = of(report, "borderline")
    assert set(borderline) == {"w32 d3", "w128 d2"}
    assert all("Borderline" in found.sentence and found.severity == "note" for found in borderline.values())


def test_the_spread_of_seeds_jumps_at_w64_d3(table, report):
    assert "w64 d3" in of(report, "seed_spread")
    spread = {s.subject.name.removeprefix("resnet "): s.spread for s in shapes.shape_losses(table)}
    assert spread["w64 d3"] / spread["w32 d1"] == pytest.approx(9, abs=0.1)
    assert spread["w128 d3"] is None


def test_w64_d1_and_w128_d1_lie_above_the_trend_by_so_much(report):
    (remark,) = report.of("above_trend")
    assert "power -0.28" in remark.sentence
    for name, factor in (("resnet w64 d1", 1.35), ("resnet w128 d1", 1.9)):
        said = float(remark.sentence.split(f"{name} ")[1].split(" times")[0])
        assert said == pytest.approx(factor, rel=0.04)
    assert "no fault by itself" in remark.what_to_do


def test_seed_noise_is_that_of_the_healthy_shapes(table):
    pooled = noise.pooled_noise(shapes.shape_losses(table))
    assert pooled.deviation == pytest.approx(0.024, abs=0.003)


def test_the_design_is_named(report):
    by_kind = {found.kind: found for found in report.findings}
    assert "every run sees 445,440 examples of one training set of 45,000" in by_kind["confounding"].sentence
    assert "seen 9.9 times" in by_kind["repetition"].sentence
    assert "0.4 for every shape" in by_kind["learning_rate"].sentence
    assert {s.name for s in by_kind["seeds"].subjects} == {f"resnet w128 d{d}" for d in (1, 2, 3)}
    open_ = {outcome.check for outcome in report.outcomes if outcome.not_checked}
    assert open_ == {"collapse", "drift"}
    assert math.isclose(report.runs, 57)
