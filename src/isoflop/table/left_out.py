"""Rows of a table that no fit uses, each with its reason."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Excluded:
    """A row that the fit did not use, and why."""

    run_id: str
    reason: str
