"""Settings and results of the simulation of figure 2.

A model of `features` candidates of which `relevant` matter is fitted to n examples by someone who knows which
(oracle), who is wrong about one (expert), who takes all (flexible: least squares) and who takes all and
penalises (regularised: the lasso). Performance is -log10 of the normalised mean squared error against the
optimal predictor: the mean over simulations of ||b - b*||^2 / ||b*||^2, then the logarithm.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

Case = Literal["oracle", "expert", "flexible", "regularised"]
Coefficients = Literal["equal", "linear"]
PenaltyRule = Literal["holdout", "fresh", "universal", "best"]
Counting = Literal["as_run", "textbook"]
CASES: tuple[Case, ...] = get_args(Case)
SIZES = (10, 15, 30, 60, 120, 250, 500, 1000, 1401, 2500, 5000, 10_000)
MOST_SIZES = 12


@dataclasses.dataclass(frozen=True)
class TheorySettings:
    """Every choice that the paper leaves open, and how much to simulate.

    coefficients: of the relevant features, `equal` (1 each) or `linear` (1 to s, scaled to the same sum of
    squares). noise_variance: of the target around the optimal predictor; the signal's variance is `relevant`.
    penalty_rule: `holdout` keeps `holdout_share` of the n examples for choosing the lasso's penalty, and does
        not refit; `fresh` has n further examples for it, not counted in n; `universal` is
        sigma sqrt(2 ln p / n) with the noise known (Donoho and Johnstone 1994); `best` is the penalty of
        least true error, which nobody can know.
    counting: `as_run` counts what the solvers used here do; `textbook` is Householder QR and coordinate
        descent on residuals.
    penalties_a_decade, decades, patience: the path goes down from the least penalty with no active feature,
        and ends for a simulation when its validation error has not improved for `patience` penalties.

    Raises:
        ValueError: a setting is out of its range; the message says what to change.
    """

    features: int = 1000
    relevant: int = 10
    sizes: tuple[int, ...] = SIZES
    simulations: int = 1000
    noise_variance: float = 1.0
    coefficients: Coefficients = "equal"
    penalty_rule: PenaltyRule = "holdout"
    counting: Counting = "as_run"
    holdout_share: float = 0.2
    penalties_a_decade: int = 10
    decades: float = 3.0
    patience: int = 2
    target: float = 1.0
    targets: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0)
    sensitivity_simulations: int = 100
    timing_repeats: int = 3
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        def need(condition: bool, message: str) -> None:
            if not condition:
                raise ValueError(message)

        need(2 <= self.relevant < self.features, "relevant must be at least 2 and below features")
        need(1 <= len(self.sizes) <= MOST_SIZES, f"sizes must name 1 to {MOST_SIZES} sample sizes")
        need(self.sizes == tuple(sorted(set(self.sizes))), "sizes must rise, each named once")
        need(
            self.sizes[0] >= self.relevant,
            f"sizes must start at {self.relevant}, the number of relevant features",
        )
        need(self.simulations >= 2, "simulations must be at least 2, for an interval")
        need(self.noise_variance > 0, "noise_variance must be above 0")
        for name, kind in (
            ("coefficients", Coefficients),
            ("penalty_rule", PenaltyRule),
            ("counting", Counting),
        ):
            known = get_args(kind)
            need(getattr(self, name) in known, f"{name} must be one of {', '.join(known)}")
        need(0 < self.holdout_share < 1, "holdout_share must lie between 0 and 1")
        need(
            self.penalties_a_decade >= 1 and self.decades > 0,
            "penalties_a_decade and decades must be positive",
        )
        need(self.patience >= 1, "patience must be at least 1")
        need(len(self.targets) > 0 and self.target in self.targets, "target must be one of targets")
        need(
            self.sensitivity_simulations == 0 or self.sensitivity_simulations >= 2,
            "sensitivity_simulations must be 0 or at least 2",
        )
        need(self.timing_repeats >= 1, "timing_repeats must be at least 1")
        need(self.resamples >= 100, "resamples must be at least 100")


def quick(settings: TheorySettings) -> TheorySettings:
    """Return the settings with fewer simulations: about half a minute on two cores."""
    return dataclasses.replace(settings, simulations=16, sensitivity_simulations=4, timing_repeats=1)


@dataclasses.dataclass(frozen=True)
class SimulatedMean:
    """A value and its 95% interval over simulations."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Row:
    """One case at one sample size.

    `expected_mse` is the exact mean where there is one, else None with the reason. `flops` are counted
    operations of fitting one data set (2 a multiply-add) by the chosen counting; `fit_seconds` is the median
    time of fitting one data set from its examples; `simulation_seconds` is what one simulation took, drawn
    through a root of X'X.
    """

    case: Case
    examples: int
    simulations: int
    performance: SimulatedMean
    normalised_mse: SimulatedMean
    median_mse: float
    standard_error: float
    expected_mse: float | None
    expected_reason: str | None
    flops: float
    fit_seconds: float
    simulation_seconds: float
    active_features: float
    penalty: float | None


@dataclasses.dataclass(frozen=True)
class Reach:
    """Examples and counted operations to reach a performance: between sizes on logarithmic scales, after the
    last crossing. None where no size reaches it, with the reason. An interval's ends are the crossings of the
    ends of the performance's intervals."""

    case: Case
    performance: float
    examples: SimulatedMean | None
    flops: SimulatedMean | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class Check:
    """A known fact and the simulated value; `rule` says when it passes."""

    name: str
    statement: str
    expected: str
    found: str
    rule: str
    passed: bool


@dataclasses.dataclass(frozen=True)
class Variation:
    """What it takes to reach the target performance with one setting changed, as ratios.

    `lasso_to_oracle_examples` and `flexible_to_lasso_examples` compare data, `lasso_to_oracle_flops` and
    `flexible_to_lasso_flops` computation; None where the lasso does not reach the target.
    """

    setting: str
    value: str
    chosen: bool
    simulations: int
    lasso_examples: float | None
    lasso_to_oracle_examples: float | None
    flexible_to_lasso_examples: float | None
    lasso_to_oracle_flops: float | None
    flexible_to_lasso_flops: float | None
    expert_ceiling: float


@dataclasses.dataclass(frozen=True)
class TheoryResult:
    """The numbers of the figure, the checks, the sensitivity to our choices, and the provenance.

    `unfinished_paths` counts the lasso's paths in which a fit did not converge.
    """

    settings: TheorySettings
    rows: tuple[Row, ...]
    reaches: tuple[Reach, ...]
    checks: tuple[Check, ...]
    variations: tuple[Variation, ...]
    expert_ceiling: float
    unfinished_paths: int
    seconds: float
    threads: int
    hardware: str
    versions: dict[str, str]
    command: str

    def of(self, case: Case) -> tuple[Row, ...]:
        """Return the rows of one case by sample size."""
        return tuple(row for row in self.rows if row.case == case)

    def reach(self, case: Case, performance: float) -> Reach:
        """Return what one case needs for one performance."""
        return next(r for r in self.reaches if r.case == case and r.performance == performance)
