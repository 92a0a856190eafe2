"""One arm against the baseline: resampled together, tested, and judged by one rule."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap, points, solver
from isoflop.curve.compare import gain, hypotheses, interval, models, paired, pairing, verdict
from isoflop.curve.compare.arms import Arm
from isoflop.curve.compare.gain import Curves
from isoflop.curve.compare.interval import Spread
from isoflop.curve.compare.models import Both, Model
from isoflop.curve.compare.pairing import Units
from isoflop.curve.compare.result import Contrast, Difference, NullTest, Pairing
from isoflop.curve.forms import POWER_LAW, POWER_LAW_FLOOR
from isoflop.curve.laws import LAWS, PLAIN
from isoflop.curve.observations import Observations
from isoflop.curve.result import Interval
from isoflop.table import target

Array = npt.NDArray[np.float64]

LAW_NAMES = ("power_law", "power_law_floor")
LEAST_RESAMPLES = 100
NO_E, ONE_E, OWN_E = "E = 0", "one E", "an E each"
ONE_B, OWN_B, ONE_B_AND_E = "one b", "a b each", "one b and E"
SAME, NO_FACTOR, FACTOR = "the same curve", "no factor of compute", "the same curve up to a factor of compute"
ONE_EXPONENT, ONE_FLOOR = "one exponent", "one irreducible error"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How curves are compared.

    Attributes:
        law: of both curves, one of LAW_NAMES; None for a law with a floor where the runs call for it.
        resamples: of the bootstrap, and samples of each test.
        seed: of the random numbers.
        level: of intervals; tests are made at 1 - level.
        least_energy_grade: on an axis of joules, runs of a lower grade are left out.
        mixed: compare runs of several code versions, machines or data sets.
    """

    law: str | None = None
    resamples: int = 1000
    seed: int = 0
    level: float = 0.95
    least_energy_grade: str = points.LEAST_ENERGY_GRADE
    mixed: bool = False

    def check(self) -> None:
        """Raise ValueError, saying what to change, where a setting makes no sense."""
        if self.law is not None and self.law not in LAW_NAMES:
            raise ValueError(f"law is {self.law}: curves are compared by {' or '.join(LAW_NAMES)}")
        if self.resamples < LEAST_RESAMPLES:
            raise ValueError(f"resamples is {self.resamples}: a test needs at least {LEAST_RESAMPLES}")
        if not 0.5 <= self.level < 1:
            raise ValueError(f"level is {self.level:g}: give a share from 0.5 to below 1, such as 0.95")
        bootstrap.check_resamples(self.resamples, self.level)


@dataclasses.dataclass(frozen=True)
class _Resampled:
    """Two arms with their resamples.

    Attributes:
        units: what is resampled.
        plain, floor: the points of both arms with their noise about curves without and with a floor.
        weights: of those points, (1 + r, n).
        own: weights of each arm's points.
        y: the column of y.
        settings: of the comparison.
    """

    units: Units
    plain: Both
    floor: Both
    weights: Array
    own: tuple[Array, Array]
    y: str
    settings: Settings

    def both(self, law_name: str) -> Both:
        """Return the points of both arms with their noise about a law."""
        return self.floor if law_name == "power_law_floor" else self.plain

    def joint(self, model: Model, both: Both) -> Array:
        """Return the parameters (1 + r, 1 + q) of a model of one block."""
        one = models.fit(model, both, None, self.weights[:1], solver.FINE)[0]
        rest = self.weights[1:]
        many = models.fit(models.near(model, one), both, None, rest, solver.COARSE, relaxed=True)[0]
        return np.concatenate([one[0], many[0]])

    def curves(self, law_name: str, names: tuple[str, str]) -> tuple[Curves, Curves]:
        """Return each arm's curve by the estimator of `isoflop fit`, with its resamples."""
        first, second = (
            _curves(law_name, name, observed, unit, weights)
            for name, observed, unit, weights in zip(
                names, self.units.observed, self.units.unit, self.own, strict=True
            )
        )
        return first, second

    def spread(self, law_name: str) -> Spread:
        """Return how intervals of differences follow from the resamples."""
        return interval.spread(self.units, LAWS[law_name].free_parameters, self.settings.level)


