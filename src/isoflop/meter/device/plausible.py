"""Bounds of what a sensor can truly read; a value beyond them is a failed reading, whatever NVML says.

NVML answers some failures with success and a value such as 2^32 - 1 (in milliwatts: 4.3 MW), and a driver may
count in another unit than the documented one. The bounds are wide: no sound sensor comes near them.
Never imports torch or numpy, because the sampler process uses this module.
"""

from __future__ import annotations

import dataclasses

LIMIT_FACTOR = 2.0
"""A GPU holds its enforced limit on average; its shortest peaks stay below twice that."""
HIGHEST_WATTS = 2000.0
"""Highest power of a GPU, or of a processor package, whose limit is unknown."""
LOWEST_LIMIT_SHARE = 1 / 400
"""Between what an idle GPU draws (1% of its limit and more) and a reading in a unit 1000 times too large."""
LOWEST_WATTS = 1.0
"""Lowest power of a GPU whose limit is unknown."""
POWER_LIMIT_WATTS = (1.0, 10_000.0)
CLOCK_MHZ = (0.0, 10_000.0)
CELSIUS = (0.0, 150.0)
Bounds = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class PowerRange:
    """What the power of one device can be, in watts, the bounds included."""

    lowest_watts: float
    highest_watts: float

    def contains(self, watts: float) -> bool:
        """Return whether a reading can be true."""
        return self.lowest_watts <= watts <= self.highest_watts


def power_range(limit_watts: float | None) -> PowerRange:
    """Return the range of a GPU's power by its enforced limit, None where that is unknown."""
    if limit_watts is None:
        return PowerRange(LOWEST_WATTS, HIGHEST_WATTS)
    return PowerRange(LOWEST_LIMIT_SHARE * limit_watts, LIMIT_FACTOR * limit_watts)


PROCESSOR_RANGE = PowerRange(0.0, HIGHEST_WATTS)
"""An idle package's memory draws next to nothing."""
