"""What every verb shares: exit codes, errors as one line on standard error, results as JSON."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from isoflop import record
from isoflop.config import Config, ConfigError
from isoflop.record import redact

DONE, FAILED, INPUT, DIVERGED, OOM, INTERRUPTED = 0, 1, 2, 3, 4, 75
EXIT_OF_STATE = {
    "done": DONE,
    "failed": FAILED,
    "diverged": DIVERGED,
    "oom": OOM,
    "interrupted": INTERRUPTED,
}
FIGURES = (".png", ".svg", ".pdf")
"""Endings of a figure's file."""

AddVerb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Adds a verb to the parser: its name, the function that runs it, and its help text."""


def print_error(message: str, code: int, *, debug: bool) -> int:
    """Print `message` as one line on standard error, after the stack trace if `debug`, and return `code`.

    Standard error is the log of a SLURM job, so the line is without secrets.
    """
    if debug:
        traceback.print_exc()
    print_line(message)
    return code


def print_line(message: str) -> None:
    """Print `message` as one line on standard error, without secrets."""
    print(f"isoflop: {redact.text(' '.join(message.split()))}", file=sys.stderr)


def check_target(target: str) -> None:
    """Refuse a --json target that cannot be written, before the work is done. Raises ConfigError."""
    if target != "-" and (Path(target).is_dir() or not Path(target).absolute().parent.is_dir()):
        raise ConfigError(f"--json {target}: give a file in a folder that exists, or - for standard output")


def check_figure(path: Path, option: str = "--figure", sources: Iterable[Path] = ()) -> None:
    """Refuse a figure that cannot be written, before the work is done.

    Args:
        path: of the figure; its data are written beside it, with the ending .csv.
        option: that names it.
        sources: files that are read, over which those data must not be written.

    Raises:
        ConfigError: another ending, no such folder, or data that would replace a source.
    """
    if path.suffix.lower() not in FIGURES:
        raise ConfigError(f"{option} {path}: give a name that ends in {', '.join(FIGURES)}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ConfigError(f"{option} {path}: give a file in a folder that exists")
    data = path.with_suffix(".csv").absolute()
    if any(data == source.absolute() for source in sources):
        raise ConfigError(
            f"{option} {path}: its data would replace {data.name}, which is read: give another name"
        )


def write_json(value: Any, target: str) -> int:
    """Write `value` as JSON to the file `target`, or to standard output if it is "-"; return DONE."""
    check_target(target)
    payload = msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
    if target == "-":
        sys.stdout.write(payload.decode())
    else:
        record.write_bytes(Path(target), payload)
    return DONE


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json, the option of every verb that has a result."""
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON, - for standard output")


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Add --config-dir, of the verbs that compose a configuration."""
    parser.add_argument("--config-dir", metavar="D", help="a folder of your own Hydra groups")


def add_cfg(parser: argparse.ArgumentParser) -> None:
    """Add --cfg, Hydra's option that prints the composed configuration instead of doing the work."""
    text = "print the composed configuration as YAML and train nothing"
    parser.add_argument("-c", "--cfg", choices=("job",), metavar="job", help=text)


def print_config(config: Config) -> int:
    """Print a configuration as YAML, interpolations resolved, and return DONE."""
    from isoflop.config import compose

    sys.stdout.write(redact.text(compose.to_yaml(config)))
    return DONE


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add DIR, the argument of every verb that reads a sweep's folder."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="the folder of a sweep")


def check_resamples(number: int) -> None:
    """Raise ConfigError for too few bootstrap resamples to give an interval."""
    if number < 100:
        raise ConfigError(f"--resamples {number}: an interval needs at least 100")
