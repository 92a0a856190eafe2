"""Facts about figure 2 that hold for any choice of ours, checked against the simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isoflop.paper.theory.reach import reach
from isoflop.paper.theory.result import Case, Check, Row, TheorySettings

Z_LIMIT = 4.0
"""Standard errors that a mean may be off; one of 40 means exceeds that by chance once in 400 runs."""
MOMENTS = 5
"""|n - p| from which the error of least squares has a finite variance, so that a standard error means
something."""
SPIKE = 10.0


def check(settings: TheorySettings, rows: Sequence[Row], ceiling: float) -> tuple[Check, ...]:
    """Return every check that these sizes allow."""
    checks = (
        _law(settings, rows),
        _pair(settings, rows),
        _ceiling(rows, ceiling),
        _spike(settings, rows),
        _nearer(rows, settings, "examples"),
        _nearer(rows, settings, "flops"),
    )
    return tuple(one for one in checks if one is not None)


def _fitted(case: Case, settings: TheorySettings) -> int:
    return settings.features if case == "flexible" else settings.relevant


def _law(settings: TheorySettings, rows: Sequence[Row]) -> Check | None:
    known = [
        (row, (row.normalised_mse.value - row.expected_mse) / row.standard_error)
        for row in rows
        if row.expected_mse is not None and abs(row.examples - _fitted(row.case, settings)) >= MOMENTS
    ]
    if not known:
        return None
    row, z = max(known, key=lambda pair: abs(pair[1]))
    return Check(
        "least_squares_law",
        "Mean errors of least squares follow their exact law, σ²p/(n−p−1) beyond n = p",
        "within 4 standard errors at every size",
        f"at most {abs(z):.2g} standard errors off in {len(known)} means ({row.case}, n = {row.examples:,})",
        f"|mean − law| below {Z_LIMIT:g} standard errors wherever |n − p| ≥ {MOMENTS}",
        abs(z) < Z_LIMIT,
    )


def _pair(settings: TheorySettings, rows: Sequence[Row]) -> Check | None:
    """Compare oracle and flexible at sizes with equal p/(n-p-1): 15 and 1,401 for 10 and 1000 features."""
    s, p = settings.relevant, settings.features
    flexible = {r.examples: r for r in rows if r.case == "flexible"}
    for one in (r for r in rows if r.case == "oracle" and r.examples >= s + MOMENTS):
        other = flexible.get(p + 1 + p * (one.examples - s - 1) // s)
        if other is None or s * (other.examples - p - 1) != p * (one.examples - s - 1):
            continue
        a, b = one.normalised_mse, other.normalised_mse
        spread = math.hypot(one.standard_error / a.value, other.standard_error / b.value)
        z = math.log(a.value / b.value) / spread
        return Check(
            "oracle_equals_flexible",
            f"The oracle at n = {one.examples:,} is as good as the flexible model at n = {other.examples:,}, "
            "for any noise",
            "ratio of errors 1",
            f"ratio of errors {a.value / b.value:.3g} (± {1.96 * spread * a.value / b.value:.2g}, 95%)",
            f"ln ratio within {Z_LIMIT:g} standard errors of 0",
            abs(z) < Z_LIMIT,
        )
    return None


def _ceiling(rows: Sequence[Row], ceiling: float) -> Check:
    last = max((row for row in rows if row.case == "expert"), key=lambda row: row.examples)
    assert last.expected_mse is not None or last.expected_reason
    expected = None if last.expected_mse is None else -math.log10(last.expected_mse)
    near = expected is not None and last.performance.low - 0.01 <= expected <= last.performance.high + 0.01
    return Check(
        "expert_ceiling",
        f"The expert's performance cannot pass {ceiling:.3g}: the feature left out stays left out",
        f"below {ceiling:.3g}" + ("" if expected is None else f", {expected:.4g} at n = {last.examples:,}"),
        f"{last.performance.value:.4g} at n = {last.examples:,}",
        "no simulated mean above the ceiling, and the last one at its exact law within 0.01",
        near and all(r.performance.value <= ceiling for r in rows if r.case == "expert"),
    )


def _spike(settings: TheorySettings, rows: Sequence[Row]) -> Check | None:
    ours = [row for row in rows if row.case == "flexible"]
    at = next((i for i, row in enumerate(ours) if row.examples == settings.features), None)
    if at is None or not 0 < at < len(ours) - 1:
        return None
    before, peak, after = ours[at - 1], ours[at], ours[at + 1]
    ratio = peak.median_mse / max(before.median_mse, after.median_mse)
    return Check(
        "double_descent",
        f"Least squares is worst near n = {settings.features:,}, where examples equal features",
        f"a median error above {SPIKE:g} times that at n = {before.examples:,} and n = {after.examples:,}",
        f"{ratio:.3g} times",
        "medians, since the mean at the peak is infinite",
        ratio > SPIKE,
    )


def _nearer(rows: Sequence[Row], settings: TheorySettings, what: str) -> Check | None:
    """Check that the lasso is nearer the oracle in data, or nearer the flexible model in computation."""
    cases: tuple[Case, ...] = ("oracle", "regularised", "flexible")
    reaches = [reach(case, [row for row in rows if row.case == case], settings.target) for case in cases]
    needed = [getattr(one, what) for one in reaches]
    if any(one is None for one in needed):
        return None
    oracle, lasso, flexible = (float(one.value) for one in needed)
    up, down = lasso / oracle, flexible / lasso
    data = what == "examples"
    near, noun = ("oracle", "data") if data else ("flexible model", "computation")
    return Check(
        f"lasso_{'data' if data else 'computation'}",
        f"To reach performance {settings.target:g} the lasso is near the {near} in {noun}",
        f"fewer decades to the {near} than to the {'flexible model' if data else 'oracle'}",
        f"{_times(up)} the oracle's, the flexible model needs {_times(down)} the lasso's",
        "ratios compared as logarithms",
        up < down if data else down < up,
    )


def _times(ratio: float) -> str:
    return f"{float(f'{ratio:.3g}'):,g} times"
