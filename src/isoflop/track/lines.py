"""The simplest live tracker, and the one to copy for a tracker of your own: JSON lines in DIR/lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isoflop.record import CurvePoint
from isoflop.track.events import Ending, Interval, RunInfo
from isoflop.track.numbers import curve_row, interval_row, summaries


class LinesTracker:
    """DIR/lines/RUN_ID.jsonl: a line for the run, one for each evaluation and each interval of
    training, one for the summary."""

    def begin(self, run: RunInfo) -> None:
        """Start a file. An earlier attempt's is replaced, since its points come again."""
        self._of_text = run.of_text
        self._path = Path(run.directory) / "lines" / f"{run.run_id}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("")
        self._write({"cell": run.identity, "sweep": run.sweep, "attempt": run.attempt})

    def point(self, point: CurvePoint, steps_done: int) -> None:
        """Write an evaluation."""
        self._write({"point": curve_row(point, of_text=self._of_text), "steps_done": steps_done})

    def interval(self, interval: Interval, steps_done: int) -> None:
        """Write an interval of training."""
        self._write({"interval": interval_row(interval, of_text=self._of_text), "steps_done": steps_done})

    def end(self, ending: Ending) -> None:
        """Write the numbers of the table."""
        self._write({"summary": summaries(ending.records)})

    def _write(self, line: dict[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
