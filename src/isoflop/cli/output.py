"""What every verb tells the shell: exit codes, one line for what is wrong, results as JSON."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from isoflop import record
from isoflop.config import ConfigError

DONE, FAILED, INPUT, DIVERGED, OOM, INTERRUPTED = 0, 1, 2, 3, 4, 75
EXIT_OF_STATE = {
    "done": DONE,
    "failed": FAILED,
    "diverged": DIVERGED,
    "oom": OOM,
    "interrupted": INTERRUPTED,
}

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
"""Adds a verb: its name, what it does, and the words of its help."""


def tell(message: str, code: int, debug: bool) -> int:
    """One line on standard error, the stack trace before it if asked for; the exit code."""
    if debug:
        traceback.print_exc()
    print(f"isoflop: {' '.join(message.split())}", file=sys.stderr)
    return code


def check_target(target: str) -> None:
    """Refuse a target of --json that cannot be written, before the work is done. Raises ConfigError."""
    if target != "-" and (Path(target).is_dir() or not Path(target).absolute().parent.is_dir()):
        raise ConfigError(f"--json {target}: give a file in a folder that exists, or - for standard output")


def write_json(value: Any, target: str) -> int:
    """Write `value` as JSON to a file, or to standard output for -."""
    check_target(target)
    payload = msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
    if target == "-":
        sys.stdout.write(payload.decode())
    else:
        record.write_bytes(Path(target), payload)
    return DONE


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option of every verb with a result."""
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON, - for standard output")
