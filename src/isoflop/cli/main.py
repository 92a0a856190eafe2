"""The `isoflop` command: parse the arguments, run one verb, turn an error into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import errno
import resource
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from isoflop import __version__, extras, record
from isoflop.cli import (
    aggregate,
    batch,
    check,
    compare,
    completion,
    config,
    doctor,
    fast_fits,
    fit,
    flops,
    forecast,
    levers,
    meter,
    output,
    paper,
    parallel,
    plan,
    report,
    run,
    score,
    standard_streams,
    status,
    sweep,
    tensorboard,
    wandb,
)
from isoflop.cli.output import FAILED, INPUT, INTERRUPTED
from isoflop.cli.parser import Parser, groups_help, option_meant
from isoflop.config import ConfigError
from isoflop.notices import RECORDED, interrupted

VERBS = (
    *(run, sweep, config, status, aggregate, check, fit, forecast, plan, compare, levers, batch),
    *(report, score, paper, tensorboard, wandb, flops, parallel, meter, doctor, completion),
)
"""One module per verb, in the order of `isoflop --help`. Each imports what it needs only when it runs."""
TAKE_OVERRIDES = ("run", "sweep", "flops", "parallel", "plan")
COMPUTE = (
    *("fit", "forecast", "plan", "report", "compare", "levers", "check", "score", "paper", "aggregate"),
)
"""Verbs that may compute for long; a bar says so."""
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


def main(arguments: Sequence[str] | None = None, *, alone: bool = False) -> int:
    """Run one verb and return its exit code.

    `alone`: the process is this command's and has no threads, so that a fit may fork.

    Exit codes: 0 done, 1 failed or the machine's fault, 2 the input's fault, 3 diverged, 4 out of memory,
    75 interrupted and resumable.
    """
    own, command = _split_metered_command(list(sys.argv[1:] if arguments is None else arguments))
    verbs = parser()
    completion.offer(verbs, TAKE_OVERRIDES)
    with standard_streams.guarded() as out:
        options, overrides = verbs.parse_known_args(own)
        fits = options.verb in fast_fits.VERBS
        with fast_fits.fast_fits(alone=alone) if fits else contextlib.nullcontext():
            code = _run_verb(options, overrides, command, out)
        out.flush()
        return _printed(out, code, options.verb)


def _run_verb(
    options: argparse.Namespace,
    overrides: list[str],
    command: list[str],
    out: standard_streams.GuardedStream,
) -> int:
    """Return the exit code of the verb, after one line for an error."""
    try:
        _check_encoding(
            (*overrides, *(value for value in vars(options).values() if isinstance(value, str | Path)))
        )
        _check_overrides(options, overrides)
        options.overrides, options.command = overrides, command
        with _bar(options, out):
            return int(options.action(options))
    except (Exception, KeyboardInterrupt) as error:
        message, code = _explain(error, options.verb)
        return output.print_error(message, code, debug=options.debug)


@contextlib.contextmanager
def _bar(options: argparse.Namespace, out: standard_streams.GuardedStream) -> Iterator[None]:
    """Show a bar of what a verb computes, on a terminal, until its result is printed; none with --json."""
    if options.verb not in COMPUTE or getattr(options, "json", None) or not sys.stderr.isatty():
        yield
        return
    from isoflop.api import work_bar

    with work_bar.work_bar(f"isoflop {options.verb}") as bar:
        out.before_text = bar.close
        yield


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


def _check_overrides(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Raise ConfigError for arguments that are neither options of the verb nor overrides it takes."""
    verb = options.verb
    if verb == "meter" and overrides and not overrides[0].startswith("-"):
        raise ConfigError(
            f"-- is missing before the command: isoflop meter [OPTIONS] -- {shlex.join(overrides)}"
        )
    for argument in overrides:
        if argument.startswith("-") and argument not in run.MULTIRUN:
            name = argument.partition("=")[0]
            meant = option_meant(options.parser, name)
            raise ConfigError(f"isoflop {verb} has no option {name}{meant}: see isoflop {verb} --help")
    if overrides and verb not in TAKE_OVERRIDES:
        raise ConfigError(f"isoflop {verb} does not take {overrides[0]}: see isoflop {verb} --help")


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


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; overrides are the arguments that it leaves unparsed."""
    root = Parser(prog="isoflop", description="How error falls as training compute grows.")
    root.add_argument("--version", action="version", version=f"isoflop {__version__}")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")

    def add_verb(name: str, action: Callable[[argparse.Namespace], int], text: str) -> Parser:
        # argparse formats `help` with %, but prints `description` as it is.
        verb = verbs.add_parser(name, help=text, description=text.replace("%%", "%"), allow_abbrev=False)
        verb.add_argument("--debug", action="store_true", help="show stack traces")
        verb.set_defaults(action=action, parser=verb)
        if name in TAKE_OVERRIDES:
            verb.epilog_of = groups_help
        return verb

    for module in VERBS:
        module.add(add_verb)
    return root


if __name__ == "__main__":
    sys.exit(main())
