"""python -m isoflop is isoflop."""
# PYTHON_ARGCOMPLETE_OK: a shell with argcomplete's global completion completes isoflop too.

import sys

from isoflop import signals
from isoflop.notices import interrupted, notify

INTERRUPTED = 75
"""As cli.output.INTERRUPTED, which is not imported yet."""


def run() -> int:
    """Be the `isoflop` command and return its exit code: a signal to stop gives one line and 75, at any time.

    The handlers come first, since importing the command line takes a third of a second.
    """
    try:
        signals.interrupt_on_stop()
        from isoflop.cli.main import main

        code = main(alone=True)
    except KeyboardInterrupt:
        notify(interrupted(next(iter(sys.argv[1:]), None)))
        code = INTERRUPTED
    signals.ignore_stop()
    return code


if __name__ == "__main__":
    sys.exit(run())
