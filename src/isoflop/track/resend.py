"""Runs that a tracker did not get whole, sent to it again from their records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config, TrackerConfig
from isoflop.record import Record
from isoflop.track import feed, liveness, unfinished
from isoflop.track.events import Interval
from isoflop.track.history import history


def send_again(configs: Iterable[Config], directory: Path) -> int:
    """Start the tracker of each finished run that it did not get whole, and return how many runs those are.

    Nothing is sent while a tracker of the folder still runs, which may be passing on the same runs.
    """
    sent = 0
    if not (directory / liveness.FOLDER).is_dir() or liveness.any_running(directory):
        return sent
    for config in configs:
        if config.run_id not in unfinished.run_ids(directory, config.tracker.name):
            continue
        if finished := _finished(config):
            with feed.Feed(config) as tracker:
                tracker.begin(finished[-1].attempt)
                for each, steps_done in history(finished):
                    if isinstance(each, Interval):
                        tracker.interval(each, steps_done, most_seconds=feed.END_SECONDS)
                    else:
                        tracker.point(each, steps_done, most_seconds=feed.END_SECONDS)
                tracker.end(finished)
            sent += 1
    return sent


def _finished(config: Config) -> tuple[Record, ...]:
    """Return the records of the run's points, if all of them are done."""
    paths = [records.path_of(config.directory, run_id) for run_id in config.point_ids.values()]
    if not all(records.is_done(path) for path in paths):
        return ()
    return tuple(records.read(path) for path in paths)


def missing(settings: TrackerConfig, directory: Path) -> str | None:
    """Return a line that says how many runs a tracker has not got whole, and what to do; None for none."""
    number = len(unfinished.run_ids(directory, settings.name))
    if not number:
        return None
    runs = "1 run is" if number == 1 else f"{number} runs are"
    return (
        f"tracker {settings.name}: {runs} not complete there: run the same command again to send what is "
        "done from the records, without training"
    )
