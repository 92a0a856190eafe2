"""Check of thermal drift: a shape that was run at the start, in the middle and at the end of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.anchors import AnchorReading, by_anchor
from isoflop.curve.check.finding import Finding, Outcome, Subject

CHECK = "drift"
ALLOWED = 1.05
"""Drift of cost per example within this ratio is that of the sensors, which are quoted with 5%."""
THIRDS = 3
COSTS = {"own_joules": "joules", "energy_joules": "joules", "train_seconds": "seconds"}


def check(table: pd.DataFrame, readings: Sequence[AnchorReading] = ()) -> Outcome:
    """Return whether joules or seconds per example of an anchor shape drifted from the first to the last.

    Args:
        table: the runs; without readings a configuration with a run that started in each third of the sweep
            is an anchor, seeds counting alike: neither joules nor seconds depend on the seed.
        readings: those of the anchor that the sweep metered first, in the middle and last.
    """
    metered = by_anchor(readings)
    return _of_readings(metered) if metered else _of_runs(table)


def _of_readings(metered: Sequence[Sequence[AnchorReading]]) -> Outcome:
    findings = []
    for group in metered:
        first, last = group[0], group[-1]
        subject = (Subject(first.shape, first.config_id, ()),)
        for cost in ("joules", "seconds"):
            before, after = (getattr(each, f"{cost}_per_example") for each in (first, last))
            if before and after and (found := _finding(cost, subject, before, after, "reading")):
                findings.append(found)
    shapes = finding.names(group[0].shape for group in metered)
    kept = f"joules and seconds per example of {shapes}, metered {len(metered[0])} times, stay within"
    return finding.outcome(CHECK, findings, f"{kept} {ALLOWED - 1:.0%}")


def _of_runs(table: pd.DataFrame) -> Outcome:
    for name in ("started_at", "examples_seen"):
        if finding.known(table, name).empty:
            return finding.needs(CHECK, name)
    costs = [name for name in _costs(table) if not finding.known(table, name).empty]
    if not costs:
        return finding.needs(CHECK, "energy_joules or train_seconds")
    rows = finding.known(table, "started_at", "examples_seen")
    started = pd.to_datetime(rows["started_at"], utc=True, errors="coerce", format="ISO8601")
    rows = rows.assign(start=started).dropna(subset=["start"]).sort_values("start")
    anchors = _anchors(rows)
    if not anchors:
        return finding.needs(CHECK, "an anchor: one shape run in each third of the sweep")
    findings = [found for anchor in anchors for name in costs if (found := _drift(anchor, name)) is not None]
    listed = finding.names(s.name for anchor in anchors for s in finding.subjects(anchor))
    of = " and ".join(COSTS[name] for name in costs)
    return finding.outcome(CHECK, findings, f"{of} per example of {listed} stay within {ALLOWED - 1:.0%}")


def _costs(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns of cost: a run's own joules where they are known, as those of its shape are one
    number."""
    own = not finding.known(table, "own_joules").empty
    return ("own_joules" if own else "energy_joules", "train_seconds")


def _anchors(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the runs of each configuration that was run in every third of the sweep's time."""
    if rows.empty or rows["start"].max() == rows["start"].min():
        return []
    part = (rows["start"] - rows["start"].min()) / (rows["start"].max() - rows["start"].min())
    third = np.minimum((THIRDS * part.to_numpy(float)).astype(int), THIRDS - 1)
    key = "place_id" if "place_id" in rows else "config_id"
    groups = rows.assign(third=third).groupby(key, sort=False)
    return [group for _, group in groups if group["third"].nunique() == THIRDS]


def _drift(anchor: pd.DataFrame, name: str) -> Finding | None:
    """Return a finding where the cost per example in the last third differs from that in the first."""
    known = anchor.dropna(subset=[name])
    per_example = known[name] / known["examples_seen"]
    first, last = (per_example[known["third"] == third].mean() for third in (0, THIRDS - 1))
    if not (first > 0 and last > 0):
        return None
    return _finding(COSTS[name], finding.subjects(known), first, last, "third of the sweep")


def _finding(cost: str, subject: tuple[Subject, ...], first: float, last: float, part: str) -> Finding | None:
    """Return a finding where `cost` per example in the last part differs from that in the first."""
    if max(last / first, first / last) <= ALLOWED:
        return None
    sentence = (
        f"{subject[0].name}: {cost} per example changed by {last / first - 1:+.1%} from the first {part} to "
        f"the last, more than {ALLOWED - 1:.0%}: the device warmed up or was shared"
    )
    what = f"do not compare {cost} of early and late runs; warm the device up first, or lock its clocks"
    return Finding(CHECK, "warning", subject, sentence, what)
