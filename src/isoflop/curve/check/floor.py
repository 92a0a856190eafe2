"""Does an irreducible error stand without the points of undertrained shapes?"""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve import fit
from isoflop.curve.check.front import CheckReport
from isoflop.curve.result import Estimate, Excluded, FitReport, LawFit

FLOOR_GAIN = 0.9
FLOOR_SHARE = 0.25
"""A floor is identified if log10 RMSE shrinks at least by FLOOR_GAIN against the plain power law and the
lower end of its interval is at least FLOOR_SHARE of its value: one that all but reaches 0 shows no floor."""
LAWS = ("power_law_ols", "power_law_floor")


@dataclasses.dataclass(frozen=True)
class FloorSupport:
    """The irreducible error E and exponent b (of the plain power law) with and without undertrained shapes.

    `names` are the undertrained shapes among the points of the fit, `runs` their number of runs. What could
    not be fitted is None; if that is all of the fit without them, `reason` says why. `stands`: whether a
    floor is identified without them.
    """

    names: tuple[str, ...]
    runs: int
    floor: Estimate | None
    identified: bool
    exponent: Estimate | None
    floor_without: Estimate | None
    stands: bool
    exponent_without: Estimate | None
    reason: str | None

    @property
    def only_by_undertrained(self) -> bool:
        """Whether a floor is identified with the undertrained shapes but not without them."""
        return self.identified and not self.stands


def parameter(report: FitReport, law: str, name: str) -> Estimate | None:
    """Return a parameter of a law of the report, or None."""
    found = _law(report, law)
    return next((p for p in found.parameters if p.name == name), None) if found else None


def _law(report: FitReport, name: str) -> LawFit | None:
    return next((each for each in report.fits if each.law == name), None)


def identified(report: FitReport) -> bool:
    """Return whether the data show a floor: E's interval is clear of 0, and the law with E clearly closer."""
    floored, plain = _law(report, "power_law_floor"), _law(report, "power_law_ols")
    e = parameter(report, "power_law_floor", "E")
    if floored is None or e is None or e.interval.low is None or e.interval.high is None:
        return False
    gain = plain is None or floored.log10_rmse <= FLOOR_GAIN * plain.log10_rmse
    return e.interval.low >= FLOOR_SHARE * e.value > 0 and gain


def support(table: pd.DataFrame, report: FitReport, checked: CheckReport) -> FloorSupport | None:
    """Return what the fit says without the undertrained shapes, or None if none of them is among its points.

    The two laws are fitted again to the same rows less those, with the same resamples.
    """
    out = {entry.run_id for entry in report.excluded}
    left = tuple(entry for entry in checked.undertrained if entry.run_id not in out)
    if not left:
        return None
    used = table[~table["run_id"].isin(out)]
    names = dict.fromkeys(
        subject.name
        for found in checked.of("undertrained")
        for subject in found.subjects
        if not out.issuperset(subject.run_ids)
    )
    without, reason = _refit(used, report, left)
    return FloorSupport(
        names=tuple(names),
        runs=len(left),
        floor=parameter(report, "power_law_floor", "E"),
        identified=identified(report),
        exponent=parameter(report, "power_law_ols", "b"),
        floor_without=parameter(without, "power_law_floor", "E") if without else None,
        stands=without is not None and identified(without),
        exponent_without=parameter(without, "power_law_ols", "b") if without else None,
        reason=reason,
    )


def _refit(
    used: pd.DataFrame, report: FitReport, left: tuple[Excluded, ...]
) -> tuple[FitReport | None, str | None]:
    """Return the fit of two laws without the runs `left`, or None with the reason."""
    method = fit.Method(
        laws=LAWS,
        resamples=report.resamples,
        seed=report.bootstrap_seed,
        least_energy_grade="D",  # the rows of too low a grade are already out
        of_frontier=report.of == "frontier",
        quantile=report.quantile,
        wild=report.resampling == "wild",
        mixed=True,  # whoever made the report has accepted the mixture, or there is none
        forecast=False,
        judged=False,
        left_out=left,
    )
    try:
        return fit.fit_table(used, x=report.x, y=report.y, method=method), None
    except ValueError as error:
        return None, str(error)
