"""One dialect of options over tables: what they are called, mean and say of themselves, in every verb."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isoflop.config import ConfigError

PATH = "the folder of a sweep, or a csv, parquet, json, json lines or W&B export"
OWN = ("x_unit", "y_unit", "x_label", "y_label", "group", "seed", "counts")
"""Options that only a table of one's own takes: records hold it already."""
FROM_FLOPS = ("target", "gpu_tflops", "gpu_watts")
"""Options of what a lower error takes, by FLOPs alone: only of a table of one's own too, and for another
reason."""

_AXES = (
    ("x", "COL", "a column such as train_gflops, or an expression: '6 * params * tokens'"),
    ("y", "COL", "a column such as test_error, or an expression: '1 - acc1'"),
    ("x-unit", "UNIT", "of your own table: FLOP, GMAC, PFLOP/s-days, or any other unit of x"),
    ("y-unit", "UNIT", "of your own table: percent, fraction, or any other unit of y"),
    ("x-label", "TEXT", "of your own table: what x is called, such as 'training compute'"),
    ("y-label", "TEXT", "of your own table: what y is called, such as 'top-1 error'"),
)
_GROUPING = (
    ("group", "COL", "of your own table: what makes a configuration"),
    ("seed", "COL", "of your own table: the column that repeats one"),
    ("counts", "N", "of your own table: test examples, a number or a column"),
)
_WHERE = "only these rows: 'dataset == \"c4\" and not outlier'"


def add_axes(parser: argparse.ArgumentParser, *, named: bool = True) -> None:
    """Add the options that say what x and y are; with `named` also what they are called on a page."""
    _add(parser, [each for each in _AXES if named or each[0] in ("x", "y", "y-unit")])


def add_grouping(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which rows of a table of one's own belong together."""
    _add(parser, _GROUPING)


def add_group(parser: argparse.ArgumentParser) -> None:
    """Add --group alone, for what takes no seeds."""
    _add(parser, _GROUPING[:1])


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add --where."""
    parser.add_argument("--where", metavar="COND", help=_WHERE)


def _add(parser: argparse.ArgumentParser, options: Sequence[tuple[str, str, str]]) -> None:
    for name, metavar, text in options:
        parser.add_argument(f"--{name}", metavar=metavar, help=text)


def refuse_of_folder(options: argparse.Namespace, names: Sequence[str] = OWN) -> None:
    """Raise ConfigError where one of these options is given of a sweep's folder."""
    for name in names:
        if getattr(options, name, None) is not None:
            option = name.removeprefix("column_").replace("_", "-")
            raise ConfigError(f"--{option} is for a table of your own: {_instead(name)}")


def _instead(name: str) -> str:
    """Return why an option is not for a sweep."""
    if name in FROM_FLOPS:
        return "of a sweep, isoflop paper implications DIR takes it"
    return "records hold it already"


class Renamed(argparse.Action):
    """An old name of an option, read with a warning for one release; `new` is what to write."""

    def __init__(self, option_strings: Sequence[str], dest: str, new: str = "", **kwargs: Any) -> None:
        super().__init__(option_strings, dest, help=argparse.SUPPRESS, **kwargs)
        self.new = new

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Keep the value under the new name."""
        _warn(str(option_string), self.new)
        if isinstance(before := getattr(namespace, self.dest, None), list):
            values = [*before, values]
        elif self.const == "append":
            values = [values]
        setattr(namespace, self.dest, values)


@functools.cache  # once a process
def _warn(old: str, new: str) -> None:
    sys.stderr.write(
        f"isoflop: {old} is now called {new}: use the new name, "
        "the old one stops working in the next release\n"
    )


def out_of(path: Path) -> Path:
    """Return the folder that a report of a file is written to by default: its stem in the working folder."""
    stem = path.name.removesuffix(".gz")
    return Path(Path(stem).stem)
