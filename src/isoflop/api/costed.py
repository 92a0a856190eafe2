"""Costed: what forecast returns. Costs and reaches as data frames, JSON, a short text."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import overload

import pandas as pd

from isoflop.api import written
from isoflop.api.arguments import in_python
from isoflop.plan import text
from isoflop.plan.amount import Amount
from isoflop.plan.result import CostForecast, Inference, Training

_TRAINING = tuple(each.name for each in dataclasses.fields(Training))
_INFERENCE = tuple(each.name for each in dataclasses.fields(Inference))


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Costed:
    """What targets cost and what budgets buy, under every law and their average (the law `forecast`).

    Attributes:
        result: everything, as `isoflop forecast --json` writes it (plan.result.CostForecast).
    """

    result: CostForecast

    @property
    def costs(self) -> pd.DataFrame:
        """One row a target, law and amount: target, law, rejected, amount, value, low, high, reason."""
        return _frame(
            "target",
            [
                (each.target, cost.law, cost.rejected, name, amount)
                for each in self.result.targets
                for cost in each.costs
                for name, amount in _amounts(cost.training, cost.inference)
            ],
        )

    @property
    def reaches(self) -> pd.DataFrame:
        """One row a budget and law, as `costs`, amount being the column of y; then what the training that is
        bought takes, whose law is empty."""
        made: list[tuple[object, str, bool, str, Amount]] = []
        for each in self.result.budgets:
            made += [(each.budget, of.law, of.rejected, self.result.y, of.y) for of in each.reaches]
            made += [(each.budget, "", False, *pair) for pair in _amounts(each.training, each.inference)]
        return _frame("budget", made)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before any number, of the runs and of each target and budget."""
        asked = [line for target in self.result.targets for line in target.warnings]
        asked += [line for budget in self.result.budgets for line in budget.warnings]
        return tuple(map(in_python, (*self.result.warnings, *asked)))

    @overload
    def to_json(self) -> str: ...

    @overload
    def to_json(self, path: str | Path) -> None: ...

    def to_json(self, path: str | Path | None = None) -> str | None:
        """Return the result as JSON, the same as `isoflop forecast --json` writes, or write it to a file."""
        return written.as_json(self.result, path)

    def __repr__(self) -> str:
        """What `isoflop forecast` prints, in plain text."""
        return in_python("\n".join(text.lines(self.result)))


def _amounts(training: Training, inference: Inference | None) -> list[tuple[str, Amount]]:
    found = [(name, getattr(training, name)) for name in _TRAINING]
    if inference is not None:
        found += [(name, getattr(inference, name)) for name in _INFERENCE]
    return found


def _frame(asked: str, made: list[tuple[object, str, bool, str, Amount]]) -> pd.DataFrame:
    names = (asked, "law", "rejected", "amount", "value", "low", "high", "reason")
    each = [(*row[:4], row[4].value, row[4].low, row[4].high, row[4].reason) for row in made]
    frame = pd.DataFrame(each, columns=pd.Index(names))
    return frame.astype({"value": float, "low": float, "high": float})
