"""A plan as lines of plain text: the interval before and after, the runs, how to train them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from isoflop.plan.aligned import aligned
from isoflop.plan.proposal import DesignOutcome, Ends, PlannedRuns, Proposal
from isoflop.report.text import units
from isoflop.report.text.numerals import UNKNOWN, number, plural, seconds

_SHOW: dict[str, Callable[[float | None], str]] = {
    "device_seconds": seconds,
    "train_gflops": units.gflops,
    "energy_joules": units.joules,
    "dollars": units.dollars,
    "kilograms_co2": lambda value: units.grams(None if value is None else 1e3 * value),
}


def lines(made: Proposal) -> tuple[str, ...]:
    """Return the whole answer."""
    return tuple(_lines(made))


def _lines(made: Proposal) -> Iterator[str]:
    yield f"next runs for {made.budget}: {made.quantity}, {made.source or 'from nothing'}"
    yield from (f"! {line}" for line in made.warnings)
    yield ""
    yield from _designs(made)
    yield ""
    yield from _runs(made)
    yield ""
    for path in made.written:
        yield f"written: {path}"
    for command in made.commands:
        yield f"train with: {command}"
    yield from (f"note: {line}" for line in made.notes)


def _amount(made: Proposal, value: float) -> str:
    return _SHOW[made.kind](value)


def _designs(made: Proposal) -> Iterator[str]:
    level = f"{100 * made.level:g}%"
    known = made.before is not None
    header = ("", f"interval ({level}, of {made.interval_of})" if known else "standard deviation")
    rows = [(*header, "width", "runs", "cost", "largest")]
    if made.before is not None:
        rows.append(("now", _ends(made, made.before), "1", "", "", ""))
    for each in made.designs:
        rows.append(
            (
                each.design,
                _after(made, each),
                UNKNOWN if each.width_ratio is None else f"x {number(each.width_ratio, 2)}",
                str(each.runs),
                _amount(made, each.amount),
                units.gflops(each.largest_gflops),
            )
        )
    yield from aligned(rows)


def _after(made: Proposal, each: DesignOutcome) -> str:
    if made.before is None:
        return f"{number(each.deviation)}{' of ln x' if made.log10 else ''}"
    return UNKNOWN if each.after is None else f"expected {_ends(made, each.after)}"


def _ends(made: Proposal, ends: Ends) -> str:
    """Return an interval: log10 of GFLOPs as FLOPs."""
    if ends.value is None:
        return "not reached"

    def shown(value: float | None) -> str:
        if value is None:
            return "unbounded"
        return units.gflops(10.0**value) if made.log10 and value < 300 else number(value)

    return f"{shown(ends.value)} ({shown(ends.low)} to {shown(ends.high)})"


def _runs(made: Proposal) -> Iterator[str]:
    fractions = len({each.data_fraction for each in made.runs}) > 1
    searched = any(each.lr_factors for each in made.runs)
    lengths = any(each.length for each in made.runs)
    header = ["run", *(["length"] if lengths else []), *(["data"] if fractions else [])]
    header += ["parameters", "examples", "compute", "seeds", *(["rates tried"] if searched else []), "cost"]
    rows = [header]
    for each in made.runs:
        row = [f"{each.label}{'' if each.new else ' (again)'}"]
        row += [each.length or ""] if lengths else []
        row += ["" if each.data_fraction is None else f"{each.data_fraction:g}"] if fractions else []
        row += [number(each.parameters), number(each.examples[-1]), _compute(each), _seeds(each.seeds)]
        row += [", ".join(f"x{factor:g}" for factor in each.lr_factors)] if searched else []
        rows.append([*row, _amount(made, each.amount)])
    yield from aligned(rows)
    total = sum(len(each.seeds) for each in made.runs)
    yield f"{plural(total, 'run')} of {plural(len(made.runs), 'configuration')}"


def _compute(each: PlannedRuns) -> str:
    last = units.gflops(each.train_gflops[-1])
    if len(each.train_gflops) == 1:
        return last
    return f"{units.gflops(each.train_gflops[0])} to {last} ({len(each.train_gflops)} points)"


def _seeds(seeds: tuple[int, ...]) -> str:
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
