"""isoflop compare: two scaling curves, what moved, and what it is worth in compute."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from isoflop.cli import dialect, exclusion, output, prices, rows
from isoflop.config import ConfigError

EXAMPLES = """examples:
  isoflop compare results/OLD results/NEW                     two sweeps, the first is the baseline
  isoflop compare results/OLD results/NEW -o results/NEW-OLD  and comparison.json, .png and .svg there
  isoflop compare results/NAME --by parametrization           one sweep, split by a column
  isoflop compare runs.csv --by recipe --baseline old --x flops --y loss --group width,depth --seed seed
  isoflop compare old.csv new.csv --x flops --y loss --seed seed --figure gain.pdf"""
FIGURES = (".png", ".svg", ".pdf")
MOST_ARMS = 8
"""Values of --by beyond which a column is no choice of recipes."""


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb(
        "compare", _compare, "What a change moved: exponent, irreducible error, factor of compute"
    )
    verb.epilog, verb.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    text = "the baseline, then what is compared with it: folders of sweeps, or files of runs"
    verb.add_argument("sources", metavar="PATH", nargs="+", type=Path, help=text)
    verb.add_argument("--by", metavar="COLUMN", help="split one sweep or file by the values of this column")
    verb.add_argument(
        "--baseline", metavar="VALUE", help="with --by: the value that is the baseline (the least)"
    )
    output.add_json(verb)
    verb.add_argument(
        "-o", "--out", metavar="DIR", type=Path, help="write comparison.json, .png and .svg there"
    )
    verb.add_argument("--figure", metavar="FILE", type=Path, help="write the figure: png, svg or pdf")
    _add_method(verb)
    dialect.add_grouping(verb)


def _add_method(verb: argparse.ArgumentParser) -> None:
    dialect.add_axes(verb, named=False)
    law = "of both curves: power_law or power_law_floor (default: with a floor where the runs call for it)"
    verb.add_argument("--law", metavar="LAW", help=law)
    verb.add_argument(
        "--where", metavar="COND", help="only these rows of each: 'dataset == \"c4\" and not outlier'"
    )
    level = "level of the intervals in per cent (95); tests are made at 100 less it"
    verb.add_argument("--level", type=float, default=95.0, metavar="P", help=level)
    verb.add_argument("--resamples", type=int, default=1000, help="of intervals and tests (default 1000)")
    verb.add_argument("--seed-of-resamples", type=int, default=0, metavar="N", help="their seed (default 0)")
    verb.add_argument("--energy-grade", default="C", help="least grade of joules on an axis (C)")
    verb.add_argument("--chance", type=float, metavar="V", help="the error of guessing, as a fraction")
    verb.add_argument(
        "--mixed", action="store_true", help="compare several code versions, machines or data sets"
    )
    exclusion.add_option(verb)
    prices.add_option(verb)


def _compare(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import compare_table, console
    from isoflop.curve.compare import front

    _check(options)
    settings = _settings(options)
    arms = _split(options) if options.by is not None else [_arm(options, *each) for each in _named(options)]
    comparison = front.compare(arms, settings)
    written = _write_figures(options, comparison)
    if options.out is not None:
        output.write_json(comparison, str(options.out / "comparison.json"))
        written.append(options.out / "comparison.json")
    if options.json:
        return output.write_json(comparison, options.json)
    compare_table.show(comparison)
    for path in written:
        console.OUT.print(f"{path}", markup=False)
    return output.DONE


def _check(options: argparse.Namespace) -> None:
    """Raise ConfigError for options that make no sense together, before anything is read."""
    if options.json:
        output.check_target(options.json)
    if options.by is None and options.baseline is not None:
        raise ConfigError("--baseline names a value of --by: say --by COLUMN, or give the baseline first")
    if options.by is None and len(options.sources) < 2:
        raise ConfigError(
            f"{options.sources[0]}: one curve is no comparison: give a second sweep or file, or --by COLUMN"
        )
    if options.by is not None and len(options.sources) > 1:
        raise ConfigError(f"--by splits one sweep or file: leave out {options.sources[1]}")
    for path in options.sources:
        if not path.exists():
            raise ConfigError(f"{path}: no such folder or file")
    if all(path.is_dir() for path in options.sources):
        dialect.refuse_of_folder(options)
    if options.figure is not None:
        if options.figure.suffix.lower() not in FIGURES:
            raise ConfigError(f"--figure {options.figure}: give a name that ends in {', '.join(FIGURES)}")
        if options.figure.is_dir() or not options.figure.absolute().parent.is_dir():
            raise ConfigError(f"--figure {options.figure}: give a file in a folder that exists")
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise ConfigError(f"-o {options.out}: this is a file: give a folder")


def _settings(options: argparse.Namespace) -> Any:
    """Return the checked settings of the comparison."""
    from isoflop.curve.compare.contrast import Settings

    output.check_resamples(options.resamples)
    if options.chance is not None and not 0 < options.chance <= 1:
        raise ConfigError(f"--chance {options.chance:g}: give the error of guessing, above 0 and at most 1")
    settings = Settings(
        law=options.law,
        resamples=options.resamples,
        seed=options.seed_of_resamples,
        level=rows.level(options),
        least_energy_grade=options.energy_grade,
        mixed=options.mixed,
    )
    settings.check()
    return settings


def _named(options: argparse.Namespace) -> list[tuple[str, Path]]:
    """Return each source with its name: the last part of its path where that tells them apart."""
    short = [path.resolve().name for path in options.sources]
    names = short if len(set(short)) == len(short) else [str(path) for path in options.sources]
    return list(zip(names, options.sources, strict=True))


def _arm(options: argparse.Namespace, name: str, path: Path) -> Any:
    """Return the runs of one source (compare.arms.ArmRuns)."""
    if path.is_dir():
        from isoflop.table import aggregate

        table = aggregate.aggregate(path, prices.chosen(options))
        kept, notes = _where(options, table.rows, path)
        return _with(_of_rows(options, name, kept.reset_index(drop=True), table.excluded), notes=notes)
    from isoflop.table import external, formats

    wanted = [each for each in (options.x, options.y) if each is not None] or external.CND
    return _of_file(options, name, formats.read_rows(path, wanted), path, options.group, options.where)


def _where(options: argparse.Namespace, table: Any, path: Path) -> tuple[Any, tuple[str, ...]]:
    """Return the rows of a table that --where keeps, and a note on how many these are."""
    from isoflop.table import selection

    try:
        kept, notes = selection.where(table, options.where)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return kept, notes


def _of_rows(options: argparse.Namespace, name: str, rows: Any, excluded: Iterable[Any]) -> Any:
    """Return an arm of rows of a sweep's table.

    Args:
        options: of the command.
        name: of the arm.
        rows: the table, or a part of it.
        excluded: records that gave no row.
    """
    from isoflop.curve.compare.arms import ArmRuns
    from isoflop.table import derived, target

    rows, x = derived.resolve(rows, options.x or "train_gflops", "x")
    rows, y = derived.resolve(rows, options.y or target.of(rows, name).y, "y")
    if options.chance is not None and y.endswith("_error"):
        rows = rows.assign(chance_error=options.chance)
    left_out = exclusion.left_out(options, rows)
    return ArmRuns(name, rows, x, y, tuple(excluded), tuple(left_out))


def _of_file(
    options: argparse.Namespace, name: str, raw: Any, path: Path, group: str | None, where: str | None = None
) -> Any:
    """Return an arm of rows of a file.

    Args:
        options: of the command.
        name: of the arm.
        raw: the rows of the file, or a part of them.
        path: of the file.
        group: the columns that make a configuration.
        where: the condition on its rows; None where they meet it already.
    """
    from isoflop.curve.compare.arms import ArmRuns
    from isoflop.table import canonical, external

    own = external.to_runs(
        raw,
        path,
        x=options.x,
        y=options.y,
        group=group,
        seed=options.seed,
        chance=options.chance,
        counts=_counts(options.counts),
        where=where,
        y_unit=options.y_unit,
        prices=prices.chosen(options),
    )
    left_out = ()
    if options.exclude is not None:
        left_out = exclusion.left_out(options, canonical.canonical(own, {})[0])
    return ArmRuns(name, own.table, own.x, own.y, own.excluded, tuple(left_out), own.warnings)


def _counts(text: str | None) -> float | str | None:
    """Return --counts as a number if it is one, else as it is: the name of a column."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return text


