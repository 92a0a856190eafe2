"""Check of thermal drift: a shape that was run at the start, in the middle and at the end of a sweep."""

from __future__ import annotations

import numpy as np
import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.finding import Finding, Outcome

CHECK = "drift"
ALLOWED = 1.05
"""Drift of cost per example within this ratio is that of the sensors, which are quoted with 5%."""
THIRDS = 3
COSTS = {"energy_joules": "joules", "train_seconds": "seconds"}


def check(table: pd.DataFrame) -> Outcome:
    """Return whether joules or seconds per example of an anchor shape drifted from the first run to the last.

    An anchor is a configuration with a run that started in each third of the sweep, seeds counting alike:
    neither joules nor seconds depend on the seed.
    """
    for name in ("started_at", "examples_seen"):
        if finding.known(table, name).empty:
            return finding.needs(CHECK, name)
    costs = [name for name in COSTS if not finding.known(table, name).empty]
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
    if not (first > 0 and last > 0) or max(last / first, first / last) <= ALLOWED:
        return None
    (subject,) = finding.subjects(known)
    sentence = (
        f"{subject.name}: {COSTS[name]} per example changed by {last / first - 1:+.1%} from the first third "
        f"of the sweep to the last, more than {ALLOWED - 1:.0%}: the device warmed up or was shared"
    )
    what = (
        f"do not compare {COSTS[name]} of early and late runs; warm the device up first, or lock its clocks"
    )
    return Finding(CHECK, "warning", (subject,), sentence, what)
