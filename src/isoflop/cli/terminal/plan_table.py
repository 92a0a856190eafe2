"""A dry run on the terminal: the runs of a sweep, what they would cost, and the totals."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from isoflop.report.text.numerals import plural
from isoflop.sweep import dry_run
from isoflop.sweep.dry_run import PlanLine, SweepPlan, Total


def show(plan: SweepPlan, out: Console) -> None:
    """Print the table, the rule by which it was predicted, and what is left to run."""
    table = Table(box=None, pad_edge=False)
    # A narrow terminal wraps the sums, and neither the name of a shape nor its epochs.
    table.add_column("runs of", no_wrap=True)
    table.add_column(f"points at {'passes' if plan.of_text else 'epochs'}")
    for name in ("runs", "GFLOPs each", "seconds", "joules"):
        table.add_column(name, justify="right")
    for line in plan.lines:
        table.add_row(*_texts(line))
    table.add_section()
    for name, total in (("fitted", plan.fitted), ("held out", plan.held_out), ("all", plan.total)):
        if total.runs and not (name == "fitted" and not plan.held_out.runs):
            table.add_row(*_sums(name, total))
    out.print(table)
    for sentence in (f"device: {plan.device}", *dry_run.RULE):
        out.print(sentence, markup=False)
    left = plan.total
    if left.timed < left.runs:
        out.print("--on H200 predicts for a device whose steps were measured", markup=False)
    seconds = f", about {_number(left.left_seconds)} s of training" if left.timed == left.runs else ""
    out.print(f"{plural(left.left, 'run')} to train{seconds}; nothing was trained or written", markup=False)


def _texts(line: PlanLine) -> tuple[str, ...]:
    mark = " (held out)" if line.held_out else ""
    return (
        f"{line.label}{mark}",
        ",".join(f"{each:.3g}" for each in line.epochs),
        str(line.runs),
        "?" if line.run_flops is None else _number(line.run_flops * 1e-9),
        "?" if line.seconds is None else _number(line.seconds),
        "?" if line.joules is None else _number(line.joules),
    )


def _sums(name: str, total: Total) -> tuple[str, ...]:
    decades = f", {total.decades:.2f} decades" if total.decades and name != "held out" else ""
    return (
        name,
        f"{plural(total.points, 'point')}{decades}",
        str(total.runs),
        "?" if total.flops is None else _number(total.flops * 1e-9),
        _part(total.seconds, total.timed, total.runs),
        _part(total.joules, total.metered, total.runs),
    )


def _part(value: float, known: int, runs: int) -> str:
    """Return a sum, at least so much where only some of the runs are known, ? where none is."""
    if not known:
        return "?"
    return _number(value) if known == runs else f"{_number(value)} + ? ({runs - known} runs)"


def _number(value: float) -> str:
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.3g}"