def _split(options: argparse.Namespace) -> list[Any]:
    """Return an arm for each value of --by, the baseline first.

    Raises:
        ConfigError: the column has one value or too many, or the baseline is none of them.
    """
    from isoflop.table import aggregate, columns, external, formats
    from isoflop.table.left_out import Excluded

    (path,) = options.sources
    if path.is_dir():
        table = aggregate.aggregate(path, prices.chosen(options))
        every, excluded = table.rows, list(table.excluded)
    else:
        wanted = [each for each in (options.x, options.y) if each is not None] or external.CND
        every, excluded = formats.read_rows(path, wanted), []
    kept, _ = _where(options, every, path)
    try:
        by = columns.find(kept, options.by, "by")
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    labels = [columns.label(value) for value in kept[by]]
    names = _order({label for label in labels if label is not None}, options, path, by)
    unknown = [i for i, label in enumerate(labels) if label is None]
    run_ids = kept["run_id"].astype(str).tolist() if path.is_dir() else [f"row {i}" for i in kept.index]
    excluded += [Excluded(run_ids[i], f"unknown {by}, by which the runs are split") for i in unknown]
    arms = []
    for name in names:
        part = kept[[label == name for label in labels]]
        left = excluded if name == names[0] else []  # named once
        called = name if _ascending(name)[0] else f"{by}={name}"
        if path.is_dir():
            arm = _of_rows(options, called, part.reset_index(drop=True), left)
        else:
            arm = _with(_of_file(options, called, part, path, _without(options.group, by)), excluded=left)
        before = sum(columns.label(value) == name for value in every[by])
        said = [f"--where {options.where}: {len(part)} of {before} rows"] if options.where else []
        arms.append(_with(arm, notes=said))
    return arms


