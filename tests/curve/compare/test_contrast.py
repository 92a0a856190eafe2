"""The resamples of a contrast, and the curves of its arms with the intervals of `isoflop fit`."""

import numpy as np
import pytest

from isoflop.curve import bootstrap, fit, solver
from isoflop.curve.compare import arms, contrast, hypotheses, models, pairing
from isoflop.curve.compare.arms import ArmRuns
from isoflop.curve.compare.contrast import Settings
from isoflop.curve.compare.front import compare_tables
from isoflop.curve.compare.result import Difference
from isoflop.curve.forms import POWER_LAW, POWER_LAW_FLOOR
from isoflop.curve.result import Interval


def arm(name, table):
    return arms.select(ArmRuns(name, table, "train_gflops", "test_loss"), least_energy_grade="C", mixed=False)


def plain(x):
    return 2.0 * x**-0.3


def test_every_resample_has_the_curves_of_its_own_weights(sweep):
    first, second = arm("old", sweep(plain, seed=0)), arm("new", sweep(plain, seed=1))
    units = pairing.units(first, second)
    counts = bootstrap.resample(units.count, 6, np.random.default_rng(0))
    own = (counts[:, units.unit[0]], counts[:, units.unit[1]])
    weights = np.concatenate(own, axis=1)
    without, floor = (hypotheses.sample(units, form) for form in (POWER_LAW, POWER_LAW_FLOOR))
    made = contrast._Resampled(units, without, floor, weights, own, "test_loss", Settings())
    model = models.one_exponent(made.plain)
    joint = made.joint(model, made.plain)
    assert len(joint) == 7
    for row, weight in zip(joint, weights, strict=True):
        alone = models.fit(model, made.plain, None, weight[None], solver.FINE)[0][0][0]
        np.testing.assert_allclose(row, alone, rtol=1e-3)
    for which, curves in enumerate(made.curves("power_law", ("old", "new"))):
        v, log_y = units.observed[which].v, units.observed[which].log_y
        slopes = [np.polyfit(v, log_y, 1, w=np.sqrt(weight))[0] for weight in own[which]]
        np.testing.assert_allclose(curves.exponent, slopes, rtol=0.03)
        assert not curves.floor.any()
    floored, _ = made.curves("power_law_floor", ("old", "new"))
    np.testing.assert_allclose(floored.y(units.observed[0].x)[0], units.observed[0].y, rtol=0.06)


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_an_arm_has_the_intervals_of_its_fit_at_the_level_asked_for(sweep, level):
    tables = {"old": sweep(plain, seed=0), "new": sweep(plain, seed=1)}
    settings = Settings(law="power_law", resamples=100, level=level)
    (arm, _) = compare_tables(tables, y="test_loss", settings=settings).arms
    method = fit.Method(laws=("power_law",), resamples=100, forecast=False, level=level)
    (law,) = fit.fit_table(tables["old"], y="test_loss", method=method).fits
    assert arm.parameters == law.parameters
    for x, y, low, high in zip(arm.curve.x, arm.curve.y, arm.curve.low, arm.curve.high, strict=True):
        band = [np.interp(x, law.band.x, side) for side in (law.band.y, law.band.low, law.band.high)]
        assert (y, low, high) == pytest.approx(band, rel=5e-3)


@pytest.mark.parametrize(("count", "warned"), [(5, ["old"]), (6, [])])
def test_an_arm_of_under_six_units_is_named(sweep, count, warned):
    tables = (sweep(plain, seed=0, sizes=count, seeds=1), sweep(plain, seed=1, sizes=7, seeds=1))
    units = pairing.units(arm("old", tables[0]), arm("new", tables[1]))
    said = [
        f"{name} has {count} configurations to resample: intervals and tests are rough" for name in warned
    ]
    assert contrast._warnings(units, ("old", "new")) == tuple(said)


def test_an_interval_ends_at_what_is_possible():
    def within(low, high, seen, least=-0.4, most=0.5):
        of = Difference("b", "", 0.1, Interval(low, high), None, seen, "")
        made = contrast._within(of, least, most)
        return made.interval.low, made.interval.high, made.smallest_seen

    assert within(-0.3, 0.4, 0.2) == (-0.3, 0.4, 0.2)
    assert within(-0.6, 0.7, 0.5) == (-0.4, 0.5, 0.5)
    assert within(-0.6, 0.7, 0.51) == (-0.4, 0.5, None)
    assert within(-0.6, 0.7, 0.6, least=-0.6) == (-0.6, 0.5, 0.6)
    assert within(None, None, None) == (None, None, None)
    # The interval holds the value itself, also where that is not possible.
    assert within(0.0, 0.2, 0.1, least=0.3)[0] == 0.1
    assert within(0.0, 0.2, 0.1, most=0.05)[1] == 0.1
