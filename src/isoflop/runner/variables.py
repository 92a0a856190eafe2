"""Whole numbers in environment variables that torchrun and SLURM set; an empty one counts as not set."""

from __future__ import annotations

from collections.abc import Mapping

from isoflop.config import ConfigError


def integer(environ: Mapping[str, str], name: str) -> int | None:
    """Return the number that a variable holds, None where it is empty or not set.

    Raises:
        ConfigError: it holds something else; names the variable.
    """
    value = environ.get(name, "").strip()
    if not value:
        return None
    # Not int(), which also takes 1_000 and digits of other scripts.
    if not (value.isascii() and value.isdecimal()):
        raise ConfigError(f"the environment variable {name}={value} is not a whole number: unset it")
    return int(value)
