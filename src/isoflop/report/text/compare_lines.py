"""What a comparison compares, and its verdict, in lines of plain text."""

from __future__ import annotations

from isoflop.curve.compare.result import ArmFit, Comparison
from isoflop.report.text.numerals import plural


def heading(comparison: Comparison) -> list[str]:
    """Return the axes, then the arms with their runs, the baseline first."""
    arms = [_arm(arm) for arm in comparison.arms]
    return [
        f"{comparison.y} against {comparison.x}",
        *(f"  {arm}{', the baseline' if i == 0 else ''}" for i, arm in enumerate(arms)),
    ]


def _arm(arm: ArmFit) -> str:
    runs, shapes = plural(arm.runs, "run"), plural(arm.configurations, "configuration")
    return f"{arm.name}: {runs} of {shapes}, x from {arm.x_min:.3g} to {arm.x_max:.3g}"
