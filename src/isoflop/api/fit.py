"""fit: scaling laws of a data frame, a file or a sweep's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from isoflop.api import rows
from isoflop.api.arguments import check_resamples, joined, named_as_in_python, prices
from isoflop.api.fitted import Fit
from isoflop.api.load import UNNAMED, Origin, Runs, rows_of
from isoflop.api.rows import Choice
from isoflop.curve.fit import FittedLaw, Method
from isoflop.curve.laws import LAWS


def fit(
    runs: Runs,
    *,
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
    fix: Mapping[str, float] | None = None,
    frontier: bool = False,
    quantile: float | None = None,
    hold_out: str | None = None,
    exclude: str | None = None,
    energy_grade: str = "C",
    cost: str | Sequence[str] | None = None,
    mixed: bool = False,
    wild: bool = False,
    level: float = 0.95,
    resamples: int = 1000,
    seed_of_resamples: int = 0,
) -> Fit:
    """Fit scaling laws to y against x, with intervals over configurations and a forecast.

    The numbers are those of `isoflop fit` with the options of these names. Nothing is printed or written.

    Args:
        runs: a data frame with one row a run, or the path of a file or of a sweep's folder (`load`).
        x: column of what is spent, in any unit, or an expression such as "6 * params * tokens". Not needed
            for the table of a sweep, which is then fitted on all axes that it has.
        y: column of what falls: an error as a fraction, a loss; or an expression such as "1 - acc1".
        x_unit, y_unit: of a table of your own: FLOP, GMAC, or any unit of x; percent, fraction, or any of y.
            Per cent is read as fractions.
        x_label, y_label: of a table of your own: what x and y are called in figures.
        group: of a table of your own: the columns whose values make a configuration, which is resampled as
            a whole. Without it rows of equal x are one if `seed` is given, else each row is one.
        seed: of a table of your own: the column that repeats a configuration.
        counts: of a table of your own: the test examples behind an error, a number or a column.
        chance: the error of guessing, as a fraction.
        where: only rows that meet this condition, such as "dataset == 'c4' and not outlier".
        laws: names of laws, all without it: `isoflop.fit(...).laws` shows them.
        fix: parameters of laws that are held, such as {"E": 0}.
        frontier: fit the efficient frontier, not all runs.
        quantile: fit this quantile of y given x instead of its middle.
        hold_out: rows that meet this condition are judged, not fitted.
        exclude: "undertrained" leaves out runs of undertrained shapes.
        energy_grade: least grade of energy on an axis of joules.
        cost: sets of prices, such as "us_2023", or YAML files, for x="dollars" and x="grams_co2".
        mixed: fit several code versions, machines or experiments together.
        wild: resample signs of residuals, not configurations.
        level: share of truths that an interval should hold.
        resamples: of the bootstrap, at least 100.
        seed_of_resamples: their seed.

    Raises:
        ValueError: a column, law or condition that is not there, values that are no fractions, or too few
            runs. One line that names the argument, row or column and says what to change.

    Examples:
        >>> import isoflop, pandas as pd
        >>> runs = pd.DataFrame({"flops": [1e15, 1e16, 1e17, 1e18, 1e19], "loss": [4.1, 3.5, 3.1, 2.8, 2.6]})
        >>> fitted = isoflop.fit(runs, x="flops", y="loss", laws="power_law_floor", resamples=100)
        >>> fitted.y, fitted.x, fitted.laws
        ('loss', 'flops', ('power_law_floor',))
        >>> list(fitted.predict([1e19, 1e20]).columns)
        ['x', 'y', 'low', 'high', 'new_low', 'new_high']
    """
    custom = any(each is not None for each in (x, y, laws, quantile, hold_out)) or frontier or bool(fix)
    with named_as_in_python():
        check_resamples(resamples)
        choice = Choice(
            *(x, y, joined(group), seed, counts, chance, where),
            x_unit=x_unit,
            y_unit=y_unit,
            x_label=x_label,
            y_label=y_label,
            prices=prices(cost),
        )
        method = Method(
            laws=_names(laws),
            resamples=resamples,
            seed=seed_of_resamples,
            least_energy_grade=energy_grade,
            of_frontier=frontier,
            quantile=quantile,
            wild=wild,
            level=level,
            fix=tuple((fix or {}).items()),
            chance=chance,
            mixed=mixed,
        )
        method.check()
        chosen, origin = rows_of(runs, choice, custom=custom)
        independent = origin.folder or group is not None or seed is not None
        kept: list[FittedLaw] = []
        method = dataclasses.replace(method, independent=independent, keep=kept.append)
        fits = rows.fit(chosen, method, source=origin.source, exclude=exclude, hold_out=hold_out)
        fits, _ = rows.with_checks(fits, chosen.checked, _check_command(origin))
        left_out = rows.left_out(exclude, chosen.checked)
    units = chosen.described.units if chosen.described is not None else None
    again = dataclasses.replace(method, keep=None, left_out=left_out, units=units)
    return Fit(fits, chosen, tuple(kept), again, hold_out)


def _names(laws: str | Sequence[str] | None) -> tuple[str, ...]:
    if laws is None:
        return tuple(LAWS)
    return tuple(name.strip() for name in (laws.split(",") if isinstance(laws, str) else laws))


def _check_command(origin: Origin) -> str:
    return "isoflop.check(...)" if origin.source == UNNAMED else f"isoflop check {origin.source}"
