"""The runs of a sweep's folder for a tracker, after the fact, from their records."""

from __future__ import annotations

from pathlib import Path

from isoflop import record
from isoflop.config import ConfigError, TrackerConfig
from isoflop.record import Record
from isoflop.record.label import shape_label
from isoflop.table import target, text_columns
from isoflop.table.aggregate import Dropped
from isoflop.track.events import Ending, Interval, RunInfo, Tracker, WatchesTraining, sweep_name
from isoflop.track.history import history, intervals_of
from isoflop.track.numbers import curve_row, interval_row, several


def read_records(directory: Path) -> tuple[tuple[Record, ...], tuple[Dropped, ...]]:
    """Return every record of a sweep, done or not, and the files that could not be read.

    Raises:
        ConfigError: there is no record here.
    """
    paths = sorted((directory / "records").glob("[!.]*.json"))
    if not paths:
        raise ConfigError(f"{directory}: no records here: give the folder of a sweep that has run")
    readable, left_out = [], []
    for path in paths:
        try:
            readable.append(record.read(path))
        except (record.RecordError, OSError) as error:
            left_out.append(Dropped(path.stem, "unreadable", str(error)))
    return tuple(readable), tuple(left_out)


def run_info(of: Record, directory: Path, settings: TrackerConfig) -> RunInfo:
    """Return the run that a record came from; each horizon of a trunk is a run of its own here."""
    of_text = text_columns.domain(of) == target.TEXT
    rows = [curve_row(point, of_text=of_text) for point in of.curve]
    rows += [interval_row(interval, of_text=of_text) for interval in intervals_of(of)]
    return RunInfo(
        run_id=of.run_id,
        config_id=of.config_id,
        attempt=of.attempt,
        sweep=sweep_name(directory),
        label=shape_label(of),
        seed=of.seed,
        directory=str(directory.absolute()),
        identity=of.cell | {"horizon": of.horizon},
        of_text=of_text,
        settings=settings,
        drawn=several(rows),
    )


def ending_of(finished: Record, directory: Path) -> Ending:
    """Return the record with the files beside it."""
    names = ("records", "json"), ("power", "jsonl"), ("curves", "csv")
    paths = (directory / folder / f"{finished.run_id}.{kind}" for folder, kind in names)
    return Ending((finished,), tuple(path for path in paths if path.is_file()))


def replay(tracker: Tracker, of: Record, directory: Path, settings: TrackerConfig) -> None:
    """Pass a run on to a tracker as it would have got it live.

    Args:
        tracker: a new one.
        of: the record.
        directory: the sweep's folder.
        settings: of the tracker.
    """
    tracker.begin(run_info(of, directory, settings))
    for event, steps_done in history((of,)):
        if not isinstance(event, Interval):
            tracker.point(event, steps_done)
        elif isinstance(tracker, WatchesTraining):
            tracker.interval(event, steps_done)
    tracker.end(ending_of(of, directory))
