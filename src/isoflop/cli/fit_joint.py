"""isoflop fit --law and --isoflop: laws in several resources, and IsoFLOP profiles, of a sweep or a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from isoflop.cli import exclusion, output, prices, rows
from isoflop.config import ConfigError

COLUMNS = ("n", "d", "unique", "width", "depth", "compute")
_CHECKED = {"compute": "train_gflops", "d": "examples_seen", "width": "width", "depth": "depth"}
"""Option -> the name of its column in the checks that --exclude takes."""
_OF_ONE_RESOURCE = ("x", "laws", "frontier", "quantile", "wild", "counts")
"""FitOptions of a fit in one resource, which neither method takes."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `isoflop fit` for several resources."""
    laws = "chinchilla, chinchilla_repeated, rosenfeld, width_depth_data"
    parser.add_argument("--law", metavar="LAW", help=f"fit a law in several resources: {laws}")
    parser.add_argument(
        "--isoflop", metavar="SIZE[,SIZE]", help="IsoFLOP profiles: optimal sizes (columns) at equal compute"
    )
    for name, text in (
        ("n", "parameters"),
        ("d", "data seen; without it, compute / 6N"),
        ("unique", "unique examples of the data set, for repeats"),
        ("width", "width"),
        ("depth", "depth"),
        ("compute", "training compute"),
    ):
        parser.add_argument(f"--{name}", metavar="COL", help=f"of --law and --isoflop: {text}")


def is_requested(options: argparse.Namespace) -> bool:
    """Return whether --law or --isoflop is given. Raises ConfigError where options do not go together."""
    if options.law is None and options.isoflop is None:
        for name in COLUMNS:
            if getattr(options, name) is not None:
                raise ConfigError(f"--{name} is for --law and --isoflop: give one of them, or --x")
        return False
    if options.law is not None and options.isoflop is not None:
        raise ConfigError("--law and --isoflop are two methods: give one of them")
    output.check_resamples(options.resamples)
    _check_options(options)
    return True


def _check_options(options: argparse.Namespace) -> None:
    """Raise ConfigError for an option that the method does not take."""
    from isoflop.curve.joint import resources

    if options.law is not None:
        takes, method = resources.options_of(options.law), f"--law {options.law}"
        foreign = [name for name in resources.ROLE if name not in takes]
    else:
        takes, method, foreign = ("compute",), "--isoflop", ["unique", "width", "depth"]
    taken = ", ".join(f"--{name}" for name in takes)
    reasons = dict.fromkeys(_OF_ONE_RESOURCE, "it is of laws in one resource")
    reasons |= dict.fromkeys(("x", *foreign), f"it takes {taken} and --y")
    if options.isoflop is not None:
        reasons |= dict.fromkeys(("fix", "draws"), "it is of laws")
        reasons["hold_out"] = "profiles predict nothing beyond their budgets"
    for name, reason in reasons.items():
        if getattr(options, name) not in (None, False):
            raise ConfigError(f"{method} does not take --{name.replace('_', '-')}: {reason}")
    if options.energy_grade != "C":
        raise ConfigError(f"{method} does not take --energy-grade: it is of an axis of joules")


def fit(options: argparse.Namespace) -> int:
    """Fit, and print the result or write it as JSON; nothing else is written."""
    from isoflop.cli.terminal import console, isoflop_table, joint_table

    if options.json:
        output.check_target(options.json)
    result: Any = fit_rows(options, read(options))
    if options.json:
        return output.write_json(result, options.json)
    table = joint_table if options.law is not None else isoflop_table
    table.show(result, console.OUT, every_note=options.full or options.notes)
    return output.DONE


def read(options: argparse.Namespace) -> Any:
    """Return the rows of a sweep or a table with the columns that hold each resource (ResourceTable)."""
    from isoflop.curve.joint import resources

    needed: tuple[str, ...] = ("compute",)
    sizes: tuple[str, ...] = ()
    if options.law is not None:
        needed = resources.options_of(options.law)
    else:
        sizes = tuple(name.strip() for name in options.isoflop.split(","))
    data = resources.read_resources(
        *(options.directory, needed),
        {name: getattr(options, name) for name in (*COLUMNS, "y")},
        sizes=sizes,
        group=options.group,
        seed=options.seed,
        chance=options.chance,
        mixed=options.mixed,
        where=options.where,
        by=options.by,
        y_unit=options.y_unit,
        prices=prices.chosen(options),
    )
    known = {
        name: data.table[source] for option, name in _CHECKED.items() if (source := data.column.get(option))
    }
    left = exclusion.left_out(options, data.table.assign(**known))
    return data.without(left) if left else data


def fit_rows(options: argparse.Namespace, data: Any) -> Any:
    """Return the joint fit of --law, or the profiles of --isoflop, with what was said of the rows."""
    return _fit_law(options, data) if options.law is not None else _fit_profiles(options, data)


def _fit_law(options: argparse.Namespace, data: Any) -> Any:
    from isoflop.curve import result as results
    from isoflop.curve.joint import fit as joint
    from isoflop.curve.joint import resources

    needed = resources.options_of(options.law)
    held_out = None
    kept = rows.kept_draws(options)
    if options.hold_out is not None:
        data, held_out = data.split(options.hold_out)
    result = joint.fit_joint(
        *(data.table, options.law, [data.column[name] for name in needed], data.y),
        *(options.resamples, options.seed_of_resamples),
        chance=data.chance if options.law == "rosenfeld" else None,
        compute=data.column.get("compute"),
        held_out=held_out,
        mixed=options.mixed,
        confidence=rows.level(options),
        fix=rows.fixed(options),
        keep=kept.add_joint if kept is not None else None,
    )
    if kept is not None:
        kept.write(Path(options.draws))
    if held_out is not None and result.held_out is None:
        raise ConfigError(f"--hold-out {options.hold_out}: no row held out has its resources and y above 0")
    notes = (*data.warnings, *resources.note_on_repeats(data, needed))
    return results.with_notes(result, notes, data.excluded)


def _fit_profiles(options: argparse.Namespace, data: Any) -> Any:
    from isoflop.curve import result as results
    from isoflop.curve.isoflop import profiles, suggest
    from isoflop.curve.joint import resources

    try:
        result = profiles.fit_profiles(
            *(data.table, data.column["compute"], data.sizes, data.y, resources.companions(data)),
            data=resources.data_companion(data),
            mixed=options.mixed,
            resamples=options.resamples,
            seed=options.seed_of_resamples,
            level=rows.level(options),
        )
    except profiles.NoBudgetError as error:
        plan = suggest.command(data.table) if options.directory.is_dir() else None
        raise ConfigError(f"{error}{f', such as by {plan}' if plan else ''}") from error
    return results.with_notes(result, data.warnings, data.excluded)
