"""isoflop fit --law and --isoflop: laws in several resources, and IsoFLOP profiles, of a sweep or a table."""

from __future__ import annotations

import argparse
from typing import Any

from isoflop.cli import output
from isoflop.config import ConfigError

COLUMNS = ("n", "d", "width", "depth", "compute")
_OF_ONE_RESOURCE = ("x", "laws", "frontier", "quantile", "wild", "counts")


def add(made: argparse.ArgumentParser) -> None:
    """The options of `fit` for several resources."""
    laws = "chinchilla, rosenfeld, width_depth_data"
    made.add_argument("--law", metavar="LAW", help=f"fit a law in several resources: {laws}")
    made.add_argument(
        "--isoflop", metavar="SIZE[,SIZE]", help="IsoFLOP profiles: optimal sizes (columns) at equal compute"
    )
    for name, words in (
        ("n", "parameters"),
        ("d", "data seen; without it, compute / 6N"),
        ("width", "width"),
        ("depth", "depth"),
        ("compute", "training compute"),
    ):
        made.add_argument(f"--{name}", metavar="COL", help=f"of --law and --isoflop: {words}")


def asked(options: argparse.Namespace) -> bool:
    """Whether several resources are asked for. ConfigError where options do not go together."""
    if options.law is None and options.isoflop is None:
        for name in COLUMNS:
            if getattr(options, name) is not None:
                raise ConfigError(f"--{name} is for --law and --isoflop: say one of them, or --x")
        return False
    if options.law is not None and options.isoflop is not None:
        raise ConfigError("--law and --isoflop are two methods: say one of them")
    if options.resamples < 100:
        raise ConfigError(f"--resamples {options.resamples}: an interval needs at least 100")
    _refuse(options)
    return True


def _refuse(options: argparse.Namespace) -> None:
    """ConfigError for an option that the method does not take."""
    from isoflop.curve.joint import resources

    if options.law is not None:
        takes, method = resources.options_of(options.law), f"--law {options.law}"
        strange = [name for name in resources.ROLE if name not in takes]
    else:
        takes, method, strange = ("compute",), "--isoflop", ["width", "depth"]
    told = ", ".join(f"--{name}" for name in takes)
    why = dict.fromkeys(_OF_ONE_RESOURCE, "it is of laws in one resource")
    why |= dict.fromkeys(("x", *strange), f"it takes {told} and --y")
    if options.isoflop is not None:
        why["hold_out"] = "profiles predict nothing beyond their budgets"
    for name, reason in why.items():
        if getattr(options, name) not in (None, False):
            raise ConfigError(f"{method} does not take --{name.replace('_', '-')}: {reason}")
    if options.energy_grade != "C":
        raise ConfigError(f"{method} does not take --energy-grade: it is of an axis of joules")


def fit(options: argparse.Namespace) -> int:
    """Fit, and print or write as JSON; nothing else is written."""
    from isoflop.cli.terminal import console, isoflop_table, joint_table

    if options.json:
        output.check_target(options.json)
    found: Any
    found, words = _law(options) if options.law is not None else _profiles(options)
    if options.json:
        return output.write_json(found, options.json)
    for word in words:
        console.OUT.print(f"note: {word}", markup=False)
    table = joint_table if options.law is not None else isoflop_table
    table.show(found, console.OUT)
    return output.DONE


def _read(options: argparse.Namespace, needed: tuple[str, ...], sizes: tuple[str, ...] = ()) -> Any:
    from isoflop.curve.joint import resources

    return resources.read_resources(
        *(options.directory, needed),
        {name: getattr(options, name) for name in (*COLUMNS, "y")},
        sizes=sizes,
        group=options.group,
        seed=options.seed,
        chance=options.chance,
        mixed=options.mixed,
    )


def _law(options: argparse.Namespace) -> tuple[Any, tuple[str, ...]]:
    from isoflop.curve.joint import fit as joint
    from isoflop.curve.joint import resources

    needed = resources.options_of(options.law)
    read, held = _read(options, needed), None
    if options.hold_out is not None:
        read, held = read.split(options.hold_out)
    found = joint.fit_joint(
        *(read.table, options.law, [read.column[name] for name in needed], read.y),
        *(options.resamples, options.seed_of_resamples),
        chance=read.chance if options.law == "rosenfeld" else None,
        compute=read.column.get("compute"),
        held_out=held,
    )
    if held is not None and found.held_out is None:
        raise ConfigError(f"--hold-out {options.hold_out}: no row held out has its resources and y above 0")
    return found, read.warnings


def _profiles(options: argparse.Namespace) -> tuple[Any, tuple[str, ...]]:
    from isoflop.curve.isoflop import profiles, suggest
    from isoflop.curve.joint import resources

    names = tuple(name.strip() for name in options.isoflop.split(","))
    read = _read(options, ("compute",), names)
    try:
        found = profiles.fit_profiles(
            *(read.table, read.column["compute"], read.sizes, read.y, resources.companions(read)),
            resamples=options.resamples,
            seed=options.seed_of_resamples,
        )
    except profiles.NoBudgetError as error:
        plan = suggest.command(read.table) if options.directory.is_dir() else None
        raise ConfigError(f"{error}{f', such as by {plan}' if plan else ''}") from error
    return found, read.warnings
