"""The command line: the verbs, and the map from errors to one line and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from isoflop import __version__, record
from isoflop.cli import curves, meters, output, paper, training, wandb
from isoflop.cli.output import FAILED, INPUT, INTERRUPTED
from isoflop.config import ConfigError

ROOMS = (training, curves, paper, wandb, meters)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Exit codes: 0 done, 1 failed or the machine's fault, 2 the input's fault, 3 diverged,
    4 out of memory, 75 interrupted and resumable."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    cut = given.index("--") if given[:1] == ["meter"] and "--" in given else len(given)
    given, command = given[:cut], given[cut + 1 :]
    options, overrides = parser().parse_known_args(given)
    try:
        if overrides and options.verb not in ("run", "sweep", "flops"):
            raise ConfigError(
                f"isoflop {options.verb} does not take {overrides[0]}: see isoflop {options.verb} --help"
            )
        if strange := [
            word for word in overrides if word.startswith("-") and word not in ("-m", "--multirun")
        ]:
            raise ConfigError(f"unknown option {strange[0]}: see isoflop {options.verb} --help")
        options.overrides, options.command = overrides, command
        return int(options.action(options))
    except KeyboardInterrupt:
        return output.tell("interrupted: run the same command again to go on", INTERRUPTED, options.debug)
    except record.RecordBusyError as error:
        return output.tell(str(error), FAILED, options.debug)
    except ValueError as error:
        return output.tell(str(error), INPUT, options.debug)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return output.tell(f"{where}{error.strerror or error}", _os_exit(error), options.debug)
    except Exception as error:
        return output.tell(f"{type(error).__name__}: {error} (--debug shows where)", FAILED, options.debug)


def _os_exit(error: OSError) -> int:
    """A folder that is not there or may not be written is the input's fault, a full disk the machine's."""
    users = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)
    return INPUT if isinstance(error, users) else FAILED


class _Parser(argparse.ArgumentParser):
    """argparse, with its complaints in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is; exit code 2."""
        self.exit(INPUT, f"isoflop: {message}: see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The verbs and their options; overrides are what it leaves over."""
    whole = _Parser(prog="isoflop", description="How error falls as training compute grows.")
    whole.add_argument("--version", action="version", version=f"isoflop {__version__}")
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, action: Any, words: str) -> argparse.ArgumentParser:
        told = words.replace("%%", "%")
        made = verbs.add_parser(name, help=words, description=told, allow_abbrev=False)
        made.add_argument("--debug", action="store_true", help="show stack traces")
        made.set_defaults(action=action)
        return made

    for room in ROOMS:
        room.add(verb)
    return whole


if __name__ == "__main__":
    sys.exit(main())
