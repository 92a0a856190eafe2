"""Compute-optimal training on the terminal: the joint law read at the best size of each budget."""

from __future__ import annotations

from isoflop.cli.terminal.console import OUT
from isoflop.curve.language.result import CountedOptimum, OptimalTraining
from isoflop.report.text.fit_lines import estimate
from isoflop.report.text.numerals import number, plural
from isoflop.report.text.optimal_training import ALL_RUNS


def show(optimal: OptimalTraining) -> None:
    """Print exponent, irreducible part and forecast, then the heading of the law through all runs."""
    runs, configs = plural(optimal.points, "run"), plural(optimal.configs, "configuration")
    above = "above E " if optimal.floor_identified else ""
    floor = estimate(optimal.floor) if optimal.floor_identified else "not identified"
    ratio = optimal.ahead.compute / optimal.largest.compute
    lines = (
        f"compute-optimal training, by the joint law {optimal.law} of {runs} of {configs}:",
        f"  bits a byte {above}fall as compute^-{estimate(optimal.exponent)}; E {floor}",
        f"  at the largest budget, {_at(optimal.largest)}",
        f"  forecast at {ratio:.3g} times that, {_at(optimal.ahead)}, untested",
        *(f"  note: {warning}" for warning in optimal.warnings),
        ALL_RUNS,
    )
    for line in lines:
        OUT.print(line, markup=False)


def _at(optimum: CountedOptimum) -> str:
    outside = f" ({'; '.join(optimum.outside)})" if optimum.outside else ""
    return (
        f"{number(optimum.compute)} GFLOPs: {estimate(optimum.bits)} with {number(optimum.size.value)} "
        f"parameters and {number(optimum.seen.value)} bytes{outside}"
    )
