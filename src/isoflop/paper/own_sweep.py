"""A sweep of the user's own, judged as `isoflop report` judges it, for the first row of the claims."""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve import fit
from isoflop.curve.check import floor, front
from isoflop.curve.judge import limit
from isoflop.paper.claims_measured import OwnSweep
from isoflop.report.text import falls, lead
from isoflop.table import target


def of_rows(rows: pd.DataFrame, name: str) -> OwnSweep:
    """Return what a sweep's rows say of the paper's limit, and how its error or loss falls.

    Args:
        rows: one row a run.
        name: of the sweep.
    """
    checked = front.check(rows)
    data, families = (_listed(rows, column) for column in ("data", "family"))
    return OwnSweep(
        name=name,
        trained=f"{families or 'models'} on {data or 'data that are not named'}",
        runs=len(rows),
        configs=int(rows["config_id"].nunique()),
        falls=_falls(rows, checked),
        verdict=limit.judge(rows, checked),
    )


def _falls(rows: pd.DataFrame, checked: front.CheckReport) -> str:
    """Return the sentence by the law that leads the page too.

    The averaged exponent at the end of a bending curve is left to `isoflop fit`, which fits all laws.
    """
    method = fit.Method(laws=fit.FURTHER_LAWS, forecast=False, mixed=True)
    x, y = target.of(rows).axes[0]
    try:
        report = fit.fit_table(rows, x=x, y=y, method=method)
    except ValueError as error:
        return f"no law was fitted: {error}"
    report = dataclasses.replace(report, local_exponent=None)
    support = floor.support(rows, report, checked)
    shown = lead.lead(report, rows.groupby("config_id")["seed"].nunique(), support)
    return falls.sentence(report, shown, support)


def _listed(rows: pd.DataFrame, column: str) -> str:
    return ", ".join(sorted(rows[column].dropna().astype(str).unique()))
