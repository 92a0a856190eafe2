"""Command line that runs a module of this package in a fresh Python interpreter."""

import sys
from pathlib import Path

PACKAGES = Path(__file__).parents[2]
PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); import {0}; {0}.run(sys.argv[1:])"


def command_line(module: str, *arguments: str) -> list[str]:
    """Return the command that imports `module` and calls its `run(arguments)`.

    The child finds isoflop wherever this process found it.
    """
    # -P keeps the working directory off sys.path: a user's own json.py or signal.py would otherwise shadow
    # the standard library. `python -m` would need the package on the path before it starts, so the folder is
    # appended by the program itself.
    return [sys.executable, "-P", "-c", PROGRAM.format(module), str(PACKAGES), *arguments]
