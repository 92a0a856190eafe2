import dataclasses
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.isoflop.profiles import fit_profiles
from isoflop.report.figures import isoflop_profiles

pytestmark = pytest.mark.slow


def _table(middle=1.0):
    """Four budgets of a surface whose optimum is at width 32 and depth 6, growing with compute."""
    rows = []
    generator = np.random.default_rng(0)
    for budget in np.geomspace(1e3, 1e6, 4):
        for w in np.geomspace(0.4, 2.5, 6):
            for d in np.geomspace(0.5, 2, 4):
                width, depth = middle * w * 32 * (budget / 1e3) ** 0.2, d * 6 * (budget / 1e3) ** 0.1
                bowl = 0.05 * np.log(middle * w) ** 2 + 0.04 * np.log(d) ** 2
                y = 0.2 * (budget / 1e3) ** -0.15 * np.exp(bowl + 0.004 * generator.normal())
                rows.append((budget, width, depth, y))
    return pd.DataFrame(rows, columns=["train_gflops", "width", "depth", "test_error"])


def _profiles(*sizes, middle=1.0):
    return fit_profiles(_table(middle), "train_gflops", sizes, "test_error", resamples=60)


@pytest.mark.parametrize("sizes", [("width",), ("width", "depth")])
def test_the_drawing_shows_every_size_and_its_exponent_in_words(sizes):
    profiles = _profiles(*sizes)
    drawing = isoflop_profiles.draw(profiles)
    assert drawing.png.startswith(b"\x89PNG")
    words = " ".join(ElementTree.fromstring(drawing.svg).itertext())
    for name in (*sizes, "Test error", "Optimum", "Training compute (GFLOPs)"):
        assert name in words
    assert words.count("exponent 0.") == len(sizes)
    assert "4 budgets" in drawing.alt
    assert "4 have an optimum" in drawing.alt
    assert "optimal width exponent 0." in drawing.caption
    assert isoflop_profiles.draw(profiles).svg == drawing.svg


def test_diamonds_stand_at_the_optima_and_the_line_has_the_exponent():
    profiles = _profiles("width")
    left, right, _ = isoflop_profiles.figure(profiles).axes
    best = [b.optimum[0].value for b in profiles.budgets]
    for axes in (left, right):
        diamonds = [line for line in axes.lines if line.get_marker() == "D"]
        places = [line.get_xdata() if axes is left else line.get_ydata() for line in diamonds]
        at = [float(np.asarray(place)[0]) for place in places]
        assert at == pytest.approx(best)
    (line,) = [line for line in right.lines if line.get_marker() == "None" and np.size(line.get_xdata()) == 2]
    slope = np.diff(np.log(line.get_ydata())) / np.diff(np.log(line.get_xdata()))
    assert slope[0] == pytest.approx(profiles.growth[0].exponent.value)


def test_without_a_minimum_nothing_is_called_optimal():
    profiles = _profiles("width", middle=9.0)
    assert all(budget.optimum is None for budget in profiles.budgets)
    left, right, _ = isoflop_profiles.figure(profiles).axes
    assert not [line for axes in (left, right) for line in axes.lines if line.get_marker() == "D"]
    drawing = isoflop_profiles.draw(profiles)
    assert "0 have an optimum" in drawing.alt
    assert "0 budgets have an optimum in most resamples" in drawing.caption
    assert "No minimum" in drawing.svg


def test_of_many_budgets_some_are_drawn_and_the_page_stays_small():
    profiles = _profiles("width")
    budgets = tuple(dataclasses.replace(profiles.budgets[0], compute=1e3 * 1.3**i) for i in range(60))
    budgets = tuple(dataclasses.replace(b, points=b.points * 20) for b in budgets)
    drawing = isoflop_profiles.draw(dataclasses.replace(profiles, budgets=budgets))
    assert "60 budgets" in drawing.alt
    assert "Of 60 budgets one in 3 is drawn." in drawing.caption
    assert len(drawing.svg) < 300_000
