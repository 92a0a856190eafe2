"""forecast: what a target costs and what a budget buys, of a data frame, a file or a sweep's folder."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import pandas as pd

from isoflop.api import firm, rows
from isoflop.api.arguments import check_resamples, joined, named_as_in_python
from isoflop.api.costed import Costed
from isoflop.api.device_rate import DTYPE, named_gpu
from isoflop.api.load import Runs, rows_of
from isoflop.api.reach import is_price
from isoflop.api.rows import Choice, Rows
from isoflop.config import ConfigError
from isoflop.config.costs import Prices
from isoflop.config.ways import Ways
from isoflop.curve import reach
from isoflop.curve.check import front
from isoflop.curve.fit import Method
from isoflop.curve.laws import LAWS
from isoflop.meter.device import peaks
from isoflop.parallel import links
from isoflop.plan import budget as budgets
from isoflop.plan import deadline as deadlines
from isoflop.plan import firm_prices, make, rates
from isoflop.plan import rows as plan_rows
from isoflop.plan.budget import Budget
from isoflop.plan.costing import Costing
from isoflop.plan.make import Question
from isoflop.plan.rates import OtherDevice, Rates
from isoflop.plan.result import CostForecast
from isoflop.plan.sizes import Sizes, sizes
from isoflop.table import axis, target

RESAMPLES = 400
"""Of the bootstrap, by default: fewer than of `fit`, whose parameters need more than where curves cross."""


@dataclasses.dataclass(frozen=True)
class Ask:
    """What is asked of a curve, as it was given; None for what was not.

    Attributes:
        error, loss: targets of y: errors as fractions, or losses in the unit of y.
        budget: as people write them (plan.budget).
        device: part of a device's name.
        queries_per_day: examples that the trained model answers.
        gpu_tflops, gpu_watts: what one GPU sustains, instead of what the runs measured.
        gpus: numbers of GPUs to train on, increasing: who has no data centre (plan.firm).
        deadline: of training, as people write it (plan.deadline).
        link: between the GPUs (parallel.links), by which their efficiency is predicted.
    """

    error: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()
    budget: tuple[str, ...] = ()
    device: str | None = None
    queries_per_day: float | None = None
    gpu_tflops: float | None = None
    gpu_watts: float | None = None
    gpus: tuple[int, ...] = ()
    deadline: str | None = None
    link: str | None = None

    def check(self) -> tuple[Budget, ...]:
        """Return the budgets, after refusing what cannot be before anything is read.

        Raises:
            ConfigError: a number that is not above 0, an error of 1 or more, both errors and losses, a
                budget that cannot be read, or numbers of GPUs that do not increase or have no target.
        """
        self._check_gpus()
        if self.error and self.loss:
            raise ConfigError("--error and --loss: a curve is of one of them: give one, and ask twice")
        numbers = [("error", v) for v in self.error] + [("loss", v) for v in self.loss]
        for name in ("queries_per_day", "gpu_tflops", "gpu_watts"):
            if (value := getattr(self, name)) is not None:
                numbers.append((name, value))
        for name, value in numbers:
            if not 0 < value < math.inf:
                raise ConfigError(f"--{name.replace('_', '-')} {value:g}: give a number above 0")
        for value in self.error:
            if value >= 1:
                raise ConfigError(
                    f"--error {value:g}: an error is a fraction below 1, such as {value / 100:g}"
                )
        if self.gpu_watts is not None and self.gpu_tflops is None:
            raise ConfigError("--gpu-watts needs --gpu-tflops: watts are joules only over the hours it takes")
        return tuple(map(budgets.parse, self.budget))

    def _check_gpus(self) -> None:
        text = ",".join(map(str, self.gpus))
        if self.gpus and not (self.error or self.loss):
            raise ConfigError(f"--gpus {text}: say what is to be reached: --error V or --loss V")
        if any(gpus < 1 for gpus in self.gpus):
            raise ConfigError(f"--gpus {text}: give numbers of at least 1, such as 1,4,16")
        if any(a >= b for a, b in itertools.pairwise(self.gpus)):
            raise ConfigError(f"--gpus {text}: give numbers that increase, such as 1,4,16")
        if self.deadline is not None:
            deadlines.parse(self.deadline)
        if self.link is not None:
            links.find(self.link)
        for name in ("deadline", "link"):
            if getattr(self, name) is not None and not self.gpus:
                raise ConfigError(f"--{name} needs --gpus, such as --gpus 1,4,16")


def y_of(ask: Ask, runs: pd.DataFrame, y: str | None) -> str | None:
    """Return the column of y: as named, else that of a sweep which --loss asks for; None for the default."""
    if y is None and ask.loss and target.of(runs).quantity.noun != "loss":
        return target.TEST_LOSS.column
    return y


def make_forecast(
    chosen: Rows, source: str, method: Method, ask: Ask, prices_: Prices | Ways | None
) -> CostForecast:
    """Return the forecast of costs of rows: what the command line and `isoflop.forecast` share.

    Args:
        chosen: the rows, with one pair of axes.
        source: as the result names it.
        method: of the fit.
        ask: what is asked; with neither target nor budget, the next round values of y.
        prices_: for dollars and CO2; of numbers of GPUs with those that are bought apart (firm.prices_of).

    Raises:
        ValueError: x is no training compute in a known unit, y is not what is asked for, a target at or above
            chance, no such device, or as rows.fit and plan.make.
    """
    wanted = ask.check()
    assert chosen.axes is not None
    x, y = chosen.axes
    described = axis.of(x) if chosen.described is None else chosen.described.x
    quantity = target.quantity(y) if chosen.described is None else chosen.described.y
    check_axes(described, quantity.noun, x, y, ask)
    check_chance(chosen, method, ask)
    fits = rows.fit(chosen, dataclasses.replace(method, beyond=make.BEYOND, tested=False), source=source)
    report = fits.reports[0]
    table = plan_rows.prepared(chosen.checked, chosen.table, report)
    of_size = sizes(plan_rows.fitted(table, report), report)
    rated = rates_of(table, of_size, ask, report.level)
    ways = None
    if ask.gpus:
        ways = prices_ if isinstance(prices_, Ways) else firm_prices.of_device(rated.device)
        prices_ = firm_prices.one(ways)
    assert not isinstance(prices_, Ways)
    costing = Costing(of_size, rated, prices_, ask.queries_per_day)
    targets = ask.error or ask.loss
    if not targets and not wanted:
        targets = reach.round_targets(reach.end_of(report))
    made = make.forecast(source, report, front.check(chosen.checked), costing, Question(targets, wanted))
    made = dataclasses.replace(made, notes=(*chosen.of_levers, *made.notes))
    if ways is None:
        return made
    question = firm.Question(ask.gpus, wanted, ask.deadline, ask.link)
    return firm.answered(made, report, costing, ways, question, table)


def check_axes(described: axis.Axis, noun: str, x: str, y: str, ask: Ask) -> None:
    """Raise ConfigError unless x is training compute in a known unit, and y what is asked for."""
    if is_price(x) or (described.flops is None and not described.is_compute):
        raise ConfigError(f"--x {x}: costs are forecast against training compute: give a column of FLOPs")
    if described.flops is None:
        raise ConfigError(f"{x} is in no known unit of compute: say --x-unit, such as FLOP or PFLOP/s-days")
    if described.a_pass:
        raise ConfigError(
            f"{x} is the compute of one pass, not of training: give training compute, such as "
            "--x '3.46e8 * gmacs' --x-unit GMAC --x-label 'training compute'"
        )
    asked = "error" if ask.error else "loss" if ask.loss else None
    if asked is not None and asked != noun and (asked == "error" or noun == "error"):
        other = "loss" if asked == "error" else "error"
        raise ConfigError(f"--{asked}: {y} is no {asked}: say --{other}, or --y COLUMN --y-unit UNIT")


def check_chance(chosen: Rows, method: Method, ask: Ask) -> None:
    """Refuse errors at or above that of guessing, which a curve begins with."""
    known = method.chance
    if known is None and "chance_error" in chosen.table:
        values = set(chosen.table["chance_error"].dropna())
        known = max(values) if values else None
    for value in ask.error:
        if known is not None and value >= known:
            raise ConfigError(f"--error {value:g}: guessing has an error of {known:.4g}: give one below it")


def rates_of(table: pd.DataFrame, of_size: Sizes, ask: Ask, level: float) -> Rates:
    """Return rates as given, of the runs' device, or of another one."""
    if ask.gpu_tflops is not None:
        return rates.chosen(ask.gpu_tflops * 1e3, ask.gpu_watts, ask.device)
    most = plan_rows.most_used(table)
    if ask.device is None:
        return rates.measured(plan_rows.on_device(table, most), of_size, most, level)
    named = table["device"].dropna().astype(str) if "device" in table else ()
    matching = [name for name in dict.fromkeys(named) if ask.device.lower() in name.lower()]
    timed = [name for name in matching if table.loc[table["device"] == name, "device_seconds"].notna().any()]
    if timed:
        return rates.measured(plan_rows.on_device(table, timed[0]), of_size, timed[0], level)
    other = device_by_peak(ask.device, table)
    return rates.on_other(plan_rows.on_device(table, most), of_size, other, level)


