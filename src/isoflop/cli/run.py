"""isoflop run: train one run, the runs of some lines of a manifest, or Hydra's multirun."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isoflop import extras, record, signals
from isoflop.cli import output, prices
from isoflop.config import Config, ConfigError
from isoflop.config.compose import compose_config, from_hydra, multirun
from isoflop.sweep import on_end

MULTIRUN = ("-m", "--multirun")


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("run", _run, "Train one run: isoflop run model.width=64 (with -m: Hydra's multirun)")
    verb.usage = "isoflop run [OVERRIDES] [--cfg job] [--config-dir D] [--debug]"
    output.add_config_dir(verb)
    output.add_cfg(verb)
    verb.add_argument("--again", action="store_true", help="run even if the record says done")
    verb.add_argument("--manifest", metavar="FILE", type=Path, help="train runs of a sweep's manifest")
    verb.add_argument("--line", type=int, help="the line of the manifest, counted from 1")
    verb.add_argument("--runs", metavar="A-B", help="lines A to B, each run in its own process")
    verb.add_argument("--cells", action=_OldName, dest="runs", help=argparse.SUPPRESS)


class _OldName(argparse.Action):
    """An option under the name of an earlier release, accepted for one release with a line on stderr."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Store the value under the new name."""
        sys.stderr.write(f"isoflop: {option_string} is now called --{self.dest}: use the new name\n")
        setattr(namespace, self.dest, values)


def _run(options: argparse.Namespace) -> int:
    if options.cfg:
        return _print_config(options)
    extras.check("isoflop run", "torch")
    if {*MULTIRUN} & set(options.overrides):
        return _multirun(options)
    if options.manifest or options.line or options.runs:
        return _run_manifest(options)
    from isoflop.cli.terminal import console

    config = compose_config(options.overrides, options.config_dir)
    if config.sweep.grid or config.sweep.points:
        raise ConfigError("this is a sweep: use isoflop sweep, or isoflop run -m")
    done = all(record.is_done(record.path_of(config.directory, i)) for i in config.point_ids.values())
    from isoflop.api import progress
    from isoflop.runner import run
    from isoflop.runner.request import RunRequest
    from isoflop.track import resend

    if not options.again:
        resend.send_again((config,), config.directory)
    with progress.one_run(config) as watch:
        records = run.run(config, RunRequest(again=options.again), watch=watch)
    if not run.is_main_process():
        return exit_code(records)
    _wait_for_tracker(config)
    for each in records:
        console.show_run(each)
        console.OUT.print(f"record: {record.path_of(config.directory, each.run_id)}", markup=False)
    if done and not options.again:
        console.OUT.print("done before: --again trains it once more")
        given = (options.overrides, options.config_dir)
        if priced := prices.of_finished((config,), config.directory, *given):
            console.OUT.print(priced, markup=False)
    return _ended(config, records)


def _ended(config: Config, records: Sequence[record.Record]) -> int:
    """Run the user's command for the end, launch.on_end, unless the run was interrupted; return the code."""
    code = exit_code(records)
    if code != output.INTERRUPTED:
        done = int(code == output.DONE)
        on_end.run(config.launch.on_end, on_end.Ended(config.directory, config.sweep.name, code, 1, done))
    return code


def _print_config(options: argparse.Namespace) -> int:
    """Print the configuration of the overrides, or that of a line of a manifest."""
    if options.manifest or options.line or options.runs:
        from isoflop.sweep import manifest

        _check_manifest(options)
        if options.runs:
            raise ConfigError("--cfg prints one configuration: give --line N in place of --runs")
        (planned,) = manifest.read_runs(options.manifest, options.line, options.line)
        return output.print_config(planned.config)
    return output.print_config(compose_config(_without_multirun(options.overrides), options.config_dir))


def _without_multirun(overrides: Sequence[str]) -> list[str]:
    return [each for each in overrides if each not in MULTIRUN]


def _check_manifest(options: argparse.Namespace) -> None:
    """Refuse a manifest without lines, lines without a manifest, and overrides. Raises ConfigError."""
    if options.overrides or not options.manifest or (options.line is None) == (options.runs is None):
        raise ConfigError("give --manifest FILE with --line N or --runs A-B, and no overrides")


def _wait_for_tracker(config: Config) -> None:
    """Wait until trackers have finished, and say if one did not get the run whole."""
    from isoflop.track import feed, resend

    feed.wait(config.directory, feed.longest_wait(config.tracker))
    if line := resend.missing(config.tracker, config.directory):
        output.print_line(line)


def _run_manifest(options: argparse.Namespace) -> int:
    from isoflop.api import log_lines
    from isoflop.cli.terminal import console
    from isoflop.sweep import manifest

    _check_manifest(options)
    if options.runs:
        shows = functools.partial(log_lines.runs, ends=False)  # each of them is shown at the end
        ended = manifest.run_range(options.manifest, *manifest.parse_range(options.runs), shows)
        records = [each for _, of_line in ended for each in of_line]
        code = output.EXIT_OF_STATE[manifest.worst_state(ended)]
    else:
        records = list(manifest.run_line(options.manifest, options.line, again=options.again))
        code = exit_code(records)
    for each in records:
        console.show_run(each)
    return code


def exit_code(records: Sequence[record.Record]) -> int:
    """Return the exit code of a run's records: the last one's, since a point that fails fails later ones."""
    return output.EXIT_OF_STATE[records[-1].state]


def _multirun(options: argparse.Namespace) -> int:
    """Run every job of Hydra's multirun and return the largest of their exit codes.

    Hydra's launchers return nothing, and all but the basic one execute jobs in other processes or on other
    nodes. So each job leaves its code as a file in the current folder, where Hydra writes too.

    Raises:
        KeyboardInterrupt: asked to stop; a job that was training has its record, and no other one began.
    """
    overrides = _without_multirun(options.overrides)
    with tempfile.TemporaryDirectory(prefix=".isoflop-", dir=Path.cwd()) as folder:
        codes, launcher = Path(folder), os.getpid()

        def job(composed: Any) -> None:  # pickled by value, and the folder with it
            code = _run_job(composed, launches=os.getpid() == launcher)
            (codes / f"{uuid.uuid4().hex}.code").write_text(f"{code}")

        multirun(overrides, options.config_dir, job)
        # Writing here first makes a network file system look again at what other nodes wrote.
        (codes / "ended").touch()
        return max((int(path.read_text()) for path in codes.glob("*.code")), default=output.DONE)


def _run_job(composed: Any, *, launches: bool) -> int:
    """Train one job of a multirun and return its exit code. A bad state goes into the record and the code;
    no Exception is raised, because Hydra would then cancel the jobs that follow.

    `launches` says that this process launches the other jobs too: a signal, which the run took as its own,
    means all of them then (KeyboardInterrupt). A job on another node is asked to stop alone.
    """
    from isoflop.cli.terminal import console
    from isoflop.runner import run

    config = from_hydra(composed)
    records: Sequence[record.Record] = ()
    with signals.watched() as stop:
        try:
            records = run.run(config)
        except ValueError as error:
            output.print_error(str(error), output.INPUT, debug=False)
    if records:
        _wait_for_tracker(config)
    for each in records:
        console.show_run(each)
    if launches and stop.reason is not None:
        raise KeyboardInterrupt
    return exit_code(records) if records else output.INPUT
