"""Do the paper's ways to lessen the burden move the curve or its exponent? A sweep with levers tells.

The paper lists pruning, quantisation, distillation, architecture search and the like as ways to lessen the
burden. Whether such a lever is worth a factor of compute, or changes how error falls with compute, is judged
from the difference of exponents (curve/judge/levers).
"""

from __future__ import annotations

import dataclasses

from isoflop.curve.compare.contrast import Settings
from isoflop.curve.levers import compare
from isoflop.curve.levers.compare import Runs
from isoflop.curve.levers.result import LeversReport


@dataclasses.dataclass(frozen=True)
class LeversResult:
    """What a sweep with levers has: runs of all arms, data, devices, and the comparison."""

    runs: int
    data: str
    device: str
    report: LeversReport


def analyse(runs: Runs, settings: Settings | None = None) -> LeversResult:
    """Compare the levers of a sweep with its baseline.

    Raises:
        ValueError: as levers.compare.
    """
    report = compare.compare(runs, settings)
    return LeversResult(len(runs.rows), _listed(runs, "data"), _listed(runs, "device"), report)


def _listed(runs: Runs, column: str) -> str:
    values = runs.rows[column].dropna().astype(str) if column in runs.rows else ()
    return ", ".join(sorted(set(values)))
