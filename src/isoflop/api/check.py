"""check: is this sweep valid? Its points are checked before anything is fitted to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import pandas as pd

from isoflop.api import shown, written
from isoflop.api.arguments import joined, named_as_in_python, prices
from isoflop.api.load import Runs, rows_of
from isoflop.api.rows import Choice
from isoflop.curve.check import front, sweep_files
from isoflop.curve.check.front import CheckReport, title
from isoflop.curve.judge import limit
from isoflop.curve.judge.answer import Judgement
from isoflop.curve.result import Excluded
from isoflop.report.text import check_lines


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Check:
    """What the checks of a table of runs found.

    Shown in a notebook or printed, it says what was found and what to do about it.

    Attributes:
        result: every check with its findings (curve.check.front.CheckReport).
        verdict: of the runs on the paper's limit (curve.judge.limit); None where it does not speak of x and
            y.
        notes: about the table.
        excluded: its rows that are not checked, each with its reason.
    """

    result: CheckReport
    verdict: Judgement | None = None
    notes: tuple[str, ...] = ()
    excluded: tuple[Excluded, ...] = ()

    @property
    def findings(self) -> pd.DataFrame:
        """What was found, worst first: severity (fault, warning or note), check, sentence, what_to_do,
        run_ids (empty where all runs are meant)."""
        found = [
            (
                *(each.severity, title(each), each.sentence, each.what_to_do),
                tuple(run_id for subject in each.subjects for run_id in subject.run_ids),
            )
            for each in self.result.findings
        ]
        names = ["severity", "check", "sentence", "what_to_do", "run_ids"]
        return pd.DataFrame(found, columns=pd.Index(names))

    @property
    def checks(self) -> pd.DataFrame:
        """Every check: check, outcome (found, passed, not checked), sentence (what was seen or is needed)."""
        made = [
            (front.TITLES[each.check], check_lines.PASSED, each.passed)
            if each.passed is not None
            else (front.TITLES[each.check], check_lines.UNCHECKED, each.not_checked)
            if each.not_checked is not None
            else (front.TITLES[each.check], "found", "; ".join(found.sentence for found in each.findings))
            for each in self.result.outcomes
        ]
        return pd.DataFrame(made, columns=pd.Index(["check", "outcome", "sentence"]))

    @overload
    def to_json(self) -> str: ...

    @overload
    def to_json(self, path: str | Path) -> None: ...

    def to_json(self, path: str | Path | None = None) -> str | None:
        """Return the result as JSON, the same as `isoflop check --json` writes, or write it to a file."""
        value = {"check": self.result, "fit": None, "fit_without": None, "verdict": self.verdict}
        return written.as_json(value | {"notes": self.notes, "excluded": self.excluded}, path)

    def __repr__(self) -> str:
        """What was found, in plain text."""
        return shown.check_text(self.result, self.verdict)

    def _repr_html_(self) -> str:
        """The same as HTML, which notebooks show."""
        return shown.check_html(self.result, self.verdict)


def check(
    runs: Runs,
    *,
    x: str | None = None,
    y: str | None = None,
    y_unit: str | None = None,
    group: str | Sequence[str] | None = None,
    seed: str | None = None,
    counts: float | str | None = None,
    chance: float | None = None,
    where: str | None = None,
    cost: str | Sequence[str] | None = None,
    train_loss: str | None = None,
    width: str | None = None,
    depth: str | None = None,
    n: str | None = None,
    d: str | None = None,
    train_n: str | None = None,
    lr: str | None = None,
) -> Check:
    """Check a table of runs: undertrained shapes, learning rates, design, noise, drift.

    What is found is that of `isoflop check` with the options of these names. Nothing is printed or written.

    Args:
        runs: a data frame with one row a run, or the path of a file or of a sweep's folder (`load`).
        x, y, y_unit, group, seed, counts, chance, where, cost: as in `fit`.
        train_loss, width, depth: of a table of your own, the columns that hold these; common names (loss,
            d_model, layers, lr, params, tokens) need not be given.
        n: the column of the number of parameters.
        d: the column of the examples or tokens seen.
        train_n: the column of the size of the training set.
        lr: the column of the learning rate.

    Raises:
        ValueError: as `fit`. One line that says what to change.

    Examples:
        >>> import isoflop
        >>> checked = isoflop.check("results/digits-cpu")
        >>> list(checked.findings.columns)
        ['severity', 'check', 'sentence', 'what_to_do', 'run_ids']
    """
    named = {"train_loss": train_loss, "width": width, "depth": depth}
    named |= {"parameters": n, "examples_seen": d, "train_n": train_n, "lr": lr}
    with named_as_in_python():
        choice = Choice(
            *(x, y, joined(group), seed, counts, chance, where),
            named=named,
            y_unit=y_unit,
            prices=prices(cost),
        )
        chosen, origin = rows_of(runs, choice, custom=True)
        run_ids = chosen.checked["run_id"]
        files = sweep_files.read(Path(origin.source), run_ids) if origin.folder else sweep_files.NONE
        report = front.check(chosen.checked, files)
        assert chosen.axes is not None
        verdict = limit.of_axes(chosen.checked, report, chosen.axes, chosen.described)
    return Check(report, verdict, chosen.notes, (*chosen.dropped, *chosen.excluded))
