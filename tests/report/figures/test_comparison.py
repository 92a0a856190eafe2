"""The figure of a comparison: what is drawn where, and what is not known."""

import dataclasses

import numpy as np
import pytest

from isoflop.curve.compare.result import (
    ArmFit,
    Comparison,
    Contrast,
    Curve,
    Gain,
    GainAt,
    Pairing,
)
from isoflop.curve.result import Interval
from isoflop.report.figures import comparison as figure

X = tuple(np.geomspace(1, 1e3, 7))


def arm(name, scale):
    y = tuple(scale * x**-0.3 for x in X)
    curve = Curve(X, y, tuple(0.9 * each for each in y), tuple(1.1 * each for each in y))
    return ArmFit(name, 7, 7, 7, X[0], X[-1], X, y, (), curve, ())


def row(y, inside, high=2.6):
    return GainAt(y, 10.0, 5.0, 2.0, Interval(1.5, high), inside)


def comparison(gain, reason=None, y="test_error"):
    pairing = Pairing("configurations", "", 7, 7, 0, 0.5)
    contrast = Contrast(
        *("old", "new", "power_law", "", pairing, "factor", (), (), ()),
        gain=gain,
        gain_reason=reason,
        warnings=(),
    )
    arms = (arm("old", 0.9), arm("new$1", 0.7))
    return Comparison(
        1,
        "0",
        "train_gflops",
        y,
        arms,
        (dataclasses.replace(contrast, other="new$1"),),
        (),
        0.95,
        0.8,
        100,
        0,
        (),
    )


GAIN = Gain((), (row(0.8, False), row(0.7, True), row(0.3, True), row(0.1, False, None)))


def test_curves_above_and_the_gain_below():
    upper, lower = figure.draw(comparison(GAIN)).axes
    # Two curves in per cent, and the gain: solid inside, dashed throughout, with the line of no gain.
    assert [np.asarray(line.get_ydata())[0] for line in upper.lines] == pytest.approx([90.0, 70.0])
    assert [np.asarray(line.get_xdata()).size for line in lower.lines[:2]] == [2, 4]
    assert np.asarray(lower.lines[0].get_xdata()) == pytest.approx([70.0, 30.0])
    assert np.asarray(lower.lines[2].get_ydata()).tolist() == [1.0, 1.0]
    assert lower.get_xlim()[0] > lower.get_xlim()[1]
    assert lower.get_ylim()[1] < 10  # an open end does not decide the axis
    assert upper.get_ylabel() == "Test error (%)"


def test_a_gain_that_is_unknown_says_why():
    axes = figure.draw(comparison(None, "no y lies within both")).axes[1]
    assert "no y lies within both" in axes.texts[0].get_text()


@pytest.mark.parametrize(("kind", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files_of_each_kind(kind, begins):
    made = figure.payload(comparison(GAIN, y="loss"), kind)
    assert made.startswith(begins)
    if kind == "svg":
        assert made == figure.payload(comparison(GAIN, y="loss"), kind)
        assert b"new$1" in made
