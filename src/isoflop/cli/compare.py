"""isoflop compare: two scaling curves, what moved, and what it is worth in compute."""

from __future__ import annotations

import argparse
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
        "-o", "--out", metavar="DIR", type=Path, help="write comparison.json, .png, .svg and .csv there"
    )
    text = "write the figure (png, svg or pdf), and its data as CSV beside it"
    verb.add_argument("--figure", metavar="FILE", type=Path, help=text)
    text = "width of --figure as printed, such as 3.3in, 84mm or 8.4cm, with type of 7 to 9 points"
    verb.add_argument("--width", metavar="WIDTH", help=text)
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
    comparison = front.compare(_arms(options), settings)
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
        output.check_figure(options.figure, sources=options.sources)
    if options.width is not None:
        from isoflop.report.figures import paper

        paper.inches(options.width)
        if options.figure is None:
            raise ConfigError("--width is that of --figure: say --figure FILE too")
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


def _arms(options: argparse.Namespace) -> list[Any]:
    """Return the runs of each arm (compare.arms.ArmRuns), the baseline first."""
    from isoflop.api import arms

    choice = rows.choice(options)
    if options.by is not None:
        (path,) = options.sources
        source = arms.of_path(str(path), path, choice)
        return arms.split(source, choice, options.exclude, options.baseline)
    sources = (arms.of_path(name, path, choice) for name, path in _named(options))
    return [arms.arm(source, choice, options.exclude) for source in sources]


def _write_figures(options: argparse.Namespace, comparison: Any) -> list[Path]:
    """Write the figures that are asked for and return their paths."""
    if options.figure is None and options.out is None:
        return []
    from isoflop import record
    from isoflop.report.figures import comparison as drawn

    files = {}
    if options.figure is not None:
        files[options.figure] = drawn.payload(comparison, _kind(options.figure), options.width)
        files[options.figure.with_suffix(".csv")] = drawn.data(comparison)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        for name in ("comparison.png", "comparison.svg"):
            files[options.out / name] = drawn.payload(comparison, _kind(Path(name)))
        files[options.out / "comparison.csv"] = drawn.data(comparison)
    for path, content in files.items():
        record.write_bytes(path, content)
    return list(files)


def _kind(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")
