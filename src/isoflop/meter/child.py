"""How a module of this room is run in a fresh interpreter."""

import sys
from pathlib import Path

PACKAGES = Path(__file__).parents[2]
PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); import {0}; {0}.run(sys.argv[1:])"


def command(module: str, *arguments: str) -> list[str]:
    """The command that calls the module's `run` with `arguments`.

    It finds isoflop wherever this process found it. Python's -P keeps a file of the user's that is called
    json.py or signal.py out of the way.
    """
    return [sys.executable, "-P", "-c", PROGRAM.format(module), str(PACKAGES), *arguments]
