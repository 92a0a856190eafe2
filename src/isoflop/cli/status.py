"""isoflop status: the state of every run of a sweep, once or until all have ended."""

from __future__ import annotations

import argparse

from isoflop.cli import output
from isoflop.config import ConfigError


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("status", _status, "Show the state of every run of a sweep, and the reason")
    output.add_directory(verb)
    output.add_json(verb)
    verb.add_argument("--watch", action="store_true", help="look on until every run has ended")


def _status(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import status_table, watch
    from isoflop.sweep import status

    if options.watch and options.json:
        raise ConfigError("--watch looks on at a terminal, --json writes one answer: give one of them")
    if options.watch:
        return watch.watch(options.directory)
    states = status.read_status(options.directory)
    if options.json:
        return output.write_json(states, options.json)
    status_table.show(states)
    return output.DONE
