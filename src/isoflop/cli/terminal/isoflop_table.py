"""IsoFLOP profiles on the terminal: the optimum of each budget, how it grows, doubts."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from isoflop.cli.terminal.joint_table import interval, show_excluded
from isoflop.curve.isoflop.result import Budget, Profiles
from isoflop.report.text.numerals import plural


def show(found: Profiles, out: Console) -> None:
    """A line a budget, the exponents, and what is doubtful, 100 columns wide."""
    sizes = " and ".join(found.sizes)
    out.print(
        f"IsoFLOP profiles of {found.y} over {sizes}: {plural(len(found.budgets), 'budget')} of "
        f"{found.compute}, each within {found.tolerance:.0%}",
        markup=False,
    )
    named = (*found.sizes, *found.companions)
    out.print(f"optimum of each budget (95%), and {found.y} there:", markup=False)
    view = Table(box=None, pad_edge=False)
    for name in (found.compute, "configs", *named, found.y):
        view.add_column(name, overflow="fold")
    for budget in found.budgets:
        view.add_row(f"{budget.compute:.4g}", str(budget.configs), *_optimum(budget, len(named) + 1))
    out.print(view)
    if found.growth is None:
        out.print(f"no exponents: {found.growth_reason}", markup=False)
    for each, name in zip(found.growth or (), named, strict=False):
        out.print(f"optimal {name} as {found.compute} to the power {interval(each.exponent)}", markup=False)
    if found.without_budget:
        out.print(
            f"{plural(found.without_budget, 'row')} in no budget: too few sizes share their compute",
            markup=False,
        )
    show_excluded(found.excluded, out)
    for warning in found.warnings:
        out.print(f"note: {warning}", markup=False)


def _optimum(budget: Budget, many: int) -> list[str]:
    return ["none"] + ["-"] * (many - 1) if budget.optimum is None else [interval(e) for e in budget.optimum]
