"""What levers move, save and cost, in three to six plain sentences."""

from __future__ import annotations

from collections.abc import Iterable

from isoflop.curve.compare.result import GainAt, Moved
from isoflop.curve.judge.levers import WIDEST_UNSEEN
from isoflop.curve.levers import rates
from isoflop.curve.levers.result import LeverRow, LeversReport, OnAxis, RateSearch, Ratio
from isoflop.report.text import amounts
from isoflop.report.text.lever_lines import RUN, TIME, signed
from isoflop.report.text.numerals import number, percent, plural
from isoflop.table import levers, target

MOVED: dict[Moved, str] = {
    "exponent": "the exponent b",
    "exponent and irreducible error": "both the exponent b and the irreducible error E",
    "irreducible error": "the irreducible error E",
    "shape": "b or E, it cannot be told which, so that the gain depends on scale",
    "factor": "the scale A alone",
    "cannot be told": "nothing that could be seen",
}
"""What a lever moved, as the object of `moves`."""


def sentences(report: LeversReport) -> tuple[str, ...]:
    """Return what moves, what could be seen, gains, prior work, inference and rates; one where nothing could
    be compared."""
    if not report.compared:
        return ("No lever has enough runs in common with the baseline to compare curves.",)
    lines = (
        _moved(report),
        _unseen(report),
        _gains(report),
        _prior(report),
        _inference(report),
        _rates(report),
    )
    return tuple(f"{line[:1].upper()}{line[1:]}." for line in lines if line)


def _moved(report: LeversReport) -> str:
    """Return which levers move what."""
    by_kind = {
        kind: [_by(row, row.own) for row in report.compared if row.own and row.own.moved == kind]
        for kind in MOVED
    }
    return "; ".join(
        f"{listed(by)} {'moves' if len(by) == 1 else 'move'} {MOVED[kind]}"
        for kind, by in by_kind.items()
        if by
    )


def _by(row: LeverRow, of: OnAxis) -> str:
    if "exponent" not in of.moved:
        return row.name
    return f"{row.name} ({of.b.value:+.3f}, {signed(of.b.interval)})"


def _unseen(report: LeversReport) -> str:
    """Return from where on a change of b would have been seen, and of which levers that tells nothing."""
    seen = {row.name: row.own.b.smallest_seen for row in report.compared if row.own}
    known = sorted(value for value in seen.values() if value is not None)
    if not known:
        return "no change of b could have been seen"
    ends = f"{known[0]:.3f}" if len(known) == 1 else f"{known[0]:.3f} to {known[-1]:.3f}"
    by_lever = "" if len(known) == 1 else ", by lever"
    said = f"the smallest change of b that would have been seen is {ends}{by_lever}"
    blind = [
        row.name
        for row in report.compared
        if row.own
        and "exponent" not in row.own.moved
        and (row.own.b.smallest_seen is None or row.own.b.smallest_seen > WIDEST_UNSEEN)
    ]
    return (
        f"{said}; above {WIDEST_UNSEEN:g} ({listed(blind)}) whether b moves cannot be told" if blind else said
    )


def _gains(report: LeversReport) -> str:
    """Return the least and the largest gain, and of which levers it changes with scale."""
    quantity = target.quantity(report.y)
    known = [(row, row.own, at) for row in report.compared if row.own and (at := row.own.middle)]
    gains = sorted((at.gain, row.name) for row, _, at in known if at.gain is not None)
    if not gains:
        return f"no gain is known, as no lever has a range of {quantity.noun}s in common with the baseline"
    (low, lowest), (high, highest) = gains[0], gains[-1]
    said = f"for equal {quantity.noun} the baseline needs {number(low)} times the compute of {lowest}"
    if len(gains) > 1:
        said += f", the least, and {number(high)} times that of {highest}, the most"
    scaled = [
        f"{row.name} ({_at(of.largest, quantity)}, {_at(of.least, quantity)})"
        for row, of, _ in known
        if of.moved not in ("factor", "cannot be told") and of.largest and of.least
    ]
    return f"{said}; it changes with scale for {listed(scaled)}" if scaled else said