def _curves(
    law_name: str, name: str, observed: Observations, unit: npt.NDArray[np.intp], weights: Array
) -> Curves:
    """Return one arm's curve with its resamples.

    Args:
        law_name: the law.
        name: of the arm.
        observed: its points (n).
        unit: the unit (n,) of each.
        weights: of the points, (1 + r, n).
    """
    law = LAWS[law_name]
    parameters = law.fit(observed, weights, PLAIN, None)
    c, b = parameters[:, 0], parameters[:, -1]
    s = parameters[:, 1] if law_name == "power_law_floor" else np.zeros_like(c)
    floor = np.exp(c) * (0.0 - np.expm1(s))
    return Curves(name, floor, c + s, b, observed, unit, law.free_parameters)


def contrast(baseline: Arm, other: Arm, y: str, settings: Settings) -> Contrast:
    """Compare the column y of one arm with the baseline's; `judged` adds the verdict once p_holm is known."""
    generator = np.random.default_rng(settings.seed)
    units = pairing.units(baseline, other)
    counts = bootstrap.resample(units.count, settings.resamples, generator)
    own = (counts[:, units.unit[0]], counts[:, units.unit[1]])
    without, with_floor = (hypotheses.sample(units, form) for form in (POWER_LAW, POWER_LAW_FLOOR))
    made = _Resampled(units, without, with_floor, np.concatenate(own, axis=1), own, y, settings)
    law, reason = _law(made, generator)
    tests = _tests(law, made, generator)
    names = (baseline.name, other.name)
    plain, floor = (made.curves(each, names) for each in LAW_NAMES)
    chosen = floor if law == "power_law_floor" else plain
    differences = (
        _factor(law, made, tests),
        *_exponents(law, made, plain, floor, tests),
        *_floors(made, floor, tests),
        *paired.paired(baseline, other, settings.level),
    )
    gained, no_gain = gain.gain(*chosen, made.spread(law))
    return Contrast(
        baseline=names[0],
        other=names[1],
        law=law,
        law_reason=reason,
        pairing=_pairing(units, chosen),
        moved="cannot be told",
        verdict=(),
        tests=tests,
        differences=differences,
        gain=gained,
        gain_reason=no_gain,
        warnings=_warnings(units, names),
    )


def _law(made: _Resampled, generator: np.random.Generator) -> tuple[str, str]:
    """Return the law of both curves, and why."""
    settings = made.settings
    if settings.law is not None:
        return settings.law, "as asked for"
    null = "no irreducible error in either"
    free = models.apart(made.floor, POWER_LAW_FLOOR)
    constrained = models.apart(made.floor, POWER_LAW)
    found = hypotheses.test(null, constrained, free, made.floor, made.units, settings.resamples, generator)
    if found.p is None:
        return "power_law", f"whether there is an irreducible error cannot be tested: {found.reason}"
    if found.p > 1 - settings.level:
        return "power_law", f"the runs call for no irreducible error (p = {found.p:.2g})"
    return "power_law_floor", f"the runs call for an irreducible error (p = {found.p:.2g})"


def _tests(law: str, made: _Resampled, generator: np.random.Generator) -> tuple[NullTest, ...]:
    """Return the tests in the order of verdict.py; under a law with a floor also those of its parameters."""
    both, floor = made.both(law), law == "power_law_floor"
    form = POWER_LAW_FLOOR if floor else POWER_LAW
    free, same = models.apart(both, form), models.together(both, form)
    shifted = models.one_curve_shifted(both) if floor else models.one_exponent(both)
    pairs = {SAME: (same, free), NO_FACTOR: (same, shifted), FACTOR: (shifted, free)}
    if floor:
        pairs |= {
            ONE_EXPONENT: (models.one_exponent_floors(both), free),
            ONE_FLOOR: (models.one_floor(both), free),
        }
    resamples = made.settings.resamples
    return tuple(
        hypotheses.test(null, constrained, wider, both, made.units, resamples, generator)
        for null, (constrained, wider) in pairs.items()
    )


def _difference(
    quantity: str, given: str, draws: Array, spread: Spread, unit: str, p: float | None = None
) -> Difference:
    """Return a difference from the sample's value and its resamples.

    Args:
        quantity, given, unit, p: as in Difference.
        draws: (1 + r,), the sample's first.
        spread: how an interval follows.
    """
    value = float(draws[0])
    bounds = spread.interval(draws[1:], value)
    return Difference(quantity, given, value, bounds, p, spread.smallest_seen(bounds), unit)


def _p(tests: Sequence[NullTest], null: str) -> float | None:
    return next((test.p for test in tests if test.null == null), None)


