"""Check of how much was measured: seeds, compute scales, decades."""

from __future__ import annotations

import math

import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.finding import Finding, Outcome
from isoflop.table.grouping import distinct_scales

SEEDS, SCALES = "seeds", "scales"
LEAST_DECADES = 1.5
"""Fewer decades of compute than this support no answer."""
SHORT_DECADES = 2.0
"""Fewer decades of compute than this are short for a power law."""
LEAST_CONFIGS = 5
LEAST_SCALES = 3
GOOD_SCALES = 5
GOOD_SEEDS = 3


def check_seeds(table: pd.DataFrame) -> Outcome:
    """Return the configurations with fewer than GOOD_SEEDS seeds."""
    if finding.known(table, "seed").empty:
        return finding.needs(SEEDS, "seed (--seed)")
    counts = table.groupby("config_id", sort=False)["seed"].nunique()
    few, many = int(counts.min()), int(counts.max())
    spread = str(few) if few == many else f"{few} to {many}"
    if few >= GOOD_SEEDS:
        return Outcome(SEEDS, passed=f"{spread} for each configuration")
    short = table[table["config_id"].isin(counts[counts < GOOD_SEEDS].index)]
    single = table[table["config_id"].isin(counts[counts < 2].index)]
    sentence = f"{spread} {'seed' if many == 1 else 'seeds'} for each configuration"
    found = finding.subjects(single if len(single) else short)
    listed = "all" if few == many else finding.names(s.name for s in found)
    if few == 1:
        sentence += f"; one only: {listed}. With one seed luck and size cannot be separated"
    else:
        sentence += ": two seeds hardly show their own spread"
    what = f"run {GOOD_SEEDS} seeds, at least of the shapes at both ends"
    severity = finding.SEVERITIES[1 if many == 1 else 2]
    return Outcome(SEEDS, (Finding(SEEDS, severity, () if few == many else found, sentence, what),))


def check_scales(table: pd.DataFrame) -> Outcome:
    """Return whether the compute scales and their range are few."""
    rows = finding.known(table, "train_gflops")
    rows = rows[rows["train_gflops"] > 0] if len(rows) else rows
    if rows.empty:
        return finding.needs(SCALES, "train_gflops (--x)")
    compute = rows["train_gflops"]
    means = rows.groupby("place_id" if "place_id" in rows else "config_id")["train_gflops"].mean()
    scales = int(distinct_scales(means.to_numpy(float)).max()) + 1
    decades = math.log10(float(compute.max() / compute.min()))
    configs = rows["config_id"].nunique()
    span = f"{decades:.2g} decades of compute, {scales} scales, {configs} configurations"
    short, few = decades < SHORT_DECADES, scales < GOOD_SCALES
    if not short and not few:
        return Outcome(SCALES, passed=span)
    wanted = [f"{SHORT_DECADES:g} decades"] if short else []
    wanted += [f"{GOOD_SCALES} scales"] if few else []
    too_little = decades < LEAST_DECADES or scales < LEAST_SCALES or configs < LEAST_CONFIGS
    why = "too little for an answer" if too_little else "short for a power law"
    what = f"add smaller and larger shapes: at least {' and '.join(wanted)}"
    return Outcome(
        SCALES, (Finding(SCALES, "warning" if too_little else "note", (), f"{span}: {why}", what),)
    )
