"""The front door: every check of a table of runs, in one report."""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve.check import (
    amount,
    chance,
    collapse,
    confounding,
    drift,
    finding,
    largest,
    learning_rate,
    mixture,
    repetition,
    spread,
    undertrained,
)
from isoflop.curve.check.collapse import Collapse
from isoflop.curve.check.finding import Finding, Outcome
from isoflop.curve.check.sweep_files import NONE, SweepFiles
from isoflop.curve.result import Excluded

TITLES = {
    undertrained.CHECK: "Undertrained shapes",
    largest.CHECK: "Largest configurations",
    spread.CHECK: "Seed spread of training loss",
    collapse.CHECK: "Collapse of loss curves",
    learning_rate.CHECK: "Learning rate",
    chance.CHECK: "Points near chance",
    confounding.CHECK: "Compute and size",
    repetition.CHECK: "Repeated data",
    amount.SEEDS: "Seeds",
    amount.SCALES: "Compute scales",
    mixture.CHECK: "Mixed runs",
    drift.CHECK: "Thermal drift",
}
"""Check -> its name for readers, in the order of a report."""
KINDS = {
    undertrained.CHECK: "Undertrained shape",
    undertrained.BORDERLINE: "Borderline shape",
    undertrained.ABOVE_TREND: "Training loss above the trend",
}
"""Kind of finding -> its name for readers, where that is not its check's."""


def title(found: Finding) -> str:
    """Return the name of a finding's kind for readers."""
    return KINDS.get(found.kind) or TITLES[found.kind]


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """What every check says of one table of `runs` rows; `outcomes` in the order of TITLES."""

    runs: int
    configs: int
    outcomes: tuple[Outcome, ...]
    collapse: Collapse | None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, faults first, then warnings, then notes."""
        every = [found for outcome in self.outcomes for found in outcome.findings]
        return tuple(sorted(every, key=lambda found: finding.SEVERITIES.index(found.severity)))

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Return the findings of one kind."""
        return tuple(found for found in self.findings if found.kind == kind)

    @property
    def undertrained(self) -> tuple[Excluded, ...]:
        """The runs of undertrained shapes with the reason, as a fit lists the rows that it does not use."""
        return undertrained.excluded(self.outcomes[0])

    @property
    def undertrained_names(self) -> tuple[str, ...]:
        """The names of the undertrained shapes."""
        return tuple(s.name for found in self.of(undertrained.CHECK) for s in found.subjects)


def check(table: pd.DataFrame, files: SweepFiles = NONE) -> CheckReport:
    """Check a table of runs.

    Args:
        table: one row a run, with run_id, config_id and as many of the columns of aggregate.COLUMNS as are
            known; a check whose columns are absent says which it needs.
        files: what the sweep's folder keeps beside the table (sweep_files.read), where there is a folder.

    Raises:
        ValueError: the table has no row.
    """
    if table.empty:
        raise ValueError("no finished run to check")
    (of_collapse, of_drift), measured = _of_files(table, files)
    outcomes = (
        undertrained.check(table),
        largest.check(table),
        spread.check(table),
        of_collapse,
        learning_rate.check(table),
        chance.check(table),
        confounding.check(table),
        repetition.check(table),
        amount.check_seeds(table),
        amount.check_scales(table),
        mixture.check(table),
        of_drift,
    )
    assert [each.check for each in outcomes] == list(TITLES)
    return CheckReport(len(table), table["config_id"].nunique(), outcomes, measured)


def with_files(report: CheckReport, table: pd.DataFrame, files: SweepFiles) -> CheckReport:
    """Return check(table, files), given `report` = check(table): only what reads files is made anew."""
    assert report.runs == len(table)
    made, measured = _of_files(table, files)
    anew = {each.check: each for each in made}
    outcomes = tuple(anew.get(each.check, each) for each in report.outcomes)
    return dataclasses.replace(report, outcomes=outcomes, collapse=measured)


def _of_files(table: pd.DataFrame, files: SweepFiles) -> tuple[tuple[Outcome, Outcome], Collapse | None]:
    """Return the outcomes of the two checks that read files, and the collapse where it could be measured."""
    seen = collapse.measure(table, files.curves)
    measured = seen if isinstance(seen, Collapse) else None
    return (collapse.check(seen), drift.check(table, files.anchors)), measured