def device_by_peak(name: str, table: pd.DataFrame) -> OtherDevice:
    """Return the device of the table of peaks whose name begins so, in the runs' precision."""
    found, row = named_gpu(name, "no run was on it, and its")
    said = table["precision"].dropna() if "precision" in table else pd.Series(dtype=str)
    dtype = str(said.iloc[0]) if len(said) and str(said.iloc[0]) in peaks.DTYPES else DTYPE
    tflops = row.rate(dtype)
    if tflops is None:
        raise ConfigError(f"--device {name}: {found} has no {dtype}, in which the runs trained: give another")
    return OtherDevice(f"{found} in {dtype}", tflops * 1e12)


def forecast(
    runs: Runs,
    *,
    error: float | Sequence[float] | None = None,
    loss: float | Sequence[float] | None = None,
    budget: str | Sequence[str] | None = None,
    device: str | None = None,
    queries_per_day: float | None = None,
    gpu_tflops: float | None = None,
    gpu_watts: float | None = None,
    gpus: int | Sequence[int] | None = None,
    deadline: str | None = None,
    link: str | None = None,
    cost: str | Sequence[str] | None = None,
    x: str | None = None,
    y: str | None = None,
    x_unit: str | None = None,
    y_unit: str | None = None,
    x_label: str | None = None,
    y_label: str | None = None,
    group: str | Sequence[str] | None = None,
    seed: str | None = None,
    counts: float | str | None = None,
    chance: float | None = None,
    where: str | None = None,
    laws: str | Sequence[str] | None = None,
    mixed: bool = False,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed_of_resamples: int = 0,
) -> Costed:
    """Forecast what an error costs, and which error a budget buys, under every law and their average.

    The numbers are those of `isoflop forecast` with the options of these names. Nothing is printed or
    written.

    Args:
        runs: a data frame with one row a run, or the path of a file or of a sweep's folder (`load`).
        error: errors to be reached, as fractions.
        loss: losses to be reached, in the unit of y; of a sweep on images then of test_loss.
        budget: such as "20gpuh", "1e9gflops", "500usd", "10kwh" or "3kgco2".
        device: part of a device's name, by default that of most runs. Of one on which nothing was measured,
            its peak rate times the share that the runs reached.
        queries_per_day: examples that the trained model answers: inference is then costed apart.
        gpu_tflops, gpu_watts: what one GPU sustains, instead of what the runs measured.
        gpus: numbers of GPUs to train on, increasing, such as (1, 4, 16): whether the target is reachable
            with them, by when, rented or bought (`result.firm`). Without `cost` the shipped prices of the
            device are taken, which is said.
        deadline: of training on them, such as "30d".
        link: between them, such as "nvlink4" or "12GB/s,20us", by which their efficiency is predicted;
            without it that of `isoflop parallel` where the sweep's folder holds its records, else 1.
        cost: sets of prices, such as "us_2023", or YAML files: for dollars and CO2.
        x, y, x_unit, y_unit, x_label, y_label, group, seed, counts, chance, where, laws, mixed, level: as
            `isoflop.fit`; x is training compute.
        resamples: of the bootstrap, at least 100.
        seed_of_resamples: their seed.

    Raises:
        ValueError: as `isoflop.fit`; a target of 0 or above chance; a budget of 0, in an unknown unit or a
            currency, that no price or rate turns into compute, or that buys no run; no such device; numbers
            of GPUs that do not increase, or without a target.

    Examples:
        >>> import isoflop
        >>> made = isoflop.forecast("results/digits-cpu", error=0.05, resamples=100)
        >>> [each.target for each in made.result.targets]
        [0.05]
    """
    ask = Ask(_tuple(error), _tuple(loss), _texts(budget), device, queries_per_day, gpu_tflops, gpu_watts)
    ask = dataclasses.replace(ask, gpus=_counts(gpus), deadline=deadline, link=link)
    with named_as_in_python():
        check_resamples(resamples)
        ask.check()
        chosen_prices = firm.prices_of(_texts(cost), ask.gpus)
        choice = Choice(
            *(x, y, joined(group), seed, counts, chance, where),
            x_unit=x_unit,
            y_unit=y_unit,
            x_label=x_label,
            y_label=y_label,
        )
        names = laws.split(",") if isinstance(laws, str) else tuple(LAWS) if laws is None else laws
        method = Method(
            laws=tuple(name.strip() for name in names),
            resamples=resamples,
            seed=seed_of_resamples,
            level=level,
            chance=chance,
            mixed=mixed,
        )
        method.check()
        chosen, origin = rows_of(runs, choice, custom=True)
        if chosen.own is None and (again := y_of(ask, chosen.table, y)) != y:
            chosen, origin = rows_of(runs, dataclasses.replace(choice, y=again), custom=True)
        independent = origin.folder or group is not None or seed is not None
        method = dataclasses.replace(method, independent=independent)
        return Costed(make_forecast(chosen, origin.source, method, ask, chosen_prices))


def _tuple(given: float | Sequence[float] | None) -> tuple[float, ...]:
    if given is None:
        return ()
    return (float(given),) if isinstance(given, (int, float)) else tuple(map(float, given))


def _counts(given: int | Sequence[int] | None) -> tuple[int, ...]:
    if given is None:
        return ()
    return (int(given),) if isinstance(given, int) else tuple(map(int, given))


def _texts(given: str | Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)
