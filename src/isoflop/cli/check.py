"""isoflop check: is this sweep valid? Its points are checked before anything is fitted to them."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from isoflop.cli import dialect, exclusion, fit, output, prices, rows

EXAMPLES = """examples:
  isoflop check results/NAME                        a sweep's folder
  isoflop check results/NAME --json -               the findings as JSON
  isoflop check results/NAME --exclude undertrained   and fits with and without the points it names
  isoflop check runs.csv --x flops --y error --seed seed --train-loss loss --width d_model --depth layers
  isoflop check wandb.csv --x train_gflops --y test_error --group model.width,model.depth --seed seed"""

OWN = "of your own table:"
COLUMNS = {
    "train_loss": "training loss at the end",
    "width": "width",
    "depth": "depth",
    "n": "parameters",
    "d": "examples seen",
    "train_n": "size of the training set",
    "lr": "learning rate",
}
"""Option -> what its column holds; tables that use common names (lr, params, tokens) need none."""
OF_OPTIONS = tuple(f"column_{name}" for name in COLUMNS)
"""The same options by the names of their values."""
OF_TABLE = {"n": "parameters", "d": "examples_seen"}
"""Option -> column of a sweep's table where the two differ."""


@dataclasses.dataclass(frozen=True)
class Checked:
    """What `isoflop check` says, as text and as JSON.

    Attributes:
        check: the checks (front.CheckReport).
        fit, fit_without: with --exclude, the fits with all points and without those it names; else None.
        verdict: of the runs on the paper's limit (judge.limit), as `isoflop report` has it; None where the
            limit does not speak of x and y.
        notes: about a table from elsewhere.
        excluded: its rows that are not checked, each with its reason.
    """

    check: Any
    fit: Any
    fit_without: Any
    verdict: Any
    notes: tuple[str, ...]
    excluded: tuple[Any, ...]


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb(
        "check", _check, "Is this sweep valid? Undertrained shapes, learning rates, design, drift"
    )
    verb.epilog, verb.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    verb.add_argument("directory", metavar="PATH", type=Path, help=dialect.PATH)
    output.add_json(verb)
    fit.add_method(verb)
    dialect.add_axes(verb, named=False)
    dialect.add_grouping(verb)
    add_columns(verb)


def add_columns(verb: argparse.ArgumentParser, **other: str) -> None:
    """Add the options that name what the checks read of a table of one's own; `other` are help texts by name
    where an option means something else too."""
    for name, text in COLUMNS.items():
        option, said = f"--{name.replace('_', '-')}", other.get(name, f"{OWN} {text}")
        verb.add_argument(option, metavar="COL", dest=f"column_{name}", help=said)


def _check(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import check_table, console, left_out
    from isoflop.curve.check import front, sweep_files
    from isoflop.curve.judge import limit

    if options.json:
        output.check_target(options.json)
    method = rows.method_of(options)
    chosen = _read(options)
    assert chosen.axes is not None
    table, (x, y) = chosen.checked, chosen.axes
    folder = options.directory if options.directory.is_dir() else None
    files = sweep_files.read(folder, table["run_id"]) if folder else sweep_files.NONE
    report = front.check(table, files)
    every, rest = _fits(options, method, table, x, y) if options.exclude else (None, None)
    left = exclusion.left_out(options, table)
    verdict = limit.of_axes(table, report, (x, y), chosen.described, left)
    excluded = (*chosen.dropped, *chosen.excluded)
    checked = Checked(report, every, rest, verdict, chosen.notes, excluded)
    if options.json:
        return output.write_json(checked, options.json)
    for note in checked.notes:
        console.OUT.print(f"note: {note}", markup=False)
    left_out.show_excluded(checked.excluded, console.OUT)
    check_table.show(checked.check)
    if checked.verdict is not None:
        check_table.show_verdict(checked.verdict)
    if checked.fit is not None and checked.fit_without is not None:
        check_table.show_fits(checked.fit, checked.fit_without)
    return output.DONE


def _read(options: argparse.Namespace) -> Any:
    """Return the rows to check (rows.Rows), with their axes."""
    from isoflop.table import aggregate

    if not options.directory.is_dir():
        return rows.of_file(options)
    dialect.refuse_of_folder(options, (*dialect.OWN, *OF_OPTIONS))
    return rows.of_sweep(options, aggregate.aggregate(options.directory, prices.chosen(options)), custom=True)


def named_columns(options: argparse.Namespace) -> dict[str, str | None]:
    """Return column of a sweep's table -> the column that an option names for it."""
    return {OF_TABLE.get(name, name): getattr(options, f"column_{name}", None) for name in COLUMNS}


def _fits(options: argparse.Namespace, method: Any, table: Any, x: str, y: str) -> tuple[Any, Any]:
    """Return the fits with and without the points that --exclude names."""
    from isoflop.curve import fit as curve_fit

    left = exclusion.left_out(options, table)
    every = curve_fit.fit_table(table, x=x, y=y, method=method)
    rest = dataclasses.replace(method, left_out=left)
    return every, curve_fit.fit_table(table, x=x, y=y, method=rest)
