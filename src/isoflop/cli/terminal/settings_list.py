"""The settings on the terminal: a key is a line with its type and one with its explanation."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence

from isoflop.cli.terminal.console import OUT
from isoflop.config import catalog, value_types
from isoflop.config.catalog import Key, Option

ASSIGNMENT_WIDTH = 34
INDENT = "    "


def show_groups(keys: Sequence[Key], name: str | None, config_dir: str | None) -> None:
    """Print the keys, under their groups.

    Args:
        keys: in the order of the configuration; none for a group that has no keys of its own.
        name: the group or section that was asked for, None for all.
        config_dir: a folder of the user's own groups.
    """
    grouped = {group: tuple(each) for group, each in itertools.groupby(keys, key=lambda each: each.group)}
    if name is None:
        grouped |= {group: () for group in catalog.group_texts() if group not in grouped}
    elif not grouped:
        grouped = {name: ()}
    for group, members in grouped.items():
        if group in catalog.group_texts():
            _show_group(group, config_dir, in_full=name == group)
        for each in members:
            _line(f"{_assignment(each):{ASSIGNMENT_WIDTH}}  {value_types.described(each.schema)}")
            _paragraph(sentence(each), INDENT)
        if group in catalog.group_texts():
            _line("")
    _line("null: not set. isoflop config KEY: its value in every option. --cfg job: what a run gets.")


def _show_group(group: str, config_dir: str | None, *, in_full: bool) -> None:
    """Print the head of a group; `in_full` with a line for each option."""
    default = catalog.default_options().get(group)
    names = catalog.option_names(group, config_dir)
    _line(f"{group}: {catalog.group_texts()[group]}")
    if not in_full:
        listed = ", ".join(f"{each} (default)" if each == default else each for each in names)
        _paragraph(f"{group}=OPTION: {listed}", "  ")
        return
    for each in names:
        text = catalog.first_sentence(catalog.option(group, each, config_dir).text)
        mark = " (default)" if each == default else ""
        _paragraph(f"{group}={each}{mark}  {text}".rstrip(), "  ")
    _line("")


def show_key(key: Key, config_dir: str | None) -> None:
    """Print one key with its value in every option of its group."""
    _line(_assignment(key))
    _line(f"{INDENT}{value_types.described(key.schema)}")
    _paragraph(sentence(key), INDENT)
    for option, value in catalog.by_option(key, config_dir).items():
        _line(f"{INDENT}{key.group}={option}: {catalog.written(value)}")


def show_option(option: Option) -> None:
    """Print what an option is and sets, with its command."""
    _line(f"{option.group}={option.name}")
    _paragraph(option.text, INDENT)
    if option.command:
        _line(f"{INDENT}$ {option.command}")
    for key, value in option.settings.items():
        _line(f"{key}={catalog.written(value)}")


def sentence(key: Key) -> str:
    """Return the explanation of a key, and which kinds take it."""
    return f"{key.text} [{', '.join(key.taken_by)}]" if key.taken_by else key.text


def _assignment(key: Key) -> str:
    return f"{key.key}={catalog.written(catalog.defaults()[key.key])}"


def _paragraph(text: str, indent: str) -> None:
    for line in textwrap.wrap(text, OUT.width - 1, initial_indent=indent, subsequent_indent=INDENT):
        _line(line)


def _line(text: str) -> None:
    OUT.print(text, markup=False)
