"""Deadlines as people write them: 30d, 12h, 2w."""

from __future__ import annotations

import dataclasses
import math
import re

from isoflop.config import ConfigError

_DEADLINE = re.compile(r"(?P<number>[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*(?P<unit>[a-z]*)")
_SECONDS = {
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400.0),
}


@dataclasses.dataclass(frozen=True)
class Deadline:
    """A time from the start of training. `text` is how it was written."""

    text: str
    seconds: float


def parse(text: str) -> Deadline:
    """Return a deadline.

    Raises:
        ConfigError: no number above 0, or no known unit.
    """
    match = _DEADLINE.fullmatch(text.strip().lower())
    if match is None or match["unit"] not in _SECONDS:
        raise ConfigError(f"--deadline {text}: give a number with a unit: 45min, 12h, 30d or 2w")
    number = float(match["number"])
    if not 0 < number < math.inf:
        raise ConfigError(f"--deadline {text}: give a number above 0")
    return Deadline(text.strip(), number * _SECONDS[match["unit"]])
