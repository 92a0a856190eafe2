"""The part of `forecast` that asks about GPUs: prices apart, the efficiency at N, and the answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from isoflop.config import ConfigError, costs, ways
from isoflop.config.costs import Prices
from isoflop.config.ways import Ways
from isoflop.curve.result import FitReport
from isoflop.parallel import links
from isoflop.plan import deadline as deadlines
from isoflop.plan import efficiency_measured, firm, firm_prices
from isoflop.plan.budget import Budget
from isoflop.plan.costing import Costing
from isoflop.plan.efficiency import EfficiencyAt, taken_as_one
from isoflop.plan.efficiency_predicted import Predictor
from isoflop.plan.firm_case import Limits
from isoflop.plan.firm_setting import Setting
from isoflop.plan.result import CostForecast
from isoflop.plan.sizes import GFLOPS
from isoflop.record import parallel


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked about GPUs.

    Attributes:
        gpus: numbers of GPUs, increasing.
        budgets: limits of the answer.
        deadline: of training, as people write it; None without one.
        link: between the GPUs; None where it is not known.
    """

    gpus: tuple[int, ...]
    budgets: tuple[Budget, ...]
    deadline: str | None
    link: str | None


def prices_of(names: Sequence[str] | None, gpus: Sequence[int]) -> Prices | Ways | None:
    """Return sets of prices, of a question about GPUs with those that are bought apart; None without any.

    Raises:
        ConfigError: as costs.load.
    """
    if not names:
        return None
    return ways.load(names) if gpus else costs.load(names)


def answered(
    made: CostForecast,
    report: FitReport,
    costing: Costing,
    prices: Ways,
    question: Question,
    table: pd.DataFrame,
) -> CostForecast:
    """Return the forecast with the answer about GPUs of each target.

    Args:
        made: the forecast of targets and budgets.
        report: the fit.
        costing: what a compute takes.
        prices: of GPUs rented and bought.
        question: what is asked.
        table: the runs under the names of a sweep's columns, with GFLOPS.

    Raises:
        ConfigError: as plan.firm.answer, or a link without a size of the batch.
    """
    deadline = None if question.deadline is None else deadlines.parse(question.deadline)
    limits = Limits(question.budgets, deadline)
    efficiency_at = _efficiency_at(costing, table, made.source, question.link)
    setting = Setting(costing, prices, question.gpus, limits, efficiency_at)
    answers = tuple(firm.answer(report, target, setting) for target in made.targets)
    warnings = (*made.warnings, *firm_prices.warnings(prices, made.device))
    return dataclasses.replace(made, firm=answers, warnings=warnings)


def _efficiency_at(costing: Costing, table: pd.DataFrame, source: str, link: str | None) -> EfficiencyAt:
    """Return the efficiency at N: predicted over a link that was named, else as measured in the sweep's
    folder (DIR/parallel), else taken as 1."""
    if link is None:
        records = parallel.read_all(Path(source)) if Path(source).is_dir() else ()
        return efficiency_measured.measured(records) or taken_as_one
    batches = table["batch_size"].dropna() if "batch_size" in table else pd.Series(dtype=float)
    if batches.empty:
        raise ConfigError(f"--link {link}: no column batch_size says what the GPUs share")
    largest = table.loc[batches.index].sort_values(GFLOPS).iloc[-1]
    window = largest.get("context")
    row_size = int(window) if window is not None and pd.notna(window) else 1
    return Predictor(costing.sizes, costing.rates, links.find(link), int(largest["batch_size"]), row_size)
