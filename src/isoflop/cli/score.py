"""isoflop score: the forecast on the public benchmark of learning curves."""

from __future__ import annotations

import argparse
from pathlib import Path

from isoflop.cli import output


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("score", _score, "Score the forecast on the public benchmark of learning curves")
    path_help = "benchmark.*.csv, or a folder that holds them"
    verb.add_argument("directory", metavar="PATH", type=Path, help=path_help)
    output.add_json(verb)


def _score(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console, score_table
    from isoflop.curve.forecast import score

    result = score.score(options.directory)
    if options.json:
        return output.write_json(result, options.json)
    score_table.show(result, console.OUT)
    return output.DONE
