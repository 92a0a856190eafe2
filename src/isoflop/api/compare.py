"""compare: two or more scaling curves, what moved, and what it is worth in compute."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import pandas as pd

from isoflop.api import arms, shown, written
from isoflop.api.arguments import check_resamples, joined, named_as_in_python, prices
from isoflop.api.arms import Source
from isoflop.api.load import Runs
from isoflop.api.rows import Choice
from isoflop.config import ConfigError
from isoflop.curve.compare import front, result
from isoflop.curve.compare.contrast import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """What a change moved: exponent, irreducible error, factor of compute.

    Shown in a notebook or printed, it says what is compared and the verdict.

    Attributes:
        result: everything that `isoflop compare --json` writes (curve.compare.result.Comparison).
    """

    result: result.Comparison

    @property
    def verdict(self) -> tuple[str, ...]:
        """What is concluded, in sentences, of each arm against the baseline."""
        return tuple(sentence for of in self.result.contrasts for sentence in of.verdict)

    @property
    def gain(self) -> pd.DataFrame:
        """The compute-equivalent gain as a function of y: arm, y, x_baseline and x (what each needs for y),
        gain, low, high, inside (whether y lies within the runs of both; else one is extrapolated)."""
        rows = [
            (
                *(of.other, at.y, at.x_baseline, at.x_other, at.gain, at.interval.low, at.interval.high),
                at.inside,
            )
            for of in self.result.contrasts
            for at in (of.gain.rows if of.gain is not None else ())
        ]
        names = ["arm", "y", "x_baseline", "x", "gain", "low", "high", "inside"]
        return _frame(rows, names, numbers=names[1:-1])

    @property
    def differences(self) -> pd.DataFrame:
        """Each arm less the baseline: arm, quantity (b, E, ln factor of compute, or ln y of pairs), given
        (what is assumed of the others), value, low, high, p, smallest_seen, unit."""
        rows = [
            (
                *(of.other, each.quantity, each.given, each.value, each.interval.low, each.interval.high),
                *(each.p, each.smallest_seen, each.unit),
            )
            for of in self.result.contrasts
            for each in of.differences
        ]
        names = ["arm", "quantity", "given", "value", "low", "high", "p", "smallest_seen", "unit"]
        return _frame(rows, names, numbers=names[3:-1])

    @property
    def tests(self) -> pd.DataFrame:
        """The tests behind the verdict: arm, null, p, p_holm (adjusted for their number), reason (why there
        is no p)."""
        rows = [
            (of.other, each.null, each.p, each.p_holm, each.reason)
            for of in self.result.contrasts
            for each in of.tests
        ]
        return _frame(rows, ["arm", "null", "p", "p_holm", "reason"], numbers=["p", "p_holm"])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the curves of all arms with their runs (isoflop.plot_comparison). Returns the axes."""
        from isoflop.api.figures import plot_comparison

        return plot_comparison(self, ax)

    @overload
    def to_json(self) -> str: ...

    @overload
    def to_json(self, path: str | Path) -> None: ...

    def to_json(self, path: str | Path | None = None) -> str | None:
        """Return the result as JSON, the same as `isoflop compare --json` writes, or write it to a file."""
        return written.as_json(self.result, path)

    def __repr__(self) -> str:
        """What is compared, and the verdict, in plain text."""
        return shown.comparison_text(self.result)

    def _repr_html_(self) -> str:
        """The same as HTML, which notebooks show."""
        return shown.comparison_html(self.result)


