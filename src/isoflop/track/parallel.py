"""Measured scaling in W&B: a run in the folder's group, with a row for each number of workers."""

from __future__ import annotations

from collections.abc import Mapping

from isoflop.config import Config, ConfigError, TrackerConfig
from isoflop.track import feed
from isoflop.track.events import sweep_name
from isoflop.track.numbers import Row


def check(settings: TrackerConfig) -> None:
    """Refuse a tracker that cannot take what is measured, before anything is.

    Raises:
        ConfigError: it is neither W&B nor none.
        MissingExtraError: wandb is not installed.
    """
    if settings.name not in ("none", "wandb"):
        raise ConfigError(f"tracker={settings.name}: isoflop parallel sends to tracker=wandb, or none")
    feed.check(settings)


def send(config: Config, rows: Mapping[int, Row]) -> None:
    """Send the rows, by number of workers, where the tracker is W&B; else do nothing."""
    if config.tracker.name == "wandb":
        from isoflop.track import wandb_run

        wandb_run.send_parallel(sweep_name(config.directory), config.directory, config.tracker, rows)
