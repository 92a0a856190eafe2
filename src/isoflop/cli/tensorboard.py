"""isoflop tensorboard: a sweep's records as TensorBoard event files."""

from __future__ import annotations

import argparse
from pathlib import Path

from isoflop.cli import output


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("tensorboard", _tensorboard, "A sweep's records as TensorBoard event files")
    output.add_directory(verb)
    text = "where to write (default: DIR/tensorboard)"
    verb.add_argument("-o", "--out", metavar="FOLDER", type=Path, help=text)
    output.add_json(verb)


def _tensorboard(options: argparse.Namespace) -> int:
    from isoflop.track import tensorboard_folder

    if options.json:
        output.check_target(options.json)
    written = tensorboard_folder.write(options.directory, options.out)
    if options.json:
        return output.write_json(written, options.json)
    print(tensorboard_folder.as_text(written))
    return output.DONE
