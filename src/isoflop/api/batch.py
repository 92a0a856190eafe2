"""critical_batch: how large a batch still pays, from steps to a loss at several batch sizes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import overload

import pandas as pd

from isoflop.api import written
from isoflop.api.arguments import named_as_in_python
from isoflop.api.load import UNNAMED, Runs
from isoflop.config import ConfigError
from isoflop.curve.batch import front
from isoflop.curve.batch.result import CriticalBatch
from isoflop.curve.estimate import Estimate
from isoflop.report.text import batch_lines
from isoflop.table import formats, loss_curves
from isoflop.table.loss_curves import LossCurves


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class CriticalBatchFit:
    """Steps against examples to a loss, and the critical batch size.

    Shown in a notebook or printed, it says what `isoflop batch` does.

    Attributes:
        result: all of it (curve.batch.result.CriticalBatch).
        losses: the loss curves that it is read from.
    """

    result: CriticalBatch
    losses: LossCurves

    @property
    def critical_batch(self) -> Estimate | None:
        """The critical batch size E_min / S_min in examples, with its interval; None where it is unknown."""
        return self.result.critical_batch

    @property
    def batch_sizes(self) -> pd.DataFrame:
        """A row a batch size: batch, best lr, seeds, steps, examples, fitted_steps, efficiency, more_than (a
        lower bound where the loss was not reached) and why it is left out."""
        return pd.DataFrame([dataclasses.asdict(each) for each in self.result.batch_sizes])

    @property
    def curves(self) -> pd.DataFrame:
        """A row an evaluation: batch_size, lr, seed, steps and the loss under its own name, which
        `isoflop batch FILE` reads again where they are saved as CSV."""
        rows = [
            (curve.batch, curve.lr, curve.seed, step, loss)
            for curve in self.losses.curves
            for step, loss in zip(curve.steps.tolist(), curve.losses.tolist(), strict=True)
        ]
        names = [loss_curves.BATCH, loss_curves.LR, loss_curves.SEED, loss_curves.STEPS]
        table = pd.DataFrame(rows, columns=pd.Index([*names, self.losses.loss_name]))
        return table.sort_values(names, ignore_index=True)

    @overload
    def to_json(self) -> str: ...

    @overload
    def to_json(self, path: str | Path) -> None: ...

    def to_json(self, path: str | Path | None = None) -> str | None:
        """Return the result as JSON, the same as `isoflop batch --json` writes, or write it to a file."""
        return written.as_json(self.result, path)

    def __repr__(self) -> str:
        """What was found, in plain text."""
        fit = self.result
        lines = (*batch_lines.found(fit), *batch_lines.limits(fit), *batch_lines.left_out(fit))
        return "\n".join((batch_lines.heading(fit), *lines, *fit.warnings))


def critical_batch(
    runs: Runs,
    loss: float | None = None,
    *,
    batch: str | None = None,
    steps: str | None = None,
    y: str | None = None,
    seed: str | None = None,
    lr: str | None = None,
    where: str | None = None,
    level: float = 0.95,
) -> CriticalBatchFit:
    """Fit steps against examples to a loss: (S / S_min - 1)(E / E_min - 1) = 1 (McCandlish et al. 2018).

    Args:
        runs: the folder of a sweep over batch sizes (`sweep=batch`), or a file or data frame with one row an
            evaluation.
        loss: the target; None for the lowest that all batch sizes reach.
        batch, steps, y, seed, lr: of a file or data frame, the columns of batch size, optimizer steps, loss,
            seed and learning rate; common names (batch_size, step, val_loss) need not be given.
        where: a condition on rows, such as "width == 32".
        level: of the intervals.

    Raises:
        ValueError: one batch size, runs of several shapes, a loss that the runs do not reach or begin below,
            or a column that is missing. One line that says what to change.

    Examples:
        >>> import isoflop
        >>> fit = isoflop.critical_batch("results/batch-digits-cpu/curves.csv", 0.2)
        >>> fit.batch_sizes["batch"].tolist()
        [4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]
    """
    named = {
        loss_curves.BATCH: batch,
        loss_curves.STEPS: steps,
        loss_curves.LOSS: y,
        loss_curves.SEED: seed,
        loss_curves.LR: lr,
    }
    with named_as_in_python():
        curves = read(runs, named, where)
        return CriticalBatchFit(front.critical_batch(curves, loss, level), curves)


def read(runs: Runs, named: dict[str, str | None], where: str | None) -> LossCurves:
    """Return the loss curves of a folder, a file or a data frame. Raises as table.loss_curves."""
    if isinstance(runs, pd.DataFrame):
        return loss_curves.of_raw(formats.of_frame(runs), UNNAMED, named, where)
    path = Path(runs)
    if not path.is_dir():
        return loss_curves.of_file(path, named, where)
    given = [loss_curves.OPTIONS[what] for what, name in named.items() if name is not None]
    if given:
        raise ConfigError(f"--{given[0]} is for a table of your own: records hold it already")
    return loss_curves.of_sweep(path, where)