def _with(arm: Any, *, excluded: Iterable[Any] = (), notes: Iterable[str] = ()) -> Any:
    """Return an arm with more rows that were left out, and notes before its warnings."""
    return dataclasses.replace(arm, excluded=(*arm.excluded, *excluded), warnings=(*notes, *arm.warnings))


def _without(group: str | None, by: str) -> str | None:
    """Return --group without the column of --by, in which the configurations that pair up differ."""
    if group is None:
        return None
    names = [name.strip() for name in group.split(",") if name.strip() != by]
    if not names:
        raise ConfigError(
            f"--group {group} is the column of --by: group by what the arms share, such as a shape"
        )
    return ",".join(names)


def _order(names: set[str], options: argparse.Namespace, path: Path, by: str) -> list[str]:
    """Return the values of --by in ascending order, the baseline first."""
    if len(names) < 2:
        only = f"only the value {min(names)}" if names else "no known value"
        raise ConfigError(f"{path}: --by {by}: the column has {only}: there is nothing to compare")
    if len(names) > MOST_ARMS:
        raise ConfigError(
            f"{path}: --by {by}: the column has {len(names)} values: give one with at most {MOST_ARMS}, "
            "such as that of the recipe"
        )
    order = sorted(names, key=_ascending)
    if options.baseline is None:
        return order
    if options.baseline not in names:
        raise ConfigError(f"--baseline {options.baseline}: {by} is one of {', '.join(order)}")
    return [options.baseline, *(name for name in order if name != options.baseline)]


def _ascending(name: str) -> tuple[bool, float, str]:
    """Return a key that sorts numbers by size, before text."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name


def _write_figures(options: argparse.Namespace, comparison: Any) -> list[Path]:
    """Write the figures that are asked for and return their paths."""
    if options.figure is None and options.out is None:
        return []
    from isoflop import record
    from isoflop.report.figures import comparison as drawn

    paths = [] if options.figure is None else [options.figure]
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        paths += [options.out / f"comparison{suffix}" for suffix in (".png", ".svg")]
    for path in paths:
        record.write_bytes(path, drawn.payload(comparison, path.suffix.lower().removeprefix(".")))
    return paths