def _factor(law: str, made: _Resampled, tests: Sequence[NullTest]) -> Difference:
    """Return ln of the factor of compute, one for all scales."""
    if law == "power_law":
        parameters = made.joint(models.one_exponent(made.plain), made.plain)
        draws = -parameters[:, 2] / parameters[:, 1]
    else:
        draws = made.joint(models.one_curve_shifted(made.floor), made.floor)[:, 3]
    given = ONE_B_AND_E if law == "power_law_floor" else ONE_B
    p = _p(tests, NO_FACTOR)
    return _difference("ln factor", given, draws, made.spread(law), "ln of a ratio of compute", p)


def _exponents(
    law: str,
    made: _Resampled,
    plain: tuple[Curves, Curves],
    floor: tuple[Curves, Curves],
    tests: Sequence[NullTest],
) -> tuple[Difference, ...]:
    """Return the difference of exponents without a floor, with one, and with one each.

    Args:
        law: of the tests.
        made: the resamples.
        plain, floor: the curves of both arms under each law.
        tests: those that were made.
    """
    unit = "decades of y per decade of x"
    one = made.joint(models.one_floor(made.floor), made.floor)
    p = _p(tests, FACTOR) if law == "power_law" else None
    with_floor = made.spread("power_law_floor")
    return (
        _difference("b", NO_E, plain[1].exponent - plain[0].exponent, made.spread("power_law"), unit, p),
        _difference("b", ONE_E, one[:, 4] - one[:, 2], with_floor, unit),
        _difference(
            *("b", OWN_E, floor[1].exponent - floor[0].exponent, with_floor, unit),
            _p(tests, ONE_EXPONENT),
        ),
    )


def _floors(
    made: _Resampled, floor: tuple[Curves, Curves], tests: Sequence[NullTest]
) -> tuple[Difference, ...]:
    """Return the difference of irreducible errors with one exponent, and with one each.

    Args:
        made: the resamples.
        floor: the curves of both arms.
        tests: those that were made.
    """
    c, s, _, level, s_other = made.joint(models.one_exponent_floors(made.floor), made.floor).T
    shared = np.exp(c + level) * -np.expm1(s_other) - np.exp(c) * -np.expm1(s)
    spread, unit = made.spread("power_law_floor"), target.unit_of(made.y)
    own = floor[1].floor - floor[0].floor
    # An irreducible error lies between 0 and the least y that was seen.
    least, most = (float(np.exp(of.log_y.min())) for of in made.units.observed)
    return tuple(
        _within(of, -least, most)
        for of in (
            _difference("E", ONE_B, shared, spread, unit),
            _difference("E", OWN_B, own, spread, unit, _p(tests, ONE_FLOOR)),
        )
    )


def _within(of: Difference, least: float, most: float) -> Difference:
    """Return a difference with its interval cut at the bounds of what is possible.

    If more than these would be needed to be seen, nothing could have been: smallest_seen is None.
    """
    low, high = of.interval.low, of.interval.high
    low = None if low is None else min(max(low, least), of.value)
    high = None if high is None else max(min(high, most), of.value)
    possible = of.smallest_seen is not None and of.smallest_seen <= max(-least, most)
    seen = of.smallest_seen if possible else None
    return dataclasses.replace(of, interval=Interval(low, high), smallest_seen=seen)


def _pairing(units: Units, chosen: tuple[Curves, Curves]) -> Pairing:
    first, second = (each.exponent[1:] for each in chosen)
    apart = math.hypot(float(first.std()), float(second.std()))
    together = float((second - first).std())
    return Pairing(
        unit=units.kind,
        unit_reason=units.reason,
        units=units.count,
        paired_configurations=units.paired_configurations,
        paired_runs=units.paired_runs,
        relative_width=together / apart if units.paired and apart > 0 else None,
    )


def _warnings(units: Units, names: tuple[str, str]) -> tuple[str, ...]:
    few = [
        f"{name} has {count} {units.kind} to resample: intervals and tests are rough"
        for name, count in zip(names, units.of_arm, strict=True)
        if count < FEW
    ]
    return tuple(few)


FEW = 6
"""Units of an arm below which a warning is given."""


def judged(of: Contrast, settings: Settings) -> Contrast:
    """Return a contrast with what the change moved, in a word and in sentences."""
    moved = verdict.moved(of, 1 - settings.level)
    decided = dataclasses.replace(of, moved=moved)
    return dataclasses.replace(decided, verdict=verdict.sentences(decided, settings.level))


def widest_law(contrasts: Sequence[Contrast]) -> str:
    """Return the law that the arms are shown by: with a floor where a contrast has one."""
    return max((of.law for of in contrasts), key=LAW_NAMES.index)
