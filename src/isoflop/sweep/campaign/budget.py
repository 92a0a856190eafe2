"""Which runs fit into the time of a phase, by a stated order, and when each phase must stop.

Order of leaving out within a sweep: second and further seeds before first ones, and among those the costliest
first. A run whose time cannot be predicted is not left out; the limit of its phase stops it.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Sequence

from isoflop.sweep.grid import PlannedRun

PRIOR_WALL_PER_TRAINING = 1.3
"""Wall-clock over training time before anything was measured: evaluation, metering, captures of steps."""
PRIOR_SECONDS = 30.0
"""The prior counts as much as a measurement over so many predicted seconds."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """Wall-clock seconds that training took in this campaign, and those that were predicted for it."""

    wall_seconds: float = 0.0
    predicted_seconds: float = 0.0

    @property
    def wall_per_predicted(self) -> float:
        """The ratio, drawn towards the prior while little has been measured."""
        wall = PRIOR_WALL_PER_TRAINING * PRIOR_SECONDS + self.wall_seconds
        return wall / (PRIOR_SECONDS + self.predicted_seconds)

    def after(self, wall_seconds: float, predicted_seconds: float) -> Pace:
        """Return the pace with one more measurement."""
        return Pace(self.wall_seconds + wall_seconds, self.predicted_seconds + predicted_seconds)


@dataclasses.dataclass(frozen=True)
class CostedRun:
    """A run with its predicted training seconds, None where they cannot be predicted."""

    planned: PlannedRun
    train_seconds: float | None


@dataclasses.dataclass(frozen=True)
class Selection:
    """Runs that fit, in the order given, and runs that do not, the first to be added first."""

    chosen: tuple[CostedRun, ...]
    left_out: tuple[CostedRun, ...]

    @property
    def train_seconds(self) -> float | None:
        """Predicted training seconds of the chosen runs; None if one of them could not be predicted."""
        known = [each.train_seconds for each in self.chosen if each.train_seconds is not None]
        return sum(known) if len(known) == len(self.chosen) else None


def preference(runs: Sequence[CostedRun]) -> tuple[CostedRun, ...]:
    """Return the runs, those that are kept longest first: first seeds, cheap ones before costly ones."""
    by_seed = sorted(runs, key=lambda each: each.planned.config.seed)
    seeds_before: collections.Counter[str] = collections.Counter()
    ranks = []
    for each in by_seed:
        config_id = each.planned.config.config_id
        ranks.append((seeds_before[config_id], each.train_seconds or 0.0))
        seeds_before[config_id] += 1
    return tuple(by_seed[position] for position in sorted(range(len(ranks)), key=ranks.__getitem__))


def select(runs: Sequence[CostedRun], seconds: float, pace: Pace) -> Selection:
    """Return the runs that fit into a wall-clock time, in their given order.

    Args:
        runs: with their predicted training seconds.
        seconds: wall-clock time there is.
        pace: of this campaign so far.

    """
    left, chosen, left_out = seconds, set(), []
    for each in preference(runs):
        wall = (each.train_seconds or 0.0) * pace.wall_per_predicted
        if wall <= left:
            left -= wall
            chosen.add(each.planned.run_id)
        else:
            left_out.append(each)
    return Selection(tuple(each for each in runs if each.planned.run_id in chosen), tuple(left_out))


def ends(shares: Sequence[float]) -> tuple[float, ...]:
    """Return the share of the whole time at whose end each phase must stop; the last one's is 1.

    Time that a phase leaves over is thus passed on to the next one; what it took too long is missing there.
    """
    whole = sum(shares)
    return tuple(part / whole if whole else 1.0 for part in itertools.accumulate(shares))
