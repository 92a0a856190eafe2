"""What a lower error would cost: GFLOPs, CO2 and dollars under both forms, and how far the forms disagree.

Sources of a line: the paper's own table, published models (compute of one pass), and sweeps measured
here (training compute). Targets beyond the data are extrapolations of many orders of magnitude; that the
two forms disagree by as much is the finding, not a detail.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from isoflop.curve import reach
from isoflop.curve.result import FitFile, FitReport, Interval
from isoflop.paper import facts, forms, hindsight_facts, regression
from isoflop.paper.published import PublishedResult

TARGETS = (0.05, 0.01)
TRUNCATED = "truncation of the table to whole powers of ten"


@dataclasses.dataclass(frozen=True)
class Conversion:
    """FLOPs per pound of CO2 and per dollar, as they are taken, with the ends of their range.

    `flops_per_pound_range` and `flops_per_dollar_range` are what the choices inside may be varied to, not
    confidence intervals.
    """

    name: str
    flops_per_pound: float
    flops_per_pound_range: tuple[float, float]
    flops_per_dollar: float
    flops_per_dollar_range: tuple[float, float]
    source: str


@dataclasses.dataclass(frozen=True)
class Bill:
    """One target under one form. All amounts are log10: of training GFLOPs, pounds of CO2 and dollars.

    `log10_gflops` is None with the reason where the line never reaches the target; its `interval` is 95%
    where `interval_of` says of what, else None.
    """

    source: str
    error: float
    form: str
    per: str
    log10_gflops: float | None
    interval: Interval | None
    interval_of: str | None
    log10_pounds_paper: float | None
    log10_dollars_paper: float | None
    log10_pounds_today: float | None
    log10_dollars_today: float | None
    reason: str | None
    mark: str


@dataclasses.dataclass(frozen=True)
class Slope:
    """What the paper's own table implies for one benchmark, from its first and last row: alpha of the
    polynomial form, with the ends that truncation to whole powers of ten allows; the alpha of the authors'
    points with their number, and what the authors' articles quote, None where they quote none."""

    benchmark: str
    first_error: float
    last_error: float
    alpha: float
    alpha_range: tuple[float, float]
    alpha_of_points: float
    points: int
    alpha_quoted: float | None


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """Orders of magnitude by which the exponential's bill exceeds the polynomial's."""

    source: str
    error: float
    orders: float | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class ImplicationsResult:
    """Bills by source, target and form; the conversions; what the paper's table implies; equivalents."""

    conversions: tuple[Conversion, ...]
    slopes: tuple[Slope, ...]
    bills: tuple[Bill, ...]
    disagreements: tuple[Disagreement, ...]
    equivalents: tuple[facts.Equivalent, ...]
    notes: tuple[str, ...]


PAPER = Conversion(
    name="the paper's (2020)",
    flops_per_pound=facts.FLOPS_PER_POUND_CO2,
    flops_per_pound_range=(facts.FLOPS_PER_POUND_CO2 / 1.5, facts.FLOPS_PER_POUND_CO2 * 1.5),
    flops_per_dollar=facts.FLOPS_PER_DOLLAR,
    flops_per_dollar_range=facts.FLOPS_PER_DOLLAR_RANGE,
    source="derived from the paper's extrapolation table, which is recalled; good to a factor of about 1.5",
)


def today(
    peak_flops_per_second: float,
    *,
    dollars_per_gpu_hour: float,
    grams_co2_per_kwh: float,
    pue: float,
    source: str,
    gpu: facts.ReferenceGpu = facts.TODAY,
) -> Conversion:
    """Return the conversion that follows from a GPU, a price and a grid.

    FLOPs a dollar = peak x share x 3600 / price; FLOPs a pound = peak x share / (watts x PUE) x 3.6e6 x
    453.6 / g.

    Args:
        peak_flops_per_second: dense peak of the GPU.
        dollars_per_gpu_hour: price.
        grams_co2_per_kwh: of the grid.
        pue: power usage effectiveness of the building.
        source: of these numbers, for the page.
        gpu: its board power and the share of the peak that training reaches.
    """

    def at(share: float) -> tuple[float, float]:
        rate = peak_flops_per_second * share
        pound = rate / (gpu.board_watts * pue) * 3.6e6 * facts.GRAMS_PER_POUND / grams_co2_per_kwh
        return pound, rate * 3600 / dollars_per_gpu_hour

    ends = [at(share) for share in gpu.share_range]
    pound, dollar = at(gpu.share)
    return Conversion(
        name="today's",
        flops_per_pound=pound,
        flops_per_pound_range=(ends[0][0], ends[1][0]),
        flops_per_dollar=dollar,
        flops_per_dollar_range=(ends[0][1], ends[1][1]),
        source=source,
    )


