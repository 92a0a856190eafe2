"""The argparse parser of the command: an error in one line, with what was meant; help with the groups."""

from __future__ import annotations

import argparse
import difflib
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from isoflop.cli.output import INPUT
from isoflop.config.errors import did_you_mean

HELP_WIDTH = 100
HELP_INDENT = 13


class Parser(argparse.ArgumentParser):
    """An argparse parser that reports an error in one line and names the nearest choice."""

    epilog_of: Callable[[], str] | None = None
    """Makes the last part of the help, when it is asked for."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where the help is, and exit with code 2."""
        self.exit(INPUT, f"isoflop: {message}: see {self.prog} --help\n")

    def format_help(self) -> str:
        """Return the help, with what `epilog_of` makes at its end."""
        if self.epilog_of is None:
            return super().format_help()
        return f"{super().format_help()}\n{self.epilog_of()}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # As argparse's own, with the nearest choice in place of a list of all verbs.
        if action.choices is None or value in action.choices:
            return
        known = [str(each) for each in action.choices]
        is_verb = isinstance(action, argparse._SubParsersAction)
        meant = did_you_mean(str(value), known, parts=False)
        if is_verb and meant:
            raise argparse.ArgumentError(None, f"{value} is no verb{meant}")
        listed = meant or f": choose from {', '.join(known)}"
        message = f"{value} is no verb" if is_verb else f"{value} is no choice"
        raise argparse.ArgumentError(None if is_verb else action, f"{message}{listed}")


def option_meant(parser: argparse.ArgumentParser, name: str) -> str:
    """Return `: did you mean --NEAREST?` of an option that a verb does not have, or nothing if none is near.

    The dashes are left out of the comparison: they would make any two short options near.
    """
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    known = [each.lstrip("-") for action in shown for each in action.option_strings if each.startswith("--")]
    near = difflib.get_close_matches(name.lstrip("-"), known, 1, 0.6)
    return f": did you mean --{near[0]}?" if near else ""


def groups_help() -> str:
    """Return the Hydra groups with their options, the default first, as the end of a verb's help."""
    from isoflop.config import catalog

    lines = ["overrides:"]
    for group in catalog.group_texts():
        lines += _wrapped(group, catalog.option_names(group))
    lines += [
        "  KEY=VALUE, such as model.width=64 or seed=1. The first option of a group is its default.",
        "  isoflop config lists the keys; --cfg job prints the configuration that the overrides give.",
    ]
    return "\n".join(lines) + "\n"


def _wrapped(group: str, options: Iterable[str]) -> list[str]:
    return textwrap.wrap(
        " ".join(options),
        HELP_WIDTH,
        initial_indent=f"  {group + '=':{HELP_INDENT - 2}}",
        subsequent_indent=" " * HELP_INDENT,
    )
