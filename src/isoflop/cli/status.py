"""isoflop status: the state of every run of a sweep."""

from __future__ import annotations

import argparse

from isoflop.cli import output


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("status", _status, "Show the state of every run of a sweep, and the reason")
    output.add_directory(verb)
    output.add_json(verb)


def _status(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import status_table
    from isoflop.sweep import status

    states = status.read_status(options.directory)
    if options.json:
        return output.write_json(states, options.json)
    status_table.show(states)
    return output.DONE
