"""The bias of parabolas on the design at hand: what they make of a law whose optimum is known.

A parabola of ln y in ln size is not the law: where sizes reach further to one side of the optimum than to the
other, or the exponents of size and data differ, its vertex lies beside the optimum even without noise (Czech
et al. 2026, arXiv 2603.22339). How far depends on the design. So y = E + sum A_j / size_j^a_j + B / data^b is
fitted to the same rows, its own values at these rows take the place of y in the same parabolas, and their
vertices are compared with the optima that the law has along each budget.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve.isoflop import parabola
from isoflop.curve.isoflop.budgets import Design
from isoflop.curve.joint import solve
from isoflop.curve.joint.laws import JOINT_LAWS, JointLaw
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.joint.solve import Solved

Array = npt.NDArray[np.float64]

LAW_OF = {1: "chinchilla", 2: "width_depth_data"}
"""Number of sizes -> name of the law in as many sizes and data; its roles may be any sizes."""
FARTHEST = 2.0
"""An optimum is searched for within this many half ranges of the middle of its budget's sizes."""
GRID = 41


@dataclasses.dataclass(frozen=True)
class NoiselessOptima:
    """Optima of B budgets in the scaled sizes u, without noise.

    Attributes:
        parabolas: vertices (B, k) of parabolas through the law's values; NaN where one has no minimum.
        law: optima (B, k) of the law itself; NaN where it has none within FARTHEST.
    """

    parabolas: Array
    law: Array


def solve_law(rows: JointRows, k: int, data: int, names: tuple[str, ...], y: str) -> Solved:
    """Fit the law in the first k columns of rows.x and its column `data`.

    Args:
        rows: all usable rows, also those outside budgets.
        k: number of sizes.
        data: index of the column of data.
        names: of the columns.
        y: column of the error or loss.

    Raises:
        ValueError: the rows cannot determine the law.
    """
    law, columns = JOINT_LAWS[LAW_OF[k]], [*range(k), data]
    of_law = dataclasses.replace(rows, x=rows.x[:, columns])
    solved = solve.solve(law, of_law, [names[j] for j in columns], y, resamples=0, seed=0)
    if useless := law.useless(solved.fitted.parameters[:1]):
        named = dict(zip(law.roles, solved.resources, strict=True))
        raise ValueError(f"{' and '.join(named[role] for role in useless)} explains nothing here")
    return solved


def noiseless_optima(design: Design, solved: Solved, data: int) -> NoiselessOptima:
    """Return what parabolas make of the law's own values at the rows of a design, and the law's own optima.

    Args:
        design: rows in budgets; its first columns are the sizes.
        solved: the law, of `solve_law`.
        data: index of the column of data among the design's.
    """
    k, once = design.u.shape[1], np.ones((1, len(design.of)))
    columns = parabola.quadratic(design.u)
    x = design.rows.x[:, [*range(k), data]]
    at_law = _log_law(solved.law, solved, np.log(x))
    coefficient, _ = parabola.regress(design, columns, at_law, once)
    # ln data of a budget's own runs as a function of size: where the compute a step is counted it is curved.
    path, _ = parabola.regress(design, columns, np.log(design.rows.x[:, data]), once)
    law = np.array([_minimum(solved, design, b, path[0, b]) for b in range(len(design.log_budget))])
    return NoiselessOptima(parabola.vertices(coefficient, k)[0], law)


def _log_law(law: JointLaw, solved: Solved, log_x: Array) -> Array:
    """Return ln y (m,) of the sample's law at ln x (m, k + 1)."""
    return np.asarray(law.log_predict(solved.fitted.parameters[:1], solved.rows.log_x_max - log_x)[0])


def _minimum(solved: Solved, design: Design, b: int, path: Array) -> Array:
    """Return u (k,) of the law's optimum along budget b, whose ln data are quadratic(u) @ path."""
    k, middle, half = design.u.shape[1], design.middle[b], design.half[b]

    def log_law(u: Array) -> Array:
        log_x = np.column_stack([middle + half * u, parabola.quadratic(u) @ path])
        return _log_law(solved.law, solved, log_x)

    axes = np.meshgrid(*[np.linspace(-FARTHEST, FARTHEST, GRID)] * k, indexing="ij")
    grid = np.column_stack([axis.ravel() for axis in axes])
    start = grid[log_law(grid).argmin()]
    if (np.abs(start) >= FARTHEST).any():
        return np.full(k, np.nan)
    from scipy import optimize  # takes long to import, and few reports have profiles

    tight = {"xatol": 1e-7, "fatol": 1e-14}
    return np.asarray(
        optimize.minimize(lambda u: float(log_law(u[None])[0]), start, method="Nelder-Mead", options=tight).x
    )


@dataclasses.dataclass(frozen=True)
class Bias:
    """What the bias is read from: name of the law; ln of each size and companion at the vertices of parabolas
    through its values, and at its own optima, (B, m) each."""

    law: str
    by_parabolas: Array
    by_law: Array


def read(
    design: Design, rows: JointRows, names: tuple[str, ...], k: int, data: str | None
) -> tuple[Bias | None, str | None]:
    """Return the optima without noise, or why they are unknown.

    Args:
        design: the rows in budgets.
        rows: all usable rows.
        names: of sizes, companions and y.
        k: number of sizes.
        data: the companion that is the data seen.
    """
    if data is None:
        return None, "no column of data is known, for a joint law in size and data"
    column = names.index(data)
    try:
        solved = solve_law(rows, k, column, names, names[-1])
    except ValueError as error:
        return None, f"no joint law in {', '.join(names[:k])} and {data}: {error}"
    optima, logs = noiseless_optima(design, solved, column), np.log(design.rows.x)
    once, sides = np.ones((1, len(design.of))), []
    for u in (optima.parabolas, optima.law):
        lines = [
            (parabola.regress(design, parabola.linear(design.u), each, once)[0][0] * parabola.linear(u)).sum(
                -1
            )
            for each in logs.T[k:]
        ]
        sides.append(np.column_stack([design.middle + design.half * u, *lines]))
    return Bias(solved.law.name, *sides), None
