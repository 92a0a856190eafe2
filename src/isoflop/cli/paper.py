"""isoflop paper: the paper's claims, each one command, and the page that holds them all."""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isoflop.cli import dialect, output, paper_parts, prices
from isoflop.config import ConfigError, costs
from isoflop.config.compose import compose_config

OUT = Path("results/paper")
PRICE, GRID = "aws_h100_2023", "us_2023_typical_room"
SWEEP_RESAMPLES = 200
"""For the laws of the small sweep that `paper all` prices: a rough interval is enough there."""


def add(verb: output.AddVerb) -> None:
    """Add the verb `paper` with a subcommand for each part."""
    made = verb("paper", _all, "The paper's claims, reproduced and questioned: isoflop paper all --quick")
    parts = made.add_subparsers(dest="part", required=True, metavar="PART")

    def part(name: str, action: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = parts.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show stack traces")
        sub.add_argument(
            "--out",
            metavar="DIR",
            type=Path,
            default=OUT,
            help=f"where to write (default {OUT}); --json - never does",
        )
        sub.set_defaults(action=action, parser=sub)
        output.add_json(sub)
        return sub

    shown = part("theory", _theory, "Figure 2: performance against data and computation, simulated")
    shown.add_argument("--quick", action="store_true", help="fewer simulations: about half a minute")
    shown.add_argument("--simulations", type=int, metavar="N", help="of each case and size (default 1000)")
    _add_published(part("published", _published, "Error against compute across published models"))
    _add_implications(part("implications", _implications, "The price of a lower error, under both forms"))
    part("hindsight", _hindsight, "Errors reached since 2020 against the compute that was forecast for them")
    part("limits", _limits, "Supercomputers on a dense and on a sparse program: parallel limits (Vegh 2020)")
    grown = part("growth", _growth, "Compute of notable models over time, against hardware")
    grown.add_argument("--csv", metavar="FILE", type=Path, help="models with Epoch AI's columns")
    grown.add_argument("--window", action="append", metavar="A-B", help="years A to B, such as 2012-2019")
    swept = part("overparameterised", _overparameterised, "Exponents where data and width grow together")
    swept.add_argument("directory", metavar="DIR", type=Path, help="a sweep: sweep=overparameterised")
    written = part("language", _language, "Exponent of a sweep over text beside the paper's benchmarks")
    written.add_argument("directory", metavar="DIR", type=Path, help="a sweep: sweep=isoflop_lm")
    lessened = part("levers", _levers, "Ways to lessen the burden: do they move the exponent?")
    lessened.add_argument("directory", metavar="DIR", type=Path, help="a sweep: sweep=levers")
    own = "sweeps of your own, whose verdicts are the first rows of the claims"
    judged = part("claims", _claims, "Every claim with its verdict, from the parts that have been run")
    judged.add_argument("directories", metavar="DIR", nargs="*", type=Path, help=own)
    whole = part("all", _all, "Every part, and the page")
    whole.add_argument("directories", metavar="DIR", nargs="*", type=Path, help=own)
    whole.add_argument("--quick", action="store_true", help="small simulation and sweep: under 3 minutes")


def _add_published(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="your models (default: torchvision's metadata)"
    )
    dialect.add_axes(sub)
    dialect.add_group(sub)
    dialect.add_where(sub)
    for name, text in (
        ("name", "of your own table: the model's name"),
        ("year", "of your own table: the year or date of publication"),
        ("n", "of your own table: parameters"),
    ):
        sub.add_argument(f"--{name}", metavar="COL", help=text)
    sub.add_argument("--exclude-name", metavar="REGEX", help="names to leave out, such as ^test_")
    sub.add_argument("--resamples", type=int, default=1000, help="of families (default 1000)")
    for old, dest, new in (
        ("csv", "old_file", "FILE, as the first argument"),
        ("error", "y", "--y"),
        ("compute", "x", "--x"),
        ("error-unit", "y_unit", "--y-unit"),
        ("family", "group", "--group"),
        ("parameters", "n", "--n"),
        ("exclude", "exclude_name", "--exclude-name"),
    ):
        kind = Path if dest == "old_file" else str
        sub.add_argument(f"--{old}", action=dialect.Renamed, dest=dest, new=new, type=kind, default=None)
    sub.add_argument("--max-error", action=dialect.Renamed, dest="max_error", new="--where 'Y < V'")


def _add_implications(sub: argparse.ArgumentParser) -> None:
    text = "sweeps with a fit.json, or tables of your own (with --x and --y)"
    sub.add_argument("directories", metavar="PATH", nargs="*", type=Path, help=text)
    sub.add_argument("--target", action="append", type=_share, metavar="Y", help="an error: 0.05 or 5%%")
    sub.add_argument("--name", help=argparse.SUPPRESS)
    dialect.add_axes(sub)
    dialect.add_grouping(sub)
    dialect.add_where(sub)
    prices.add_option(sub)
    for old in ("price", "grid"):
        sub.add_argument(
            f"--{old}", action=dialect.Renamed, dest="cost", new="--cost (repeated)", const="append"
        )


def _share(text: str) -> float:
    """Return an error as a fraction: of `0.05`, `5%` or `5 %`.

    Raises:
        argparse.ArgumentTypeError: it is neither, or does not lie between 0 and 1.
    """
    number, sign, rest = text.strip().partition("%")
    try:
        value = float(number) / (100 if sign else 1)
    except ValueError:
        value = math.nan
    if rest or not 0 < value < 1:
        meant = f"{number.strip()}%" if not sign and 1 <= value < 100 else "0.05 or 5%"
        raise argparse.ArgumentTypeError(f"{text} is no error between 0 and 1: give {meant}")
    return value


def _theory(options: argparse.Namespace) -> int:
    return paper_parts.show(_make_theory(paper_parts.folder(options), options), options)


def _make_theory(out: Path, options: argparse.Namespace) -> Any:
    from isoflop.meter.device.hardware import describe_cpu
    from isoflop.paper.pages import theory as paper_theory
    from isoflop.paper.theory import result as theory_result
    from isoflop.paper.theory import simulate

    settings = theory_result.TheorySettings()
    if options.quick:
        settings = theory_result.quick(settings)
    if getattr(options, "simulations", None) is not None:
        settings = dataclasses.replace(settings, simulations=options.simulations)
    result = simulate.run(settings, hardware=describe_cpu(), command=paper_parts.command("theory", options))
    return paper_parts.save(out, result, paper_theory.section, result.rows, options)


def _published(options: argparse.Namespace) -> int:
    out = paper_parts.folder(options)
    output.check_resamples(options.resamples)
    options.file = options.file or options.old_file
    if options.file is None:
        given = ("x", "y", "x_unit", "y_unit", "x_label", "y_label", "group", "where", "name", "year", "n")
        for name in (*given, "exclude_name", "max_error"):
            if getattr(options, name) is not None:
                raise ConfigError(f"--{name.replace('_', '-')} needs a FILE of models")
    elif not (options.y and options.x):
        raise ConfigError(f"{options.file}: say --x COLUMN of the compute and --y COLUMN of the error")
    return paper_parts.show(_make_published(out, options), options)


def _make_published(out: Path, options: argparse.Namespace) -> Any:
    from isoflop.paper import models, published
    from isoflop.paper.pages import published as paper_published

    if getattr(options, "file", None) is not None:
        if options.max_error is not None:  # of one release ago
            limit = f"`{options.y}` < {options.max_error}"
            options.where = f"({options.where}) and {limit}" if options.where else limit
        chosen = {f.name: getattr(options, f.name) for f in dataclasses.fields(models.Columns)}
        points = models.read_models_csv(options.file, models.Columns(**chosen))
    else:
        from isoflop.paper import torchvision_weights

        points = torchvision_weights.read_models()
    result = published.analyse(points, resamples=getattr(options, "resamples", 1000))
    listed = [_Model(*row) for row in zip(*(getattr(points, name) for name in _MODEL), strict=True)]
    return paper_parts.save(out, result, paper_published.section, listed, options)


@dataclasses.dataclass(frozen=True)
class _Model:
    """A row of published.csv."""

    name: str
    family: str
    error: float
    compute: float
    parameters: float | None
    year: float | None


_MODEL = ("names", "families", "error", "compute", "parameters", "year")


def _implications(options: argparse.Namespace) -> int:
    from isoflop.curve import result

    out = paper_parts.folder(options)
    if options.name is not None:
        raise ConfigError(
            "--name: a bill is of the line through all models and names none: leave it out (isoflop paper "
            "published reads it)"
        )
    prices_of = _today(options.cost)
    for path in options.directories:
        if path.is_dir() and not (path / "fit.json").is_file():
            raise ConfigError(f"{path}: no fit.json here: run isoflop fit {path} --save")
    if all(path.is_dir() for path in options.directories):
        dialect.refuse_of_folder(options, (*dialect.OWN, "x", "y", "where"))
    fits = [
        (path.resolve().name, result.read_fits(path / "fit.json"))
        if path.is_dir()
        else (path.name, _fit_own(path, options))
        for path in options.directories
    ]
    return paper_parts.show(_make_implications(out, options, fits, prices_of), options)


def _fit_own(path: Path, options: argparse.Namespace) -> Any:
    """Return the fits of both forms to a table of one's own.

    Raises:
        ConfigError: x is no compute in a known unit.
    """
    from isoflop.api import rows as table_rows
    from isoflop.cli import rows
    from isoflop.curve import fit
    from isoflop.paper import forms

    given = argparse.Namespace(**{"chance": None, **vars(options), "directory": path, "cost": None})
    own = table_rows.of_file(path, rows.choice(given))
    assert own.described is not None
    if own.described.x.flops is None:
        raise ConfigError(
            f"{path}: {own.described.x.column} is in no unit of compute: say --x-unit, such as FLOP or GMAC"
        )
    laws = tuple(forms.LAW_OF_FORM.values())
    method = fit.Method(laws=laws, forecast=False, independent=options.group is not None)
    return table_rows.fit(own, method, source=path.name)


def _make_implications(
    out: Path, options: argparse.Namespace, fits: Sequence[tuple[str, Any]], today: Any
) -> Any:
    from isoflop.paper import implications, published, torchvision_weights
    from isoflop.paper.pages import implications as paper_implications

    targets = getattr(options, "target", None) or implications.TARGETS
    models = published.analyse(torchvision_weights.read_models())
    result = implications.analyse(today, models, fits, targets)
    return paper_parts.save(out, result, paper_implications.section, result.bills, options)


def _today(chosen: Sequence[str] | None = None) -> Any:
    """Return today's conversion from sets of prices: one of GPU-hours, and one of a grid's CO2.

    What the chosen ones do not price, the defaults do.

    Raises:
        ConfigError: a set that prices neither, or as config.costs.load_one.
    """
    from isoflop.meter.device import peaks
    from isoflop.paper import facts, implications

    sets = [costs.load_one(name).cost for name in chosen or ()]
    for name, each in zip(chosen or (), sets, strict=True):
        if each.dollars_per_gpu_hour is None and each.grams_co2_per_kwh is None:
            raise ConfigError(
                f"--cost {name}: has neither dollars_per_gpu_hour nor grams_co2_per_kwh: choose one such as "
                f"{PRICE} or {GRID}"
            )
    of_hours = [each for each in sets if each.dollars_per_gpu_hour is not None]
    of_grid = [each for each in sets if each.grams_co2_per_kwh is not None]
    for name, many in (("dollars_per_gpu_hour", of_hours), ("grams_co2_per_kwh", of_grid)):
        if len(many) > 1:
            raise ConfigError(f"--cost {', '.join(chosen or ())}: {name} is priced twice: choose one")
    money = of_hours[0] if of_hours else costs.load_one(PRICE).cost
    carbon = of_grid[0] if of_grid else costs.load_one(GRID).cost
    assert money.dollars_per_gpu_hour is not None
    assert carbon.grams_co2_per_kwh is not None
    gpu = facts.TODAY
    peak = peaks.peak_rate(gpu.name, gpu.dtype)
    assert peak is not None
    return implications.today(
        peak.flops_per_second,
        dollars_per_gpu_hour=money.dollars_per_gpu_hour,
        grams_co2_per_kwh=carbon.grams_co2_per_kwh,
        pue=carbon.pue or 1.0,
        source=f"{gpu.name}: {peak.source}; {gpu.source} [{gpu.mark}]; {money.source}; {carbon.source}",
    )


def _hindsight(options: argparse.Namespace) -> int:
    return paper_parts.show(_make_hindsight(paper_parts.folder(options), options), options)


def _make_hindsight(out: Path, options: argparse.Namespace) -> Any:
    from isoflop.paper import hindsight
    from isoflop.paper.pages import hindsight as paper_hindsight

    result = hindsight.analyse()
    return paper_parts.save(out, result, paper_hindsight.section, result.outcomes, options)


def _limits(options: argparse.Namespace) -> int:
    return paper_parts.show(_make_limits(paper_parts.folder(options), options), options)


def _make_limits(out: Path, options: argparse.Namespace) -> Any:
    from isoflop.paper import limits
    from isoflop.paper.pages import limits as paper_limits

    result = limits.analyse()
    return paper_parts.save(out, result, paper_limits.section, result.reached, options)


def _growth(options: argparse.Namespace) -> int:
    out = paper_parts.folder(options)
    return paper_parts.show(_make_growth(out, options), options)


def _make_growth(out: Path, options: argparse.Namespace) -> Any:
    from isoflop.meter.device import peaks
    from isoflop.paper import growth, notable
    from isoflop.paper.pages import growth as paper_growth

    chosen: Path | None = getattr(options, "csv", None)
    models, excluded = notable.read_notable_csv(chosen) if chosen else (notable.TABLE, ())
    source = chosen.name if chosen else notable.SOURCE
    windows = [_window(years) for years in getattr(options, "window", None) or ()] or growth.WINDOWS
    gpus = growth.gpu_peaks(
        {
            name: tuple(
                (dtype, peak.flops_per_second, peak.source)
                for dtype in ("fp32", "fp16")
                if (peak := peaks.peak_rate(name, dtype)) is not None
            )
            for name in (*growth.RELEASED, *growth.GAMING)
        }
    )
    result = growth.analyse(models, gpus, source=source, windows=windows, excluded=excluded)
    return paper_parts.save(out, result, paper_growth.section, result.models, options)


def _window(years: str) -> tuple[float, float]:
    match = re.fullmatch(r"(\d{4})-(\d{4})", years)
    if not match or int(match[2]) < int(match[1]):
        raise ConfigError(f"--window {years}: give two years, the earlier first, such as 2012-2019")
    return float(match[1]), float(match[2]) + 1


def _overparameterised(options: argparse.Namespace) -> int:
    out = paper_parts.folder(options)
    return paper_parts.show(_make_overparameterised(out, options, options.directory), options)


def _make_overparameterised(out: Path, options: argparse.Namespace, directory: Path) -> Any:
    from isoflop.paper import overparameterised
    from isoflop.paper.pages import overparameterised as paper_overparameterised
    from isoflop.table import aggregate

    rows = _of_baseline(aggregate.aggregate(directory).rows, directory)
    result = overparameterised.analyse(rows, source=directory.resolve().name)
    return paper_parts.save(out, result, paper_overparameterised.section, result.places, options)


def _language(options: argparse.Namespace) -> int:
    from isoflop.paper import language
    from isoflop.paper.pages import language as paper_language
    from isoflop.table import aggregate

    out = paper_parts.folder(options)
    rows = _of_baseline(aggregate.aggregate(options.directory).rows, options.directory)
    result = language.analyse(rows, source=options.directory.resolve().name)
    made = paper_parts.save(out, result, paper_language.section, result.benchmarks, options)
    return paper_parts.show(made, options)


def _levers(options: argparse.Namespace) -> int:
    from isoflop.curve.levers import compare
    from isoflop.paper import levers
    from isoflop.paper.pages import levers as paper_levers
    from isoflop.table import aggregate

    out, directory = paper_parts.folder(options), options.directory
    table = aggregate.aggregate(directory)
    runs = compare.of_table(table.rows, directory.resolve().name, directory, excluded=table.excluded)
    result = levers.analyse(runs)
    made = paper_parts.save(out, result, paper_levers.section, result.report.levers, options)
    return paper_parts.show(made, options)


def _claims(options: argparse.Namespace) -> int:
    out = paper_parts.folder(options)
    return paper_parts.show(_make_claims(out, options, _own_sweeps(options)), options)


def _own_sweeps(options: argparse.Namespace) -> tuple[Any, ...]:
    """Return the user's own sweeps with their verdicts (own_sweep.of_folder); reads all before any part runs.

    Raises:
        ConfigError: a path is no folder of records, or holds no finished run.
    """
    from isoflop.paper import own_sweep
    from isoflop.table import aggregate

    found = []
    for path in options.directories:
        if not path.is_dir():
            raise ConfigError(f"{path}: no folder: give the folder of a sweep, such as results/NAME")
        rows = _of_baseline(aggregate.aggregate(path).rows, path)
        if rows.empty:
            raise ConfigError(f"{path}: no finished run to judge: isoflop status {path} says how far it is")
        found.append(own_sweep.of_rows(rows, path.resolve().name))
    return tuple(found)


def _of_baseline(rows: Any, directory: Path) -> Any:
    """Return the rows that one curve is of: of a sweep with levers the baseline's."""
    from isoflop.table import levers

    return levers.one_arm(rows, directory).rows.reset_index(drop=True)


def _make_claims(out: Path, options: argparse.Namespace, own: Sequence[Any] = ()) -> Any:
    from isoflop.paper import (
        claims,
        growth,
        hindsight,
        implications,
        language,
        levers,
        limits,
        overparameterised,
        published,
        saved,
    )
    from isoflop.paper.pages import claims as paper_claims

    simulate = next((s.section.found for s in saved.read_sections(out) if s.section.name == "theory"), None)
    result = claims.judge(
        claims.Results(
            published=saved.read_result(out, "published", published.PublishedResult),
            implications=saved.read_result(out, "implications", implications.ImplicationsResult),
            growth=saved.read_result(out, "growth", growth.GrowthResult),
            overparameterised=saved.read_result(
                out, "overparameterised", overparameterised.OverparameterisedResult
            ),
            hindsight=saved.read_result(out, "hindsight", hindsight.HindsightResult),
            limits=saved.read_result(out, "limits", limits.LimitsResult),
            language=saved.read_result(out, "language", language.LanguageResult),
            levers=saved.read_result(out, "levers", levers.LeversResult),
            theory=simulate,
            own=tuple(own),
        )
    )
    return paper_parts.save(out, result, paper_claims.section, result.claims, options)


def _all(options: argparse.Namespace) -> int:
    out = paper_parts.folder(options)
    own = _own_sweeps(options)
    swept = out / "overparameterised"
    _sweep(swept, quick=options.quick)  # first: without torch it refuses, where runs are missing
    _make_theory(out, options)
    _make_published(out, options)
    _make_hindsight(out, options)
    _make_limits(out, options)
    _make_growth(out, options)
    _make_overparameterised(out, options, swept)
    _make_implications(out, options, [("overparameterised", _laws(swept))], _today())
    return paper_parts.show(_make_claims(out, options, own), options)


def _sweep(directory: Path, *, quick: bool) -> None:
    """Train the missing runs of conf/sweep/overparameterised.yaml; with `quick` one seed of each."""
    from isoflop.cli import sweep
    from isoflop.sweep import grid, retry

    overrides = ["sweep=overparameterised", *(["seed=0"] if quick else [])]
    composed = dataclasses.replace(compose_config(overrides, None), out=str(directory))
    base = dataclasses.replace(composed, sweep=grid.without_axes(composed.sweep, ["seed"] if quick else []))
    sweep.run_missing(base, grid.expand(base), base.directory, retry.parse_states(None))


def _laws(directory: Path) -> Any:
    from isoflop.curve import fit
    from isoflop.paper import forms
    from isoflop.table import aggregate

    rows = aggregate.aggregate(directory).rows
    axes = (("train_gflops", "test_error"),)
    method = fit.Method(laws=tuple(forms.LAW_OF_FORM.values()), resamples=SWEEP_RESAMPLES, forecast=False)
    return fit.fit_all(rows, source=directory.name, method=method, axes=axes)
