"""write_report: the page of a sweep."""

from __future__ import annotations

import os
from pathlib import Path

from isoflop.api import rows
from isoflop.api.arguments import check_resamples, named_as_in_python
from isoflop.api.rows import Choice
from isoflop.config import ConfigError
from isoflop.curve import result
from isoflop.curve.fit import Method
from isoflop.curve.language.answers import language_answers
from isoflop.report import page
from isoflop.table import aggregate


def write_report(
    directory: str | os.PathLike[str],
    *,
    where: str | None = None,
    chance: float | None = None,
    exclude: str | None = None,
    energy_grade: str = "C",
    mixed: bool = False,
    wild: bool = False,
    level: float = 0.95,
    resamples: int = 1000,
    seed_of_resamples: int = 0,
) -> Path:
    """Write the page of a sweep, the same as `isoflop report` writes, and return its path.

    The page is index.html in the folder, beside its figures, table.csv, dropped.csv and fit.json.

    Args:
        directory: the folder of a sweep.
        where, chance, exclude, energy_grade, mixed, wild, level, resamples, seed_of_resamples: as in `fit`.

    Raises:
        ValueError: no such folder, no finished run, or too few for a fit. One line that says what to change.
        OSError: the folder cannot be written.

    Example:
        >>> import isoflop
        >>> isoflop.write_report("results/my-sweep")  # doctest: +SKIP
        PosixPath('results/my-sweep/index.html')
    """
    folder = Path(directory)
    with named_as_in_python():
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder: give that of a sweep")
        check_resamples(resamples)
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
        table = aggregate.aggregate(folder)
        chosen = rows.of_sweep(table, folder, Choice(chance=chance, where=where), custom=False)
        fits = rows.fit(chosen, method, source=str(folder), exclude=exclude)
        fits = rows.with_checks(fits, chosen.checked, f"isoflop check {folder}")
        kept = aggregate.RunTable(chosen.table, table.dropped)
        aggregate.write(kept, folder)
        result.write_fits(fits, folder / "fit.json")
        return page.write_report(folder, kept, fits, language_answers(chosen.table, directory=folder))
