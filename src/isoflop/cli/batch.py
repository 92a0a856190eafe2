"""isoflop batch: steps against examples to a loss, and the critical batch size."""

from __future__ import annotations

import argparse
from pathlib import Path

from isoflop.cli import dialect, output, rows

EXAMPLES = """examples:
  isoflop sweep sweep=batch && isoflop batch results/batch-digits     train, then read
  isoflop batch results/batch-digits --loss 0.3                       to another loss
  isoflop batch runs.csv --batch bs --steps step --y val_loss --seed seed --lr lr --figure batch.svg"""


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("batch", _batch, "Critical batch size: how many steps each batch size takes to a loss")
    verb.epilog, verb.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    text = "the folder of a sweep over batch sizes, or a file with one row an evaluation"
    verb.add_argument("directory", metavar="SRC", type=Path, help=text)
    text = "the loss to reach (default: the lowest that all batch sizes reach)"
    verb.add_argument("--loss", type=float, metavar="V", help=text)
    output.add_json(verb)
    text = "write the figure (png, svg or pdf), and its data as CSV beside it"
    verb.add_argument("--figure", metavar="FILE", type=Path, help=text)
    for name, what in (
        ("batch", "batch size, in examples"),
        ("steps", "optimizer steps"),
        ("y", "the loss there"),
        ("seed", "the seed"),
        ("lr", "the learning rate"),
    ):
        verb.add_argument(f"--{name}", metavar="COL", help=f"of your own table: the column of {what}")
    dialect.add_where(verb)
    verb.add_argument(
        "--level", type=float, default=95.0, metavar="P", help="level of the intervals in per cent (95)"
    )


def _batch(options: argparse.Namespace) -> int:
    from isoflop.api import batch
    from isoflop.cli.terminal import batch_table, console
    from isoflop.curve.batch import front
    from isoflop.report.figures import batch as drawing
    from isoflop.table import loss_curves

    if options.json:
        output.check_target(options.json)
    if options.figure is not None:
        output.check_figure(options.figure, sources=[options.directory])
    level = rows.level(options)
    named = {what: getattr(options, name) for what, name in loss_curves.OPTIONS.items()}
    curves = batch.read(options.directory, named, options.where)
    fit = front.critical_batch(curves, options.loss, level)
    if options.figure is not None:
        drawing.write(fit, options.figure)
    if options.json:
        return output.write_json(fit, options.json)
    batch_table.show(fit, console.OUT)
    if options.figure is not None:
        console.OUT.print(f"written: {options.figure}", markup=False)
    return output.DONE
