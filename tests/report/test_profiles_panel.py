"""The page's section of IsoFLOP profiles: a figure where budgets are shared, else nothing."""

import re

import numpy as np
import pandas as pd
import pytest

from isoflop.config import compose
from isoflop.curve.isoflop import growth, parabola, profiles, suggest
from isoflop.report import profiles_panel
from isoflop.report.page import write_report

pytestmark = pytest.mark.slow


def _at_equal_compute(rows: pd.DataFrame, depth: bool = False) -> pd.DataFrame:
    """The rows with their lengths chosen for four budgets; the best width is 16 (C / 0.1)^0.3."""
    generator = np.random.default_rng(0)
    budget = np.resize(np.geomspace(0.1, 10, 4), len(rows))
    best = 16 * (budget / 0.1) ** 0.3
    bowl = 0.1 * np.log(rows["width"] / best) ** 2 + 0.2 * depth * np.log(rows["depth"] / 2) ** 2
    error = 0.3 * (budget / 0.1) ** -0.2 * np.exp(bowl + 0.005 * generator.standard_normal(len(rows)))
    seen = np.round(1e9 * budget / (6 * rows["parameters"]))
    return rows.assign(train_gflops=budget, test_error=error, examples_seen=seen)


@pytest.fixture
def shared(make_table):
    """A table whose runs share four budgets of compute."""
    table = make_table(widths=(4, 8, 12, 16, 24, 32, 48, 64, 96), depths=(2,), seeds=4)
    table.rows.update(_at_equal_compute(table.rows.sort_values(["width", "seed"])))
    return table


def test_the_figure_and_the_exponent_of_a_known_law(shared, make_fits, tmp_path):
    panel = profiles_panel.profiles_panel(shared.rows)
    assert "4 budgets of training compute, from 0.100 to 10.0 GFLOPs" in panel.text
    value, low, high = map(float, re.findall(r"power (\S+) \(95% interval (\S+) to (\S+)\)", panel.text)[0])
    assert low < 0.3 < high
    assert value == pytest.approx(0.3, abs=0.05)
    text = write_report(tmp_path, shared, make_fits(shared)).read_text()
    assert f"exponent {value:#.3g} ({low:#.3g} to {high:#.3g})" in text, "as in the words, no digit lost"
    assert text.index("How far to trust the curve") < text.index("<h2>IsoFLOP profiles")
    assert text.index("<h2>IsoFLOP profiles") < text.index("<b>Test error against training time")
    assert text.count('id="isoflop_profiles"') == 1
    assert (tmp_path / "figures/isoflop_profiles.png").is_file()


def test_depth_is_a_size_where_it_varies(make_table):
    rows = make_table(widths=(4, 8, 16, 24, 32, 64), depths=(1, 2, 4), seeds=4).rows
    panel = profiles_panel.profiles_panel(
        _at_equal_compute(rows.sort_values(["width", "depth", "seed"]), depth=True)
    )
    assert "width and depth" in panel.drawing.title
    assert "The optimal depth grows" in panel.text


def test_two_depths_are_no_parabola_and_the_width_is_profiled_alone(make_table):
    rows = make_table(widths=(4, 8, 16, 24, 32, 64), depths=(2, 4), seeds=4).rows
    panel = profiles_panel.profiles_panel(_at_equal_compute(rows.sort_values(["width", "depth", "seed"])))
    assert panel.drawing.title == "IsoFLOP profiles over width"


def test_an_ordinary_sweep_has_no_such_section(make_table, make_fits, tmp_path):
    table = make_table()
    table.rows["examples_seen"] = 4000.0
    assert profiles_panel.profiles_panel(table.rows) is None
    assert "IsoFLOP profiles" not in write_report(tmp_path, table, make_fits(table)).read_text()
    assert not (tmp_path / "figures/isoflop_profiles.png").exists()


@pytest.mark.parametrize(
    ("family", "widths"),
    [("mlp", (8, 16, 32)), ("resnet", (1, 2, 4)), ("vit", (64, 128)), ("convmixer", (7,))],
)
def test_the_sweep_that_is_offered_is_one_and_has_enough_sizes(make_table, family, widths):
    rows = make_table(widths=widths).rows.assign(family=family, data="digits", optimizer="adamw")
    offered = suggest.command(rows)
    words = offered.split()
    assert words[:2] == ["isoflop", "sweep"]
    given = dict(word.split("=") for word in words[2:])
    chosen = [int(width) for width in given["model.width"].split(",")]
    assert len(set(chosen)) == parabola.coefficients(1) + profiles.SPARE
    assert max(chosen) >= max(widths)
    assert all(width % np.gcd.reduce(widths) == 0 for width in chosen)
    budgets = [float(budget) for budget in given["schedule.train_gflops"].split(",")]
    assert len(budgets) == growth.MIN_BUDGETS
    assert max(budgets) == pytest.approx(rows["train_gflops"].max(), rel=0.05)
    for width, budget, seed in zip(chosen[:3], budgets, (0, 1, 2), strict=True):
        one = given | {"model.width": width, "schedule.train_gflops": budget, "seed": seed}
        cell = compose.compose_config([f"{key}={value}" for key, value in one.items()], None)
        assert (cell.model.width, cell.schedule.train_gflops, cell.optim.lr) == (width, budget, 0.01)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.iloc[:1],
        lambda rows: rows.assign(train_gflops=np.nan),
        lambda rows: rows.assign(test_error=0.0),
        lambda rows: rows.assign(test_error=0.5),
        lambda rows: rows.assign(test_error=np.nan),
        lambda rows: rows.assign(width=np.nan),
        lambda rows: rows.assign(width=8.0),
        lambda rows: rows.assign(width=np.nan, depth=np.nan, family="torchvision"),
        lambda rows: rows.assign(examples_seen=np.nan),
        lambda rows: rows.assign(data=["a", "b"] * (len(rows) // 2)),
        lambda rows: rows.assign(data="</script>"),
        lambda rows: rows.assign(config_id="one"),
        lambda rows: rows.assign(train_gflops=np.geomspace(1e-300, 1e300, len(rows))),
    ],
)
def test_no_table_breaks_it(shared, change):
    panel = profiles_panel.profiles_panel(change(shared.rows))
    assert panel is None or panel.text
