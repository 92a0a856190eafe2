"""Where the parts of `isoflop paper` write, and what they show: a section's files, the page, the terminal."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isoflop.cli import output
from isoflop.config import ConfigError

NOT_KEPT = frozenset(
    ("old_file", "verb", "part", "action", "parser", "debug", "json", "out", "overrides", "command")
)
"""Options, and what the parser adds to them, that a section's command does not repeat."""


def folder(options: argparse.Namespace) -> Path:
    """Return the folder to write to, or to read the parts of.

    Raises:
        ConfigError: it is a file or holds a page of somebody else's, or --json names a file that cannot be
            written.
    """
    from isoflop.paper.pages import page

    out: Path = options.out
    if options.json:
        output.check_target(options.json)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: a file: give a folder")
    if page.is_foreign(out):
        raise ConfigError(f"--out {out}: its index.html is no page of isoflop paper: give another folder")
    return out


def save(
    out: Path,
    result: Any,
    draw_section: Callable[[Any, Path], Any],
    rows: Sequence[Any],
    options: argparse.Namespace,
) -> Any:
    """Write a section's files and the page of all that are there; return (result, section, page).

    With `--json -` one part is a question, and nothing is written: the last two are None.

    Args:
        out: the folder.
        result: of the part.
        draw_section: draws the section's figures in a folder and returns the section.
        rows: dataclasses, the lines of its CSV.
        options: of the command.
    """
    from isoflop.paper import saved
    from isoflop.paper.pages import page as paper_page

    if options.json == "-" and options.part != "all":
        return result, None, None
    section = draw_section(result, out)
    saved.write(out, result, section, rows, command(section.name, options))
    return result, section, paper_page.write(out)


def command(name: str, options: argparse.Namespace) -> str:
    """Return the command that made a section, as it was given."""
    if options.part == "all":
        flags = ["--quick"] if options.quick else []
        return shlex.join(["isoflop", "paper", "all", *flags, *map(str, options.directories)])
    arguments = ["isoflop", "paper", name]
    for key, value in vars(options).items():
        if key in NOT_KEPT or not value:
            continue
        values = value if isinstance(value, list) else [value]
        flag = [] if key in ("directory", "directories", "file") else [f"--{key.replace('_', '-')}"]
        arguments += flag if value is True else [text for each in values for text in (*flag, str(each))]
    return shlex.join(arguments)


def show(made: Any, options: argparse.Namespace) -> int:
    """Show a section in the terminal, or write its result as JSON."""
    result, section, page = made
    if options.json:
        return output.write_json(result, options.json)
    from isoflop.cli.terminal import console

    console.show_section(section)
    console.OUT.print(f"page: {page}", markup=False)
    return output.DONE
