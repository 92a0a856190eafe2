"""run_config and run_sweep: training from Python, as `isoflop run` and `isoflop sweep` do it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from isoflop import extras
from isoflop.api import log_lines, sweeping
from isoflop.api import progress as shown
from isoflop.api.arguments import joined, named_as_in_python
from isoflop.api.load import load
from isoflop.api.progress import Progress
from isoflop.config import Config, ConfigError
from isoflop.config.compose import compose_config
from isoflop.record import Record
from isoflop.runner import provenance, ranks, run
from isoflop.runner.request import RunRequest
from isoflop.sweep import on_end
from isoflop.sweep import retry as retries
from isoflop.sweep.on_end import Ended
from isoflop.table.aggregate import aggregate
from isoflop.track import feed, resend

Out = str | os.PathLike[str]


def run_config(
    *overrides: str,
    out: Out | None = None,
    config_dir: str | None = None,
    again: bool = False,
    progress: bool = True,
) -> Record:
    """Train one run in this process, as `isoflop run` does, and return its record.

    The record is written to OUT/records too. A run that is done is not trained again, and one that was
    interrupted goes on from its last checkpoint. What happens to a run is a state of its record, never an
    exception: `record.state` is done, failed, diverged, oom or interrupted, and `record.reason` says why. It
    is a Record and no row of a table because a record is nested, typed, and gives a reason for what is
    unknown; `load` makes the table of all records in a folder.

    Args:
        overrides: of the configuration, such as "data=digits", "model.width=16".
        out: folder of the records; that of the configuration without it.
        config_dir: a folder of your own Hydra groups.
        again: train although the run is done.
        progress: show a bar, or without a terminal a line an evaluation.

    Returns:
        The record; of a run with cooldown branches, that of its whole length.

    Raises:
        ValueError: the configuration or the data cannot be used; nothing was trained or written.
        RuntimeError: another process is working on this run.
        OSError: the record could not be written.

    Examples:
        >>> import isoflop
        >>> record = isoflop.run_config("data=digits", "model=mlp", "model.width=16")  # doctest: +SKIP
        >>> record.state, record.error.test  # doctest: +SKIP
        ('done', 0.0361)
    """
    extras.check("isoflop.run_config", "torch")
    import torch

    with named_as_in_python(), provenance.commanded_by(_command("run", overrides, out, config_dir)):
        config = _at(compose_config(list(overrides), config_dir), out)
        if config.sweep.grid or config.sweep.points:
            raise ConfigError("these are several runs: use run_sweep")
        if not again:
            resend.send_again((config,), config.directory)
        threads = torch.get_num_threads()
        try:
            shows = shown.one_run(config, every_evaluation=True) if progress else contextlib.nullcontext()
            with shows as watch:
                records = run.run(config, RunRequest(again=again), watch=watch)
        finally:
            torch.set_num_threads(threads)
        _finish_tracking(config)
    return max(records, key=lambda each: each.horizon)


def run_sweep(
    *overrides: str,
    out: Out | None = None,
    config_dir: str | None = None,
    retry: str | Sequence[str] | None = None,
    metering_pass: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Train the missing runs of a sweep in processes of their own, as `isoflop sweep` does on one machine.

    The same call goes on with a sweep that was interrupted, and only returns the table of one that is done. A
    script needs no `if __name__ == "__main__"`, and a notebook nothing else. For SLURM, use the command.

    Args:
        overrides: of the configuration, such as "sweep=digits", or "data=digits", "model.width=8,16".
        out: folder of the records; that of the configuration without it.
        config_dir: a folder of your own Hydra groups.
        retry: states of runs that are trained again, such as "failed,oom"; without it failed and
            interrupted ones are.
        metering_pass: then meter each shape that shared a GPU, or was metered for too short, alone.
        progress: say how many runs there are and show a bar, or without a terminal a line a run.

    Returns:
        The table of the finished runs (`load` of the folder). A warning names points of the sweep that are
        missing from it.

    Raises:
        ValueError: the configuration or the data cannot be used; nothing was trained.
        KeyboardInterrupt: asked to stop; every run that was started has its record.
        OSError: a record could not be written.

    Examples:
        >>> import isoflop
        >>> runs = isoflop.run_sweep("sweep=digits", out="results/digits")  # doctest: +SKIP
        >>> isoflop.fit(runs)  # doctest: +SKIP
    """
    extras.check("isoflop.run_sweep", "torch")
    said = _progress(progress)
    with named_as_in_python(), provenance.commanded_by(_command("sweep", overrides, out, config_dir)):
        base = _at(sweeping.compose_sweep(list(overrides), config_dir), out)
        if base.launch.name == "slurm":
            raise ConfigError("launch=slurm submits jobs: use `isoflop sweep`; here give launch=local")
        placed = sweeping.place(base, overrides, has_folder=out is not None)
        base, runs = placed.base, placed.runs
        feed.check(base.tracker)
        ranks.check(base.launch, ranks.from_environment(os.environ), os.environ)
        states = retries.parse_states(joined(retry))
        sweeping.tell_place(placed, said)
        sweeping.declare(base, runs, said)
        base, runs = sweeping.with_code_pinned(base, runs, states, said, metered=metering_pass)
        runs = sweeping.train(base, runs, states, said, meter=metering_pass)
        code = int(_warn_of_missing(base.directory, sweeping.points(runs)))
        came_to = Ended(base.directory, base.sweep.name, code, len(runs), sweeping.done(runs))
        on_end.run(base.launch.on_end, came_to)
        return load(base.directory)


def _command(verb: str, overrides: tuple[str, ...], out: Out | None, config_dir: str | None) -> list[str]:
    """Return the command line that does the same."""
    folder = [] if out is None else [f"out={os.fspath(out)}"]
    groups = [] if config_dir is None else ["--config-dir", config_dir]
    return ["isoflop", verb, *overrides, *folder, *groups]


def _at(config: Config, out: Out | None) -> Config:
    return config if out is None else dataclasses.replace(config, out=os.fspath(out))


def _progress(shows: bool) -> Progress:
    if shows:
        return shown.of_sweep(log_lines.line, _warn)
    return shown.silent(_warn)


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=2)


def _finish_tracking(config: Config) -> None:
    """Wait until trackers have finished, and warn if one did not get the run whole."""
    feed.wait(config.directory, feed.longest_wait(config.tracker))
    if line := resend.missing(config.tracker, config.directory):
        _warn(line)


def _warn_of_missing(directory: Path, points: set[str]) -> bool:
    """Warn of points of a sweep that its table lacks, with the reasons; return whether there are any."""
    table = aggregate(directory)
    missing = points - set(table.rows["run_id"])
    if not missing:
        return False
    reasons = [
        f"{each.run_id} ({each.state}): {each.reason}" for each in table.dropped if each.run_id in missing
    ]
    why = f": {'; '.join(reasons)}" if reasons else ""
    _warn(f"{directory}: {len(missing)} of {len(points)} points are missing{why}")
    return True
