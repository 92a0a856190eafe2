"""Ticks of logarithmic axes: enough, not too many, and read at a glance."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from isoflop.report.figures import canvas, log_axis


@pytest.mark.parametrize("low", [1e-6, 0.0123, 1.0, 2.31, 3e5])
@pytest.mark.parametrize("ratio", [1.02, 1.2, 2.0, 8.0, 40.0, 1e3, 1e6, 1e15])
def test_an_axis_has_from_three_to_a_dozen_ticks_inside_its_ends(low: float, ratio: float) -> None:
    ticks = log_axis.ticks(low, low * ratio)
    assert 3 <= len(ticks) <= 12
    assert all(low <= at <= low * ratio for at in ticks)
    assert ticks == sorted(set(ticks))
    texts = log_axis.texts(ticks)
    assert len(set(texts)) == len(texts)
    assert max(map(len, texts)) <= 11


def test_numbers_are_plain_while_their_zeros_need_no_counting() -> None:
    assert log_axis.texts([0.05, 2, 2000, 10_000]) == ["0.05", "2", "2,000", "10,000"]
    assert log_axis.texts([1, 100, 1e4, 1e6]) == ["1", "100", "10⁴", "10⁶"]
    assert log_axis.texts([2e6, 5e6]) == ["2×10⁶", "5×10⁶"]


def test_a_drawn_axis_keeps_its_ticks_where_it_is_moved() -> None:
    axes = Figure().subplots()
    axes.set_xscale("log")
    canvas.log_ticks(axes.xaxis, 1, 10)
    for ends in ((1, 10), (1e3, 1e9)):
        axes.set_xlim(*ends)
        ticks = np.array(axes.xaxis.get_majorticklocs())
        assert len(ticks) >= 3
        assert ticks.min() >= ends[0]
        assert ticks.max() <= ends[1]
