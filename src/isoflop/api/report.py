"""write_report: the page of a sweep, or of a table of the user's own."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from isoflop.api import rows
from isoflop.api.arguments import check_resamples, joined, named_as_in_python, prices
from isoflop.api.load import UNNAMED, Runs, rows_of
from isoflop.api.reach import Reach, is_price
from isoflop.api.rows import Choice, Rows
from isoflop.config import ConfigError
from isoflop.curve import result
from isoflop.curve.fit import Method
from isoflop.curve.judge.checked import Checked
from isoflop.curve.language.answers import language_answers
from isoflop.curve.result import FitFile
from isoflop.plan import far, make
from isoflop.plan.cost_panel import CostAsk, cost_panel
from isoflop.report import folder, page, subject
from isoflop.report import latex as latex_tables
from isoflop.report.figures import paper
from isoflop.report.figures.paper import Paper
from isoflop.table import aggregate
from isoflop.table.aggregate import Dropped, RunTable


def write_report(
    runs: Runs,
    out: str | os.PathLike[str] | None = None,
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
    exclude: str | None = None,
    energy_grade: str = "C",
    cost: str | Sequence[str] | None = None,
    target: Sequence[float] = (),
    gpu_tflops: float | None = None,
    gpu_watts: float | None = None,
    mixed: bool = False,
    wild: bool = False,
    level: float = 0.95,
    resamples: int = 1000,
    seed_of_resamples: int = 0,
    format: str | Sequence[str] = (),
    width: str | float | None = None,
    latex: bool = False,
) -> Path:
    """Write the page that `isoflop report` writes, and return its path.

    Of a sweep's folder it stands there as index.html, beside figures, table.csv, dropped.csv and fit.json. Of
    a file or a data frame these go to the folder `out`.

    Args:
        runs: the folder of a sweep, a file, or a data frame.
        out: where to write, of a file or data frame: a new folder, or one that holds such a report.
        x, y, x_unit, y_unit, x_label, y_label, group, seed, counts: of a file or data frame, as in `fit`.
        chance, where, exclude, energy_grade, mixed, wild, level, resamples, seed_of_resamples: as in `fit`.
        cost: sets of prices, such as "us_2023", or YAML files: the page then has a bill.
        target: of a file or data frame, errors as fractions, or losses, whose compute the page says.
        gpu_tflops: of a file or data frame, TFLOP/s that one GPU sustains in training: FLOPs to GPU-hours.
        gpu_watts: its power meanwhile: GPU-hours to kWh.
        format: kinds of figures for a paper, in figures/paper: "pdf", "svg", "png" or several.
        width: their width as printed, such as "3.3in" or "84mm", or inches; 6.75 by default.
        latex: write tables for LaTeX too, to latex: fit, laws and runs.

    Raises:
        ValueError: no such folder or file, a folder that is no report's, no finished run, or too few for a
            fit. One line that says what to change.
        OSError: the folder cannot be written.

    Examples:
        >>> import isoflop
        >>> isoflop.write_report("models.csv", "pages/models", x="flops", y="error")  # doctest: +SKIP
        PosixPath('pages/models/index.html')
    """
    with named_as_in_python():
        check_resamples(resamples)
        extras = Extras(paper.paper([format] if isinstance(format, str) else format, width), latex)
        method = Method(
            resamples=resamples,
            seed=seed_of_resamples,
            least_energy_grade=energy_grade,
            wild=wild,
            level=level,
            chance=chance,
            mixed=mixed,
        )
        method.check()
        choice = Choice(
            *(x, y, joined(group), seed, counts, chance, where),
            x_unit=x_unit,
            y_unit=y_unit,
            x_label=x_label,
            y_label=y_label,
            prices=prices(cost),
        )
        reach = Reach(tuple(target), gpu_tflops, gpu_watts)
        if not isinstance(runs, pd.DataFrame) and Path(runs).is_dir():
            if out is not None:
                raise ConfigError(
                    "--out is for a table of your own: the page of a sweep stands in its folder"
                )
            if reach != Reach():
                raise ConfigError("target, gpu_tflops and gpu_watts are for a table of your own, not a sweep")
            return _of_folder(Path(runs), choice, method, exclude, extras)
        if out is None:
            raise ConfigError("--out is missing: give the folder that the page is written to")
        return _of_table(runs, Path(out), choice, method, exclude, reach, extras)


@dataclasses.dataclass(frozen=True)
class Extras:
    """What is written beside a page: figures for a paper, and whether tables for LaTeX."""

    paper: Paper | None
    latex: bool


def _of_folder(directory: Path, choice: Choice, method: Method, exclude: str | None, extras: Extras) -> Path:
    """Write the page of a sweep.

    Args:
        directory: its folder.
        choice: rows and prices.
        method: of the fit.
        exclude: kinds of runs that are left out.
        extras: what is written beside it.
    """
    choice.refuse_own()
    for name in ("x", "y"):
        if getattr(choice, name) is not None:
            raise ConfigError(f"--{name} is for a table of your own: the page shows all axes of a sweep")
    table = aggregate.aggregate(directory, choice.prices)
    chosen = rows.of_sweep(table, directory, choice, custom=False)
    reaching, checked = _fits(chosen, method, str(directory), exclude)
    fits, kept = far.near(reaching), chosen.kept(table)
    _save(kept, fits, directory)
    if extras.latex:
        latex_tables.write(fits, kept.rows, directory)
    answers = language_answers(chosen.table, directory=directory)
    costs = functools.partial(cost_panel, CostAsk(reaching.reports[0], chosen.table))
    return page.write_report(directory, kept, fits, answers, extras.paper, costs, checked)


def _of_table(
    runs: Runs,
    out: Path,
    choice: Choice,
    method: Method,
    exclude: str | None,
    reach: Reach,
    extras: Extras,
) -> Path:
    """Write the page of a table of the user's own.

    Args:
        runs: a file or data frame.
        out: the folder to write to.
        choice: columns, rows and prices.
        method: of the fit.
        exclude: kinds of runs that are left out.
        reach: what is said of lower errors.
        extras: what is written beside the page.
    """
    folder.check(out)
    rate = reach.rate()
    read = choice if is_price(choice.x) else dataclasses.replace(choice, prices=None)
    chosen, origin = rows_of(runs, read, custom=True)
    source = out.name if origin.source == UNNAMED else Path(origin.source).name
    if chosen.own is None or chosen.described is None:
        raise ConfigError(f"this is the table of a sweep: give its folder, {origin.source}")
    reach.check(chosen, choice.prices, source)
    independent = choice.group is not None or choice.seed is not None
    method = dataclasses.replace(method, independent=independent)
    reaching, checked = _fits(chosen, method, source, exclude)
    fits = far.near(reaching)
    own = dataclasses.replace(chosen.own, source=source)
    about = subject.of_table(
        *(own, chosen.checked, chosen.described), seed=choice.seed, prices=choice.prices, rate=rate
    )
    left_out = tuple(Dropped(each.run_id, "left out", each.reason) for each in chosen.excluded)
    ask = CostAsk(reaching.reports[0], chosen.table, reach.target, rate)
    costs = functools.partial(cost_panel, ask)
    with folder.replaced(out) as made:
        _save(RunTable(chosen.table, left_out), fits, made)
        page.write(
            *(about, fits, made),
            costs=costs,
            targets=reach.target,
            for_paper=extras.paper,
            checked=checked,
        )
        if extras.latex:
            latex_tables.write(about.shown(fits), about.rows, made)
    return out / "index.html"


def _fits(chosen: Rows, method: Method, source: str, exclude: str | None) -> tuple[FitFile, Checked]:
    """Return fits whose bands reach far enough for costs (far.near has the page's), and their checks."""
    method = dataclasses.replace(method, beyond=make.BEYOND)
    fits = rows.fit(chosen, method, source=source, exclude=exclude)
    return rows.with_checks(fits, chosen.checked, f"isoflop check {source}")


def _save(table: RunTable, fits: FitFile, directory: Path) -> None:
    aggregate.write(table, directory)
    result.write_fits(fits, directory / "fit.json")
