"""The section on what a target costs, as the page's template takes it; plan.cost_panel makes it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from isoflop.curve.check.front import CheckReport
from isoflop.report.subject import Subject


@dataclasses.dataclass(frozen=True)
class Dial:
    """One number that a reader may change: a slider with a field.

    Attributes:
        key: its name in the settings of costs.js.
        label, unit: as they stand beside it.
        least, most, step: of the slider; exponents where it moves in powers.
        start: where it stands first, None where nothing was chosen.
        powers_of: base of the powers in which the slider moves; None where it moves evenly.
        lowest, highest: of what may be typed; None where it has no upper end.
        is_whole: whether a whole number is asked for.
        empty: what an empty field says.
        known: (name, value) of values that can be picked.
        note: a sentence below it.
    """

    key: str
    label: str
    unit: str
    least: float
    most: float
    step: float
    start: float | None
    powers_of: int | None = None
    lowest: float = 0.0
    highest: float | None = None
    is_whole: bool = False
    empty: str = "none"
    known: tuple[tuple[str, float], ...] = ()
    note: str = ""

    @property
    def shown(self) -> str:
        """The number in its field at first."""
        return "" if self.start is None else f"{self.start:.10g}"

    @property
    def position(self) -> float:
        """Where the slider stands at first."""
        if self.start is None:
            return self.least
        return math.log10(self.start) / math.log10(self.powers_of) if self.powers_of else self.start


@dataclasses.dataclass(frozen=True)
class Row:
    """One law at one target: cells of (amount, its interval)."""

    law: str
    cells: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class TargetTable:
    """One target: what to know first, a row a law, how far the laws differ, and the model and its answers."""

    title: str
    warnings: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    differ: str
    answers: str


@dataclasses.dataclass(frozen=True)
class CostPanel:
    """The section.

    Attributes:
        gist: the answer at the first target, in a line.
        warnings: to be known before any number.
        notes: how the amounts were formed.
        dials: what a reader may change.
        firm_dials: the same, of several GPUs and of own hardware.
        tables: the forecast at round targets, without dials.
        data: for costs.js, packed.
    """

    gist: str
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    dials: tuple[Dial, ...]
    firm_dials: tuple[Dial, ...]
    tables: tuple[TargetTable, ...]
    data: str


MakeCosts = Callable[[Subject, CheckReport], CostPanel | None]
"""What a page is about, and the checks of its rows -> the section, None where there is none."""
