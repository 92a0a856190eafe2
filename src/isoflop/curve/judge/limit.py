"""The verdict of a sweep on the paper's limit: k times less error needs at least k^4 times the compute.

The limit is of root mean square error under data that grow with compute (Thompson et al. 2020, section 2:
error ~ n^-1/2, compute ~ n^2). So it is judged on the root mean square error of the predicted probabilities
(column test_rms_probability_error), or on a column of one's own whose name says that it is such an error, and
on nothing else: neither classification error nor the loss of a language model is bounded by it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

import pandas as pd

from isoflop.curve import fit
from isoflop.curve.check import chance
from isoflop.curve.check.front import CheckReport
from isoflop.curve.judge import data_growth, enough, rules
from isoflop.curve.judge.answer import Judgement, Reason, Ruling
from isoflop.curve.result import Excluded, FitReport, LawFit
from isoflop.table import axis, held_out, target
from isoflop.table.axis import Axes
from isoflop.table.grouping import distinct_scales

CLAIM = "k times less error needs at least k⁴ times the compute"
LEAST_ALPHA = 4.0
RMS = "test_rms_probability_error"
OWN_RMS = re.compile(r"(?<![a-z])(rmse|rms|root[_ ]mean[_ ]square)(?![a-z])", re.IGNORECASE)
"""A column of one's own that is a root mean square error says so in its name."""
LAW = "power_law_ols"


def outcome(rows: pd.DataFrame, y: str | None) -> str | None:
    """Return the column of root mean square error that all runs hold, or None.

    Args:
        rows: one row a run.
        y: what the rows are fitted to, where that is no column of a sweep.
    """
    for name in (RMS, y):
        if name is None or (name != RMS and not OWN_RMS.search(name)):
            continue
        if name in rows and len(rows) and rows[name].notna().all():
            return name
    return None


def judge(
    rows: pd.DataFrame,
    checked: CheckReport | None = None,
    *,
    x: str = "train_gflops",
    y: str | None = None,
    left_out: Sequence[Excluded] = (),
) -> Judgement:
    """Return the verdict of runs on the limit; a pure function, so that whoever asks gets the same.

    Runs at or near chance (check/chance.py) are no points of it. Where undertrained shapes are among the
    points, it is judged with them and without, and cannot be told where the two differ.

    Args:
        rows: one row a run, with run_id, config_id and as many columns of a sweep's table as are known.
        checked: what the checks say of them; None to judge as if none was undertrained.
        x: the column of training compute.
        y: the column that they are fitted to, of a table of one's own.
        left_out: runs that are not to be judged, such as those of --exclude.
    """
    out = {each.run_id for each in left_out}
    used = rows[~rows["run_id"].isin(out) & ~held_out.mask(rows)]
    used = used[~_near_chance(used)]
    poor = {each.run_id for each in checked.undertrained} & set(used["run_id"]) if checked else set()
    every = _judged(used, x, y)
    if not poor:
        return every
    without = _judged(used[~used["run_id"].isin(poor)], x, y)
    if without.answer == every.answer:
        return every
    reason = Reason(
        "undertrained",
        f"the answer hangs on undertrained shapes: with them it would be {every.answer!r}, without them "
        f"{without.answer!r}",
    )
    reasons = (reason, *every.reasons)
    return dataclasses.replace(every, answer="cannot be told", why=reason.sentence, reasons=reasons)


def of_axes(
    rows: pd.DataFrame,
    checked: CheckReport | None,
    names: tuple[str, str],
    described: Axes | None = None,
    left_out: Sequence[Excluded] = (),
) -> Judgement | None:
    """Return the verdict of runs that are fitted on a pair of axes.

    None where the limit does not speak of these axes: of an error, or loss, against training compute.

    Args:
        rows: one row a run.
        checked: what the checks say of them.
        names: the columns of x and y.
        described: what x and y are, of a table of one's own; None for the columns of a sweep.
        left_out: runs that are not to be judged.
    """
    x, y = names
    resource = described.x if described is not None else axis.of(x)
    quantity = described.y if described is not None else target.quantity(y)
    falls = quantity.noun in ("error", "loss") or OWN_RMS.search(y) is not None
    if not resource.is_compute or resource.a_pass or not falls:
        return None
    return judge(rows, checked, x=x, y=y, left_out=left_out)


def of_report(rows: pd.DataFrame, report: FitReport, checked: CheckReport | None) -> Judgement | None:
    """Return the verdict of the runs of a fit, without those that --exclude left out of it (of_axes)."""
    poor = {each.run_id for each in checked.undertrained} if checked else set()
    left_out = [each for each in report.excluded if each.run_id in poor]
    return of_axes(rows, checked, (report.x, report.y), report.axes, left_out)


