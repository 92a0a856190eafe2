"""The bill of a sweep on the terminal: its sentence, how each figure is formed, and what it does not hold."""

from __future__ import annotations

from rich.console import Console

from isoflop.cli.terminal.console import OUT
from isoflop.report.bill import Bill, bill
from isoflop.table import pricing
from isoflop.table.aggregate import RunTable

NONE = "bill: no run has a price"


def show(table: RunTable, out: Console = OUT) -> None:
    """Print the bill of a sweep that was priced, nothing where no price was chosen."""
    found = bill(table)
    if found is not None:
        for line in lines(found):
            out.print(line, markup=False)
    elif table.prices is not None:
        out.print(f"{NONE}{_why(table)}", markup=False)


def lines(found: Bill) -> tuple[str, ...]:
    """Return a bill as lines of text."""
    return (
        f"bill: {found.sentence}",
        *(f"  {line}" for line in (*found.formulas, *found.on_prices)),
        f"  {' '.join(found.notes)}",
    )


def _why(table: RunTable) -> str:
    """Return the most frequent reason why dollars, or CO2, are unknown."""
    for name in pricing.PRICED:
        priced = table.rows[table.rows[f"{name}_factors"].notna()]
        if not priced.empty:
            return f": {priced[f'{name}_reason'].value_counts().index[0]}"
    return ""
