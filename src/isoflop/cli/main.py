"""The `isoflop` command: parse the arguments, run one verb, turn an error into one line and an exit code."""

from __future__ import annotations

import argparse
import errno
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from isoflop import __version__, extras, record
from isoflop.cli import (
    aggregate,
    check,
    compare,
    doctor,
    fit,
    flops,
    forecast,
    meter,
    output,
    paper,
    report,
    run,
    score,
    standard_streams,
    status,
    sweep,
    wandb,
)
from isoflop.cli.output import FAILED, INPUT, INTERRUPTED
from isoflop.config import ConfigError
from isoflop.notices import RECORDED, interrupted

VERBS = (
    *(run, sweep, status, aggregate, check, fit, forecast, compare),
    *(report, score, paper, wandb, flops, meter, doctor),
)
"""One module per verb, in the order of `isoflop --help`. Each imports what it needs only when it runs."""
TAKE_OVERRIDES = ("run", "sweep", "flops")
LEAST_FILES = 64
"""Open files that a sweep needs, with room to spare."""
OF_THE_PATH = (
    PermissionError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    FileExistsError,
)
"""Errors of a path that the user gave; other errors of the system, such as a full disk, are the machine's."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code.

    Exit codes: 0 done, 1 failed or the machine's fault, 2 the input's fault, 3 diverged, 4 out of memory,
    75 interrupted and resumable.
    """
    own, command = _split_metered_command(list(sys.argv[1:] if arguments is None else arguments))
    with standard_streams.guarded() as out:
        options, overrides = parser().parse_known_args(own)
        code = _run_verb(options, overrides, command)
        out.flush()
        return _printed(out, code, options.verb)


def _run_verb(options: argparse.Namespace, overrides: list[str], command: list[str]) -> int:
    """Return the exit code of the verb, after one line for an error."""
    try:
        _check_encoding(
            (*overrides, *(value for value in vars(options).values() if isinstance(value, str | Path)))
        )
        _check_overrides(options.verb, overrides)
        options.overrides, options.command = overrides, command
        return int(options.action(options))
    except (Exception, KeyboardInterrupt) as error:
        message, code = _explain(error, options.verb)
        return output.print_error(message, code, debug=options.debug)


def _printed(out: standard_streams.GuardedStream, code: int, verb: str) -> int:
    """Return the exit code where standard output may have been lost on the way, and say if it was."""
    if out.lost is None or isinstance(out.lost, BrokenPipeError):  # a reader such as `head` has had enough
        return code
    why = f"standard output: {out.lost.strerror or out.lost}"
    if verb in RECORDED:
        return output.print_error(f"{why}: isoflop status shows what is not printed", code, debug=False)
    return output.print_error(f"{why}: what was asked for is not printed", FAILED, debug=False)


def _split_metered_command(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split `isoflop meter [OPTIONS] -- COMMAND` at the dashes; other verbs have no command."""
    if arguments[:1] != ["meter"] or "--" not in arguments:
        return arguments, []
    dashes = arguments.index("--")
    return arguments[:dashes], arguments[dashes + 1 :]


def _check_encoding(arguments: Sequence[str | Path]) -> None:
    """Raise ConfigError for an argument with bytes that the locale cannot decode, as in LC_ALL=C strictly."""
    for argument in map(str, arguments):
        if not (readable := argument.encode(errors="replace").decode()) == argument:
            raise ConfigError(
                f"{readable}: the locale's encoding ({sys.getfilesystemencoding()}) has no such characters: "
                "set LC_ALL=C.UTF-8, or PYTHONUTF8=1"
            )


def _check_overrides(verb: str, overrides: Sequence[str]) -> None:
    """Raise ConfigError for arguments that are neither options of the verb nor overrides it takes."""
    if overrides and verb not in TAKE_OVERRIDES:
        raise ConfigError(f"isoflop {verb} does not take {overrides[0]}: see isoflop {verb} --help")
    for argument in overrides:
        if argument.startswith("-") and argument not in ("-m", "--multirun"):
            raise ConfigError(f"unknown option {argument}: see isoflop {verb} --help")


def _explain(error: BaseException, verb: str) -> tuple[str, int]:
    """Return the line that says what went wrong, and the exit code that says whose fault it is."""
    if isinstance(error, KeyboardInterrupt):
        return interrupted(verb), INTERRUPTED
    if isinstance(error, record.RecordBusyError):
        return str(error), FAILED
    if isinstance(error, ImportError) and (line := extras.explain(error, f"isoflop {verb}")):
        return line, INPUT
    if isinstance(error, ValueError):  # ConfigError and MissingExtraError are
        return str(error), INPUT
    if isinstance(error, OSError):
        path = f"{error.filename}: " if error.filename else ""
        message = f"{path}{error.strerror or error}{_limit_of(error)}"
        return message, INPUT if isinstance(error, OF_THE_PATH) else FAILED
    return f"{type(error).__name__}: {error}{_limit_of(error)} (--debug shows where)", FAILED


def _limit_of(error: BaseException) -> str:
    """Return the limit of the shell (ulimit) that an error may come from, with what to do; else nothing."""
    number = error.errno if isinstance(error, OSError) else None
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # In the fork server it is an EOFError here: its own message is lost with it.
    if number == errno.EMFILE or (number is None and files < LEAST_FILES):
        return f": the shell allows {files} open files: raise it with ulimit -n"
    if number == errno.EFBIG:
        return ": the shell limits the size of files: ulimit -f unlimited"
    # Where memory ends while a library is loaded, the error can be any: that it is limited is worth saying.
    if (most := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY and number is None:
        return f": the shell limits memory to {most >> 20} MiB: ulimit -v unlimited"
    return ""


class _Parser(argparse.ArgumentParser):
    """An argparse parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where the help is, and exit with code 2."""
        self.exit(INPUT, f"isoflop: {message}: see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; overrides are the arguments that it leaves unparsed."""
    root = _Parser(prog="isoflop", description="How error falls as training compute grows.")
    root.add_argument("--version", action="version", version=f"isoflop {__version__}")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")

    def add_verb(
        name: str, action: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        # argparse formats `help` with %, but prints `description` as it is.
        verb = verbs.add_parser(name, help=text, description=text.replace("%%", "%"), allow_abbrev=False)
        verb.add_argument("--debug", action="store_true", help="show stack traces")
        verb.set_defaults(action=action)
        return verb

    for module in VERBS:
        module.add(add_verb)
    return root


if __name__ == "__main__":
    sys.exit(main())
