"""A dry run on the terminal: the runs of a sweep, what they would cost, and the totals."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from isoflop.config.costs import Prices
from isoflop.report import bill
from isoflop.report.text.numerals import plural
from isoflop.sweep import dry_run
from isoflop.sweep.dry_run import PlanLine, SweepPlan, Total
from isoflop.table import pricing


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


def show_price(plan: SweepPlan, prices: Prices, out: Console) -> None:
    """Print what all runs would cost by `prices`, as far as what these multiply is predicted."""
    total = plan.total
    used = pricing.Used(
        device_seconds=total.seconds if total.timed == total.runs else None,
        energy_joules=total.joules if total.metered == total.runs else None,
        train_gflops=None if total.flops is None else total.flops * 1e-9,
        device_seconds_reason=f"{total.runs - total.timed} of {total.runs} runs have none predicted",
        energy_joules_reason=f"{total.runs - total.metered} of {total.runs} runs have none predicted",
        train_gflops_reason="not counted for every run",
    )
    for name, called in (("dollars", "dollars"), ("grams_co2", "CO2")):
        priced = pricing.PRICED[name](prices.factors, used)
        if priced.value is not None:
            line = bill.formula(name, used, prices.factors, prices.named, plan.device)
            out.print(f"all {total.runs} runs, {line}", markup=False)
        elif priced.factors is not None:
            out.print(f"{called}: {priced.reason}", markup=False)
    for sentence in prices.not_added:
        out.print(sentence, markup=False)


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