def compare(
    *runs: Runs | Mapping[str, Runs],
    by: str | None = None,
    baseline: str | None = None,
    x: str | None = None,
    y: str | None = None,
    y_unit: str | None = None,
    group: str | Sequence[str] | None = None,
    seed: str | None = None,
    counts: float | str | None = None,
    chance: float | None = None,
    where: str | None = None,
    law: str | None = None,
    exclude: str | None = None,
    energy_grade: str = "C",
    mixed: bool = False,
    cost: str | Sequence[str] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed_of_resamples: int = 0,
) -> Comparison:
    """Compare scaling curves with that of the first, the baseline.

    The numbers are those of `isoflop compare` with the options of these names. Nothing is printed or written.

    Args:
        runs: two or more of data frames, files or folders (`load`), the baseline first; or one mapping of
            names to these; or one of them, which `by` divides.
        by: a column of the only source: an arm for each of its values.
        baseline: with `by`, the value that is the baseline; the least without it.
        x, y, y_unit, group, seed, counts, chance, where: as in `fit`; of a sweep's table x is its training
            compute, and y its error or loss, without them.
        law: of all curves: power_law or power_law_floor; with a floor where the runs call for it, without it.
        exclude, energy_grade, mixed, cost: as in `fit`.
        level: share of truths that an interval should hold; tests are made at 1 - level.
        resamples: of intervals and tests, at least 100.
        seed_of_resamples: their seed.

    Raises:
        ValueError: there is nothing to compare, or as `fit`. One line that says what to change.

    Examples:
        >>> import isoflop, pandas as pd
        >>> flops = [1e15, 1e16, 1e17, 1e18, 1e19, 1e20]
        >>> old = pd.DataFrame({"flops": flops, "loss": [4.1, 3.5, 3.1, 2.8, 2.6, 2.5]})
        >>> new = old.assign(loss=old["loss"] - 0.1)
        >>> compared = isoflop.compare({"old": old, "new": new}, x="flops", y="loss", resamples=199)
        >>> compared.result.contrasts[0].baseline
        'old'
    """
    with named_as_in_python():
        choice = Choice(
            *(x, y, joined(group), seed, counts, chance, where, by), y_unit=y_unit, prices=prices(cost)
        )
        named = _named(runs, by, baseline)
        check_resamples(resamples)
        if chance is not None and not 0 < chance <= 1:
            raise ConfigError(f"--chance {chance:g}: give the error of guessing, above 0 and at most 1")
        settings = Settings(
            law=law,
            resamples=resamples,
            seed=seed_of_resamples,
            level=level,
            least_energy_grade=energy_grade,
            mixed=mixed,
        )
        settings.check()
        sources = [_source(name, each, choice) for name, each in named]
        if all(source.folder for source in sources):
            choice.refuse_own()
        if by is not None:
            made = arms.split(sources[0], choice, exclude, baseline)
        else:
            made = [arms.arm(source, choice, exclude) for source in sources]
        return Comparison(front.compare(made, settings))


def _named(
    runs: Sequence[Runs | Mapping[str, Runs]], by: str | None, baseline: str | None
) -> list[tuple[str, object]]:
    """Return each source with its name.

    Raises:
        ConfigError: there is nothing to compare, or more than is divided.
    """
    named: list[tuple[str, object]] = list(zip(_names(runs), runs, strict=True))
    if len(runs) == 1 and isinstance(runs[0], Mapping):
        named = [(str(name), each) for name, each in runs[0].items()]
    if by is None and baseline is not None:
        raise ConfigError("--baseline names a value of --by: give by too, or the baseline first")
    if by is None and len(named) < 2:
        raise ConfigError("one curve is no comparison: give a second one, or --by")
    if by is not None and len(named) != 1:
        raise ConfigError("--by divides one table: give only that")
    return named


def _names(runs: Sequence[object]) -> list[str]:
    """Return names of sources: the last part of a path where that tells them apart, numbers of frames."""
    long = [str(each) if isinstance(each, (str, os.PathLike)) else None for each in runs]
    short = [None if each is None else Path(each).resolve().name for each in long]
    known = short if len(set(short)) == len(short) or None in short else long
    return [name or f"data frame {i}" for i, name in enumerate(known, 1)]


def _source(name: str, runs: object, choice: Choice) -> Source:
    if isinstance(runs, pd.DataFrame):
        return arms.of_frame(name, runs)
    if isinstance(runs, (str, os.PathLike)):
        return arms.of_path(name, Path(runs), choice)
    raise ConfigError(f"{name}: give a pandas DataFrame or a path: this is a {type(runs).__name__}")


def _frame(
    rows: Sequence[tuple[object, ...]], names: Sequence[str], *, numbers: Sequence[str]
) -> pd.DataFrame:
    """Return rows as a data frame whose `numbers` are floats, NaN where there is none."""
    table = pd.DataFrame(list(rows), columns=pd.Index(names))
    return table.astype(dict.fromkeys(numbers, np.float64))
