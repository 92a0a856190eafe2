"""IsoFLOP profiles on the terminal: the optimum of each budget, its growth, warnings."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from isoflop.cli.terminal import notes
from isoflop.cli.terminal.joint_table import interval
from isoflop.cli.terminal.left_out import show_excluded
from isoflop.curve.isoflop.result import Budget, Profiles
from isoflop.report.text.numerals import plural


def show(profiles: Profiles, out: Console, *, every_note: bool = True) -> None:
    """Print a line per budget, the exponents and the notes, five unless `every_note`, 100 columns wide."""
    sizes = " and ".join(profiles.sizes)
    out.print(
        f"IsoFLOP profiles of {profiles.y} over {sizes}: {plural(len(profiles.budgets), 'budget')} of "
        f"{profiles.compute}, each within {profiles.tolerance:.0%}",
        markup=False,
    )
    named = (*profiles.sizes, *profiles.companions)
    out.print(f"optimum of each budget ({100 * profiles.level:g}%), and {profiles.y} there:", markup=False)
    table = Table(box=None, pad_edge=False)
    for name in (profiles.compute, "configs", *named, profiles.y):
        table.add_column(name, overflow="fold")
    for budget in profiles.budgets:
        table.add_row(f"{budget.compute:.4g}", str(budget.configs), *_optimum(budget, len(named) + 1))
    out.print(table)
    if profiles.growth is None:
        out.print(f"no exponents: {profiles.growth_reason}", markup=False)
    for growth, name in zip(profiles.growth or (), named, strict=False):
        out.print(
            f"optimal {name} as {profiles.compute} to the power {interval(growth.exponent)}", markup=False
        )
    if profiles.without_budget:
        out.print(
            f"{plural(profiles.without_budget, 'row')} in no budget: too few sizes share their compute",
            markup=False,
        )
    show_excluded(profiles.excluded, out)
    notes.show([notes.Note(warning) for warning in profiles.warnings], every=every_note, out=out)


def _optimum(budget: Budget, columns: int) -> list[str]:
    """Return the optimum of a budget as so many columns."""
    return (
        ["none"] + ["-"] * (columns - 1) if budget.optimum is None else [interval(e) for e in budget.optimum]
    )