def _at(gain: GainAt, quantity: target.Quantity) -> str:
    return f"{number(gain.gain)} at {amounts.amount(gain.y, quantity)} {quantity.noun}"


def _prior(report: LeversReport) -> str:
    """Return what becomes of each gain where prior work is counted in; nothing where there is none."""
    said = []
    for row in report.compared:
        own, total = (of.middle if of else None for of in (row.own, row.total))
        if not row.prior_share or not own or not total or own.gain is None or total.gain is None:
            continue
        loss = ", a loss" if total.interval.high is not None and total.interval.high < 1 else ""
        work = f"{number(row.prior_share, 2)} times its own work"
        said.append(f"{row.name} falls from {number(own.gain)} to {number(total.gain)}{loss} ({work})")
    return f"with prior work counted in, the gain of {'; that of '.join(said)}" if said else ""


def _inference(report: LeversReport) -> str:
    """Return what is saved at inference as measured, beside what zeros among the weights would save."""
    timed = [(row, ratio) for row in report.levers if (ratio := row.ratio(TIME))]
    if not timed:
        return ""
    below = [(row, of) for row, of in timed if _is_below_one(of)]
    saving = [f"{row.name} ({number(of.value)} times the time)" for row, of in below if not _is_alike(row)]
    alike = [(row.name, of.value) for row, of in below if _is_alike(row)]
    none = [row for row, of in timed if not _is_below_one(of)]
    said = [f"time is saved by {listed(saving)}"] if saving else []
    if alike:
        least, most = (number(each([value for _, value in alike])) for each in (min, max))
        times = least if least == most else f"{least} to {most}"
        said.append(
            f"{listed(name for name, _ in alike)} ran the baseline's own FLOPs in {times} times its time: "
            "timings of like networks differ by so much, unless the number format is another"
        )
    said += [f"no time is saved by {listed(row.name for row in none)}"] if none else []
    said += [promised for row in none if (promised := _promised(row))]
    return f"at inference, as measured, {'; '.join(said)}"


def _is_below_one(of: Ratio) -> bool:
    return of.interval.high is not None and of.interval.high < 1


def _is_alike(row: LeverRow) -> bool:
    """Return whether the finished network does the baseline's work, none of it skipped or smaller."""
    ratios = [row.ratio(name) for name in (RUN, levers.NOMINAL)]
    return all(of is not None and abs(of.value - 1) < 1e-6 for of in ratios)


def _promised(row: LeverRow) -> str:
    """Return what the zeros among the weights of a lever that saves no time would save; else nothing."""
    nominal, run = row.ratio(levers.NOMINAL), row.ratio(RUN)
    if nominal is None or not _is_below_one(nominal):
        return ""
    share = "" if row.density is None else f" ({percent(row.density, 2)})"
    done = "" if run is None else f", and {number(run.value)} are run"
    flops = f"{number(nominal.value, 2)} of the baseline's FLOPs"
    return f"the weights of {row.name} that are not zero{share} would take {flops}{done}"


def _rates(report: LeversReport) -> str:
    """Return how the learning rates were searched, and whether all arms had the same number of trials."""
    searches = [(levers.BASELINE, report.rates), *((row.name, row.rates) for row in report.levers)]
    of_all = [search for _, search in searches]
    searched, interior = sum(each.searched for each in of_all), sum(each.interior for each in of_all)
    inside = f"; {interior} of {plural(searched, 'best rate')} lie inside the rates tried" if searched else ""
    same = rates.same_budget(of_all)
    if same is None:
        return f"how many learning rates were tried is not known here{inside}"
    if not same:
        each = ", ".join(f"{_trials(search)} for {name}" for name, search in searches)
        return f"learning rates were not searched alike, so a gain may be the search's: {each} trials{inside}"
    if not report.rates.trials:
        return "no learning rate was searched, so that one arm's may suit it better than another's"
    return f"learning rates were searched alike: {_trials(report.rates)} trials a configuration{inside}"


def _trials(search: RateSearch) -> str:
    return number(search.per_configuration, 2)


def listed(names: Iterable[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
