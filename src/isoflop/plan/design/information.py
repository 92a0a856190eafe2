"""What runs tell of a goal: Fisher information under noise of seeds and of configurations.

Runs of one configuration share its deviation from the law, of variance s_c^2; each run has its own besides,
of variance s_s^2. With J (n, p) the derivatives of a configuration's n runs and D their own variances, its
information is J' (D + s_c^2 1 1')^-1 J = A - v v' s_c^2 / (1 + s_c^2 t), with A = J' D^-1 J, v = J' D^-1 1
and t = 1' D^-1 1 (Sherman and Morrison). A, v and t add up over runs, so that a further run is a sum.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from isoflop.plan.design.laws import LocalLaw, mean_log_y

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Noise:
    """Scatter of ln y.

    Attributes:
        seed: variance of a run about its configuration's mean, without that of counting.
        config: variance of a configuration about the law.
        counted: of how many examples y is the share of wrong ones; None where it is no such share.
    """

    seed: float
    config: float
    counted: float | None = None

    def own(self, log_y: Array) -> Array:
        """Return the variance of runs at ln y (n,): that of seeds, and of counting errors (binomial)."""
        if self.counted is None:
            return np.full_like(log_y, self.seed)
        y = np.clip(np.exp(log_y), 1e-9, 1.0 - 1e-9)
        return np.asarray(self.seed + (1.0 - y) / (y * self.counted))


@dataclasses.dataclass(frozen=True)
class Choice:
    """Runs that are bought together: one trunk with the points that are cooled down from it.

    Attributes:
        log_x: ln x of its points (k,).
        group: number of its configuration, whose deviation they share.
        cost: of one seed, in the unit of the budget.
        first: what the first seed costs besides: the search for a learning rate.
        most: seeds that it may have.
    """

    log_x: Array
    group: int
    cost: float
    first: float = 0.0
    most: int = 5


@dataclasses.dataclass(frozen=True)
class State:
    """Sums over the runs of each group: A (groups, p, p), v (groups, p) and t (groups,), for one law."""

    a: Array
    v: Array
    t: Array

    def plus(self, group: int, part: State, index: int) -> State:
        """Return the sums with one more run of choice `index`, whose sums are in `part`."""
        a, v, t = self.a.copy(), self.v.copy(), self.t.copy()
        a[group] += part.a[index]
        v[group] += part.v[index]
        t[group] += part.t[index]
        return State(a, v, t)


@dataclasses.dataclass(frozen=True)
class Problem:
    """Everything that a design is judged by.

    Attributes:
        laws: that it serves.
        noise: of the runs.
        choices: what can be bought.
        groups: number of configurations, those of the runs that are there and of the choices.
        existing: (ln x, group) of the runs that are there.
    """

    laws: tuple[LocalLaw, ...]
    noise: Noise
    choices: tuple[Choice, ...]
    groups: int
    existing: tuple[tuple[float, int], ...]

    @functools.cached_property
    def costs(self) -> Array:
        """What a seed of each choice costs (k,)."""
        return np.array([choice.cost for choice in self.choices])

    @functools.cached_property
    def firsts(self) -> Array:
        """What the first seed of each choice costs besides (k,)."""
        return np.array([choice.first for choice in self.choices])

    @functools.cached_property
    def most(self) -> Array:
        """Seeds that each choice may have (k,)."""
        return np.array([choice.most for choice in self.choices])

    @functools.cached_property
    def _start(self) -> tuple[State, ...]:
        log_x = np.array([x for x, _ in self.existing])
        groups = np.array([group for _, group in self.existing], dtype=int)
        return tuple(_sums(law, self._precision(log_x), log_x, groups, self.groups) for law in self.laws)

    def parts(self) -> tuple[State, ...]:
        """Return for each law the sums of one seed of each choice."""
        sizes = [len(choice.log_x) for choice in self.choices]
        log_x = np.concatenate([choice.log_x for choice in self.choices])
        return tuple(
            _sums(law, self._precision(log_x), log_x, np.repeat(np.arange(len(sizes)), sizes), len(sizes))
            for law in self.laws
        )

    def start(self) -> tuple[State, ...]:
        """Return for each law the sums of the runs that are there."""
        return self._start

    def with_design(
        self, start: Sequence[State], parts: Sequence[State], seeds: Mapping[int, int]
    ) -> tuple[State, ...]:
        """Return the sums with so many seeds of choices, by index."""
        index = np.fromiter(seeds, dtype=np.intp, count=len(seeds))
        times = np.fromiter(seeds.values(), dtype=float, count=len(seeds))
        group = np.array([self.choices[i].group for i in index], dtype=np.intp)
        made = []
        for state, part in zip(start, parts, strict=True):
            a, v, t = state.a.copy(), state.v.copy(), state.t.copy()
            np.add.at(a, group, times[:, None, None] * part.a[index])
            np.add.at(v, group, times[:, None] * part.v[index])
            np.add.at(t, group, times * part.t[index])
            made.append(State(a, v, t))
        return tuple(made)

    def _precision(self, log_x: Array) -> Array:
        return np.asarray(1.0 / self.noise.own(mean_log_y(self.laws, log_x)))

    def criterion(self, states: Sequence[State]) -> float:
        """Return the weighted mean over the laws of ln of the goal's deviation: compound c-optimality."""
        return sum(
            law.weight * float(_log_deviation(law, _total(law, state, self.noise.config)[None])[0])
            for law, state in zip(self.laws, states, strict=True)
        )

    def deviations(self, states: Sequence[State]) -> float:
        """Return the same of the laws as they are, without their bends: what a fit's interval goes by."""
        plain = [(law, state) for law, state in zip(self.laws, states, strict=True) if not law.bent]
        total = sum(law.weight for law, _ in plain)
        return sum(
            law.weight / total * float(_log_deviation(law, _total(law, state, self.noise.config)[None])[0])
            for law, state in plain
        )

    def criteria_with(
        self, states: Sequence[State], parts: Sequence[State], among: npt.NDArray[np.intp]
    ) -> Array:
        """Return the criterion (m,) with one more seed of each of the choices `among` (m,)."""
        group = np.array([self.choices[i].group for i in among])
        shared = self.noise.config
        total = np.zeros(len(among))
        for law, state, part in zip(self.laws, states, parts, strict=True):
            rest = _total(law, state, shared)[None] - _of_groups(state, group, shared)
            more = State(
                state.a[group] + part.a[among], state.v[group] + part.v[among], state.t[group] + part.t[among]
            )
            total += law.weight * _log_deviation(law, rest + _of_groups(more, slice(None), shared))
        return total


