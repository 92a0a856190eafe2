"""What is said of a law that the points reject: how its exponent changes, and what to quote in its place."""

from __future__ import annotations

from isoflop.curve.result import FitReport, LackOfFit, LawFit
from isoflop.report.text.numerals import estimate, number

REJECTED = "rejected"


def rejected(fit: LawFit | None) -> bool:
    """Return whether the points reject a law: none of its parameters may then stand alone."""
    return fit is not None and fit.lack_of_fit is not None and fit.lack_of_fit.rejected


def mark(fit: LawFit) -> str:
    """Return ` (rejected)` behind the name of a rejected law, else nothing."""
    return f" ({REJECTED})" if rejected(fit) else ""


def change(misfit: LackOfFit) -> str:
    """Return how the local exponent changes along the points, with the test's probability."""
    p = "p < 0.001" if misfit.p_value <= 0.001 else f"p = {number(misfit.p_value, 2)}"
    return (
        f"the exponent is {number(misfit.exponent_low)} over the lowest third of ln x and "
        f"{number(misfit.exponent_high)} over the highest ({p}, {misfit.method})"
    )


def ahead(misfit: LackOfFit) -> str:
    """Return what the bend changes at ten times the largest x."""
    return f"{number(misfit.factor_at_10x)} times what it predicts at 10 times the largest x"


def instead(report: FitReport) -> str:
    """Return the exponent to quote of a bending curve, empty where none was averaged."""
    local = report.local_exponent
    if local is None:
        return ""
    alpha = "" if local.alpha is None else f", alpha = {estimate(local.alpha)}"
    return f"at the largest x the averaged local exponent is {estimate(local.exponent)}{alpha}"


def sentence(report: FitReport, name: str) -> str:
    """Return what is said beside the exponent of a rejected law; empty where it is not rejected."""
    fit = next((each for each in report.fits if each.law == name), None)
    if fit is None or fit.lack_of_fit is None or not rejected(fit):
        return ""
    noun = report.quantity.noun
    said = (
        f"That law is rejected: {change(fit.lack_of_fit)}, so that {noun} comes to {ahead(fit.lack_of_fit)}"
    )
    end = instead(report) if fit.paper_alpha is not None else ""
    return f"{said}; {end}." if end else f"{said}."


def rejections(report: FitReport) -> tuple[str, ...]:
    """Return a line on the rejected laws, with the power law's bend, and one on what to quote instead.

    The second only where a power law is among them: the others have no exponent to be quoted.
    """
    out = [fit for fit in report.fits if rejected(fit)]
    if not out:
        return ()
    names = ", ".join(fit.law for fit in out)
    first = next((fit for fit in out if fit.paper_alpha is not None), out[0])
    assert first.lack_of_fit is not None
    lines = [f"{REJECTED}: {names}. About {first.law} the points bend: {change(first.lack_of_fit)}"]
    lines[0] += f", {ahead(first.lack_of_fit)}"
    end = instead(report) if first.paper_alpha is not None else ""
    return (*lines, end) if end else tuple(lines)