def _judged(rows: pd.DataFrame, x: str, y: str | None) -> Judgement:
    column = outcome(rows, y)
    reasons = list(_before(rows, x, column))
    law, report = None, None
    if column is not None:
        try:
            report = _fit(rows, x, column)
            law = next((each for each in report.fits if each.law == LAW), None)
        except ValueError as error:
            reasons.append(Reason("no fit", f"nothing was fitted: {error}"))
    if law is not None:
        reasons += _of_law(law)
    exponent = next((p for p in law.parameters if p.name == "b"), None) if law else None
    alpha = law.paper_alpha if law else None
    if reasons:
        ruling = Ruling("cannot be told", reasons[0].sentence)
    else:
        assert exponent is not None
        # b at most 1/4 is alpha = 1/b of at least 4; a bound of b has no end at infinity.
        ruling = rules.of_bound(exponent.interval, 1 / LEAST_ALPHA, "at most", rules.EXPONENT)
    return Judgement(
        claim=CLAIM,
        answer=ruling.answer,
        why=ruling.why,
        reasons=tuple(reasons),
        outcome=column,
        runs=report.points if report else 0,
        configs=report.configs if report else 0,
        exponent=exponent,
        alpha=alpha,
    )


def _before(rows: pd.DataFrame, x: str, column: str | None) -> list[Reason]:
    """Return what keeps the runs from telling whatever a fit says, the most telling first."""
    reasons = [] if column is not None else [_no_outcome(rows)]
    known = rows[pd.to_numeric(rows[x], errors="coerce") > 0] if x in rows else rows.iloc[:0]
    if known.empty:
        return [*reasons, Reason("no fit", f"no run has a known {axis.of(x).name}")]
    values = known[x].astype(float)
    place = "place_id" if "place_id" in known else "config_id"
    means = known.assign(**{x: values}).groupby(place)[x].mean().to_numpy(float)
    seeds = known.groupby("config_id")["seed"].nunique() if "seed" in known else pd.Series([0])
    reasons += enough.reasons(
        math.log10(float(values.max() / values.min())),
        int(known["config_id"].nunique()),
        int(distinct_scales(means).max()) + 1,
        int(seeds.max()),
        resource=axis.of(x).name,
    )
    fixed = data_growth.reason(known, x)
    return reasons if fixed is None else [*reasons, fixed]


def _no_outcome(rows: pd.DataFrame) -> Reason:
    if not rows.empty and target.of(rows).domain == target.TEXT:
        return Reason("outcome", "the limit is of root mean square error, and the loss of text is none")
    some = RMS in rows and rows[RMS].notna().any()
    held = "only some of these runs hold" if some else "these runs hold no"
    end = "one (a Brier score)" if some else "Brier score to take it from"
    return Reason("outcome", f"the limit is of root mean square error, and {held} {end}")


def _fit(rows: pd.DataFrame, x: str, y: str) -> FitReport:
    method = fit.Method(laws=(LAW,), forecast=False, mixed=True, least_energy_grade="D")
    return fit.fit_table(rows, x=x, y=y, method=method)


def _of_law(law: LawFit) -> list[Reason]:
    """Return why the exponent of a fitted law cannot be judged."""
    b = next(p for p in law.parameters if p.name == "b")
    if b.interval.low is None and b.interval.high is None:
        return [Reason("no interval", "too few configurations for an interval of the exponent")]
    if b.interval.low is None or b.interval.low <= 0:
        return [Reason("no fall", "no fall with compute is established: the interval of b reaches 0")]
    if law.lack_of_fit is not None and law.lack_of_fit.rejected:
        bend = law.lack_of_fit
        ends = f"{bend.exponent_low:.3g} over the lowest third to {bend.exponent_high:.3g} over the highest"
        sentence = f"the power law is rejected: its exponent goes from {ends} (p = {bend.p_value:.2g})"
        return [Reason("law rejected", sentence)]
    return []


def _near_chance(rows: pd.DataFrame) -> pd.Series[bool]:
    """Return which runs have learnt too little to lie on a power law."""
    if "test_error" not in rows or "chance_error" not in rows:
        return pd.Series(False, index=rows.index)
    error, guess = (pd.to_numeric(rows[name], errors="coerce") for name in ("test_error", "chance_error"))
    return error > (1 - chance.LEARNED) * guess