def _sums(law: LocalLaw, precision: Array, log_x: Array, groups: npt.NDArray[np.intp], count: int) -> State:
    jacobian = law.jacobian(log_x) if len(log_x) else np.zeros((0, len(law.gradient)))
    size = len(law.gradient)
    a, v, t = np.zeros((count, size, size)), np.zeros((count, size)), np.zeros(count)
    weighted = jacobian * precision[:, None]
    np.add.at(a, groups, weighted[:, :, None] * jacobian[:, None, :])
    np.add.at(v, groups, weighted)
    np.add.at(t, groups, precision)
    return State(a, v, t)


def _of_groups(state: State, groups: npt.NDArray[np.intp] | slice, shared: float) -> Array:
    """Return the information (m, p, p) of each of some groups."""
    a, v, t = state.a[groups], state.v[groups], state.t[groups]
    return np.asarray(a - (shared / (1.0 + shared * t))[:, None, None] * v[:, :, None] * v[:, None, :])


def _total(law: LocalLaw, state: State, shared: float) -> Array:
    return np.asarray(np.diag(law.prior) + _of_groups(state, slice(None), shared).sum(axis=0))


def _log_deviation(law: LocalLaw, information: Array) -> Array:
    """Return ln of the goal's standard deviation (m,) for informations (m, p, p)."""
    solved = np.linalg.solve(information, np.broadcast_to(law.gradient, information.shape[:2])[..., None])
    return np.asarray(0.5 * np.log(np.maximum((solved[..., 0] * law.gradient).sum(axis=-1), 1e-300)))
