"""IsoFLOP profiles on the terminal: the optimum of each budget, its growth, warnings."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from isoflop.cli.terminal import notes
from isoflop.cli.terminal.joint_table import interval, show_footnote
from isoflop.cli.terminal.left_out import show_excluded
from isoflop.curve.isoflop.result import Budget, Growth, Profiles
from isoflop.report.text.notes import Note
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
        table.add_row(f"{budget.compute:.4g}", str(budget.configs), *_optimum(budget, len(named)))
    out.print(table)
    show_footnote([each for budget in profiles.budgets for each in budget.optimum or ()], out)
    if profiles.growth is None:
        out.print(f"no exponents: {profiles.growth_reason}", markup=False)
    for growth, name in zip(profiles.growth or (), named, strict=False):
        out.print(_exponent(profiles.compute, name, growth), markup=False)
    out.print(_on_bias(profiles), markup=False)
    if profiles.without_budget:
        out.print(
            f"{plural(profiles.without_budget, 'row')} in no budget: too few sizes share their compute",
            markup=False,
        )
    show_excluded(profiles.excluded, out)
    notes.show([Note(warning) for warning in profiles.warnings], every=every_note, out=out)


def _optimum(budget: Budget, columns: int) -> list[str]:
    """Return the optimum of a budget in so many columns, then y there."""
    if budget.optimum is None or budget.least is None:
        return ["none"] + ["-"] * columns
    return [interval(each) for each in (*budget.optimum, budget.least)]


def _exponent(compute: str, name: str, growth: Growth) -> str:
    text = f"optimal {name} as {compute} to the power {interval(growth.exponent)}"
    if growth.bias is None:
        return text
    return f"{text}, bias {growth.bias.by_parabolas - growth.bias.by_law:+.3f}"


def _on_bias(profiles: Profiles) -> str:
    """Return what the bias is, or why it is unknown."""
    if profiles.bias_law is None:
        return (
            "parabolas are biased where sizes reach further to one side; by how much here is unknown: "
            f"{profiles.bias_reason}; --law chinchilla has no such bias"
        )
    factors = [budget.bias for budget in profiles.budgets if budget.bias is not None]
    missed = [
        f"{name} by {min(each) - 1:+.0%} to {max(each) - 1:+.0%}"
        for name, each in zip(profiles.sizes, zip(*factors, strict=True), strict=False)
    ]
    budgets = f" (optimal {', '.join(missed)} in the budgets)" if missed else ""
    return (
        f"bias: what parabolas through the values of the joint law {profiles.bias_law} at these rows miss of "
        f"its own optima{budgets}; --law chinchilla has none"
    )
