"""What a check says: findings with the runs they are about, or the column it would need."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal

import pandas as pd

Severity = Literal["fault", "warning", "note"]
"""fault: these points do not show what they seem to; warning: limits what may be concluded; note: to know."""

SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note")
SHOWN = 6
"""How many names a sentence lists."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """Runs that a finding is about: those of one shape, under its readable name."""

    name: str
    config_id: str
    run_ids: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing to know about a sweep: what it is, which runs, and what to do about it.

    `kind` is the name of the check, or undertrained, borderline and above_trend, which one check tells apart.
    `subjects` is empty where the finding is about all runs.
    """

    kind: str
    severity: Severity
    subjects: tuple[Subject, ...]
    sentence: str
    what_to_do: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of one check: findings, `passed` with what was seen, or `not_checked` with what it needs.

    Exactly one of the three is given.
    """

    check: str
    findings: tuple[Finding, ...] = ()
    passed: str | None = None
    not_checked: str | None = None

    def __post_init__(self) -> None:
        """Assert that exactly one of the three outcomes is given."""
        given = (bool(self.findings), self.passed is not None, self.not_checked is not None)
        assert sum(given) == 1, f"{self.check}: {given}"


def outcome(check: str, findings: Sequence[Finding], passed: str) -> Outcome:
    """Return the outcome of a check that could be made: its findings, or `passed` where there are none."""
    return Outcome(check, tuple(findings)) if findings else Outcome(check, passed=passed)


def needs(check: str, what: str) -> Outcome:
    """Return the outcome of a check that could not be made: `not checked: needs WHAT`."""
    return Outcome(check, not_checked=f"needs {what}")


def known(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return the rows in which all `columns` are known; none if the table lacks one of them."""
    if any(name not in table for name in columns):
        return table.iloc[:0]
    return table.dropna(subset=list(columns))


def subjects(rows: pd.DataFrame) -> tuple[Subject, ...]:
    """Return the shapes of the rows, in their order; one configuration and horizon is one subject."""
    key = "place_id" if "place_id" in rows else "config_id"
    return tuple(
        Subject(
            str(group["label"].iloc[0]) if "label" in group else str(group["config_id"].iloc[0]),
            str(group["config_id"].iloc[0]),
            tuple(map(str, group["run_id"])),
        )
        for _, group in rows.groupby(key, sort=False)
    )


def names(items: Iterable[str]) -> str:
    """Return `a, b and 3 more`, each name once."""
    distinct = list(dict.fromkeys(items))
    more = f" and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else ""
    return ", ".join(distinct[:SHOWN]) + more
