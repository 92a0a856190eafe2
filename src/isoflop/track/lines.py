"""The plainest live tracker, and the one to copy for a tracker of your own: JSON lines in DIR/lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isoflop.record import CurvePoint
from isoflop.track.events import Cell, Ending
from isoflop.track.numbers import curve_row, summaries


class LinesTracker:
    """DIR/lines/RUN_ID.jsonl: a line for the cell, one for each evaluation, one for the summary."""

    def begin(self, cell: Cell) -> None:
        """Begin a file; an earlier attempt's is replaced, since its points come again."""
        self._path = Path(cell.directory) / "lines" / f"{cell.run_id}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("")
        self._write({"cell": cell.identity, "sweep": cell.sweep, "attempt": cell.attempt})

    def point(self, point: CurvePoint, steps_done: int) -> None:
        """One evaluation."""
        self._write({"point": curve_row(point), "steps_done": steps_done})

    def end(self, ending: Ending) -> None:
        """The numbers of the table."""
        self._write({"summary": summaries(ending.records)})

    def _write(self, line: dict[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
