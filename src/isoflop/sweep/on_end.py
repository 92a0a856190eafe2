"""The user's command at the end of a sweep, launch.on_end: `mail`, a push service, the next sweep of a chain.

It runs through /bin/sh where the sweep ended: where the command was given or, under SLURM, in the job that
finishes a submission. What it may want to know is in its environment and never part of the text that the
shell reads, so that no name of a folder is taken for code. Its failure costs a line, not the sweep.

It is not run after an interruption (exit code 75): the sweep has not ended, the same command goes on with it,
and after the signal of a scheduler there may be seconds left. Nor is it after bad input (2).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from isoflop.notices import notify

SHELL = "/bin/sh"
MOST_SHOWN = 60
"""Characters of the command that a line about it repeats."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """What a sweep came to.

    Attributes:
        directory: its folder.
        name: its name.
        exit_code: of the command: 0, or 1 if a point is missing or the machine failed.
        runs, done: its runs, and those of them that are done.
        verdict: the sentence that stands first on its page; empty where there is none.
    """

    directory: Path
    name: str
    exit_code: int
    runs: int
    done: int
    verdict: str = ""

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables of the command."""
        return {
            "ISOFLOP_SWEEP_DIR": str(self.directory.absolute()),
            "ISOFLOP_SWEEP_NAME": self.name,
            "ISOFLOP_EXIT_CODE": str(self.exit_code),
            "ISOFLOP_RUNS": str(self.runs),
            "ISOFLOP_RUNS_DONE": str(self.done),
            "ISOFLOP_VERDICT": self.verdict,
        }


def run(command: str | None, ended: Ended) -> None:
    """Run the user's command, if there is one, and wait for it; say if it failed.

    Ctrl-C, or another request to stop, ends it, and the sweep keeps its exit code.
    """
    if command is None:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()  # what was printed before stands before what the command prints
    environment = os.environ | ended.variables
    try:
        # Standard input: a command that asks a question would wait for ever under nohup or SLURM.
        done = subprocess.run([SHELL, "-c", command], env=environment, stdin=subprocess.DEVNULL, check=False)
    except KeyboardInterrupt:
        notify(f"{_named(command)} was interrupted")
        return
    except OSError as error:
        notify(f"{_named(command)} could not be started: {error.strerror or error}")
        return
    if done.returncode:
        notify(f"{_named(command)} {_how(done.returncode)}: the sweep is not affected")


def _named(command: str) -> str:
    line = " ".join(command.split())
    return f"launch.on_end={line if len(line) <= MOST_SHOWN else f'{line[:MOST_SHOWN]}...'}"


def _how(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
