"""Check of the largest configurations: do they lie above the curve of the smaller ones?"""

from __future__ import annotations

import pandas as pd

from isoflop.curve import points
from isoflop.curve.check import finding
from isoflop.curve.check.finding import Finding, Outcome
from isoflop.curve.misfit import late, unexplained
from isoflop.curve.result import LateDeviation
from isoflop.table import target

CHECK = "largest"
COMPUTE = "train_gflops"
LOSSES = ("test_loss", "val_loss")
"""What is judged where the table lacks the error or loss of its domain."""
WHAT_TO_DO = (
    "train them better (learning rate, warm-up, length) and run them again, or fit without them too: a "
    "forecast follows its largest points"
)


def check(table: pd.DataFrame) -> Outcome:
    """Return whether the largest one or two configurations lie above the curve of the smaller ones."""
    y = next((y for y in (target.of(table).y, *LOSSES) if len(finding.known(table, y, COMPUTE))), None)
    if y is None:
        return finding.needs(CHECK, f"{target.of(table).y} and {COMPUTE} (--x)")
    try:
        chosen = points.select(finding.known(table, y, COMPUTE), COMPUTE, y, mixed=True)
    except ValueError:
        return finding.needs(CHECK, f"{late.LEAST_CONFIGS} configurations at three or more compute scales")
    seen = unexplained.late_of(table, chosen)
    if seen is None:
        return finding.needs(CHECK, f"{late.LEAST_CONFIGS} configurations")
    if not seen.deviates:
        return Outcome(CHECK, passed=_passed(seen))
    subjects = finding.subjects(table[table["run_id"].isin(seen.run_ids)])
    return Outcome(CHECK, (Finding(CHECK, "warning", subjects, unexplained.late_note(seen, y), WHAT_TO_DO),))


def _passed(seen: LateDeviation) -> str:
    low, high = seen.factor.interval.low, seen.factor.interval.high
    assert low is not None
    assert high is not None
    return (
        f"{' and '.join(seen.names)}: {seen.factor.value:.2f} times the curve of the smaller ones, {low:.2f} "
        f"to {high:.2f}; a deviation of less than that is not seen"
    )