def analyse(
    today_: Conversion,
    published: PublishedResult | None,
    sweeps: Sequence[tuple[str, FitFile]] = (),
    targets: Sequence[float] = TARGETS,
) -> ImplicationsResult:
    """Return bills for the paper's benchmarks, for `published` models and for sweeps and tables (name, fits).

    Raises:
        ValueError: a target is not a share between 0 and 1, or a fit file holds no error against training
        compute.
    """
    for target in targets:
        if not 0 < target < 1:
            raise ValueError(f"target {target:g}: an error is a share between 0 and 1, such as 0.05 for 5%")
    # The user's own rows come first: they are what the command was asked for.
    bills = [bill for name, fits in sweeps for bill in _bills_of_fits(name, fits, targets, today_)]
    bills += _paper_bills(today_)
    if published is not None:
        bills += _published_bills(published, targets, today_)
    return ImplicationsResult(
        conversions=(PAPER, today_),
        slopes=tuple(_slope(name) for name in facts.BENCHMARKS),
        bills=tuple(bills),
        disagreements=_disagreements(bills),
        equivalents=facts.EQUIVALENTS,
        notes=_notes(published),
    )


def _slope(benchmark: str) -> Slope:
    """Return the slope between the first and the last row of a benchmark, each truncated to a power of ten.

    alpha = (log10 C2 - log10 C1) / log10(e1 / e2); each log10 C lies in [k, k + 1), so their difference lies
    within 1 of that of the whole numbers.
    """
    rows = [c for c in facts.TABLE if c.benchmark == benchmark]
    first, last = rows[0], rows[-1]
    rise, fall = last.polynomial[0] - first.polynomial[0], math.log10(first.error / last.error)
    return Slope(
        benchmark=benchmark,
        first_error=first.error,
        last_error=last.error,
        alpha=rise / fall,
        alpha_range=((rise - 1) / fall, (rise + 1) / fall),
        alpha_of_points=facts.HARDWARE_ALPHA[benchmark],
        points=hindsight_facts.LINES[benchmark].points,
        alpha_quoted=facts.QUOTED_ALPHA.get(benchmark),
    )


def _paper_bills(today_: Conversion) -> list[Bill]:
    """Return the bills of the paper's table as printed, with today's amounts from its GFLOPs.

    A power of ten of the table is the least that it stands for, and so are the amounts.
    """
    bills = []
    for target in facts.TABLE:
        for form, (gflops, pounds, dollars) in (
            ("polynomial", target.polynomial),
            ("exponential", target.exponential),
        ):
            made = _bill(f"paper: {target.benchmark}", target.error, form, "training", float(gflops), today_)
            bills.append(
                dataclasses.replace(
                    made,
                    interval=facts.truncated(gflops),
                    interval_of=TRUNCATED,
                    log10_pounds_paper=float(pounds),
                    log10_dollars_paper=float(dollars),
                    mark=facts.TABLE_MARK,
                )
            )
    return bills


def _published_bills(result: PublishedResult, targets: Sequence[float], today_: Conversion) -> list[Bill]:
    """Return bills that turn the compute of one pass into a usual training: x 3 x 90 epochs x 1.28 M images.

    Raises:
        ValueError: the result's compute is not forward_gflops.
    """
    if result.compute_name != "forward_gflops":
        raise ValueError(f"{result.source}: bills need forward_gflops, not {result.compute_name}")
    models = result.models
    x, error = np.log10(np.array(models.compute)), np.array(models.error)
    weights = regression.cluster_weights(
        models.families, result.resamples, np.random.default_rng(result.seed)
    )
    training = math.log10(facts.PASSES_PER_EXAMPLE * facts.EPOCHS * facts.IMAGENET_TRAIN_IMAGES)
    bills = []
    for form in forms.FORMS:
        lines = regression.least_squares(x, forms.scale(form, error), weights)
        for target in targets:
            draws = training + forms.log10_compute(form, lines.intercept, lines.slope, target)
            made = _bill(
                f"models: {result.source}", target, form, "training, assumed", float(draws[0]), today_
            )
            bounds = regression.interval(draws[1:], result.families)
            bills.append(
                dataclasses.replace(
                    made, interval=bounds, interval_of=f"95%, resampling {result.families} families"
                )
            )
    return bills


