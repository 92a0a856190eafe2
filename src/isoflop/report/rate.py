"""What one GPU does while it trains: a module of its own, as reading a table needs it and no figures."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Rate:
    """What one GPU does while it trains: chosen by the user, since FLOPs alone are neither hours nor joules.

    Attributes:
        flops_per_second: sustained, of one GPU.
        watts: its power meanwhile; None where none was chosen.
    """

    flops_per_second: float
    watts: float | None = None