def _bills_of_fits(name: str, fits: FitFile, targets: Sequence[float], today_: Conversion) -> list[Bill]:
    """Return the bills of a sweep, or of a table of the user's own, whose report says what its axes are."""
    report = next(
        (r for r in fits.reports if r.axes is not None or (r.x, r.y) == ("train_gflops", "test_error")), None
    )
    if report is None:
        raise ValueError(
            f"{name}: its fit.json has no test_error against train_gflops: run isoflop fit --save on it"
        )
    if report.quantity.noun != "error":
        raise ValueError(f"{name}: {report.y} is no error: a bill is of errors, as fractions or per cent")
    if report.resource.flops is None:
        raise ValueError(f"{name}: {report.x} is in no unit of compute: say --x-unit")
    return [_bill_of_fit(name, report, form, target, today_) for form in forms.FORMS for target in targets]


def _bill_of_fit(name: str, report: FitReport, form: str, target: float, today_: Conversion) -> Bill:
    """Return a law's bill as the page and `isoflop forecast` have it (curve.reach.of_law): none below an
    irreducible error that the points show."""
    source = f"{'sweep' if report.axes is None else 'models'}: {name}"
    axis = report.resource
    per = "one pass" if axis.a_pass else "training" if axis.of_training else "as counted"
    law = next((f for f in report.fits if f.law == forms.LAW_OF_FORM[form]), None)
    found = reach.of_law(report, law, target) if law is not None else None
    if found is None or found.log10_x is None or axis.flops is None:
        made = _bill(source, target, form, per, math.inf, today_)
        return dataclasses.replace(made, reason=found.reason if found is not None else made.reason)
    to_gflops = math.log10(axis.flops) - 9
    made = _bill(source, target, form, per, found.log10_x + to_gflops, today_)
    if axis.a_pass:  # dollars and CO2 of one pass would be mistaken for those of a training
        made = dataclasses.replace(
            made,
            log10_pounds_paper=None,
            log10_dollars_paper=None,
            log10_pounds_today=None,
            log10_dollars_today=None,
        )
    ends = found.interval or Interval(None, None)
    low, high = (None if end is None else end + to_gflops for end in (ends.low, ends.high))
    return dataclasses.replace(
        made,
        interval=Interval(low, high),
        interval_of="ends of the 95% intervals of slope and height together: wider than 95%",
    )


def _bill(source: str, error: float, form: str, per: str, log10_gflops: float, today_: Conversion) -> Bill:
    known = reach.finite(log10_gflops)

    def amount(flops_per: float) -> float | None:
        return None if known is None else known + 9 - math.log10(flops_per)

    return Bill(
        source=source,
        error=error,
        form=form,
        per=per,
        log10_gflops=known,
        interval=None,
        interval_of=None,
        log10_pounds_paper=amount(PAPER.flops_per_pound),
        log10_dollars_paper=amount(PAPER.flops_per_dollar),
        log10_pounds_today=amount(today_.flops_per_pound),
        log10_dollars_today=amount(today_.flops_per_dollar),
        reason=None
        if known is not None
        else "the line does not reach this error at any compute below 10^400",
        mark="D",
    )


def _disagreements(bills: Sequence[Bill]) -> tuple[Disagreement, ...]:
    disagreements = []
    for bill in bills:
        if bill.form != "polynomial":
            continue
        other = next(
            b for b in bills if (b.source, b.error, b.form) == (bill.source, bill.error, "exponential")
        )
        if bill.log10_gflops is None or other.log10_gflops is None:
            reason = bill.reason or other.reason
            disagreements.append(Disagreement(bill.source, bill.error, None, reason))
        else:
            disagreements.append(
                Disagreement(bill.source, bill.error, other.log10_gflops - bill.log10_gflops, None)
            )
    return tuple(disagreements)


def _notes(published: PublishedResult | None) -> tuple[str, ...]:
    notes = [
        "The paper's GFLOPs are of training, through the hardware burden: processors x peak rate x time.",
    ]
    if published is not None:
        notes.append(
            "Published models give the compute of one pass, which is not training compute. Their bills "
            f"assume one usual training: {facts.EPOCHS} epochs of ImageNet's {facts.IMAGENET_TRAIN_IMAGES:,} "
            f"images, {facts.PASSES_PER_EXAMPLE} passes' worth an example. No search and no failed run is "
            f"counted."
        )
    return tuple(notes)


def equivalents(log10_pounds: float | None, log10_dollars: float | None) -> tuple[tuple[str, float], ...]:
    """Return (name in the plural, log10 of how many) of each equivalent whose unit has a known amount."""
    counts = []
    for each in facts.EQUIVALENTS:
        amount = log10_pounds if each.unit == "pounds of CO2" else log10_dollars
        if amount is not None:
            counts.append((each.many, amount - math.log10(each.amount)))
    return tuple(counts)
