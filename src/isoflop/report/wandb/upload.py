"""isoflop wandb DIR: the records of a sweep as W&B runs, a workspace, a report with the fit and figures."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path
from typing import Any, Literal

from isoflop import extras
from isoflop.config import ConfigError, TrackerConfig
from isoflop.curve import result
from isoflop.curve.result import FitFile
from isoflop.table import target
from isoflop.table.aggregate import Dropped
from isoflop.table.target import Target
from isoflop.track import from_records
from isoflop.track.events import sweep_name
from isoflop.track.from_records import ending_of, read_records, run_info
from isoflop.track.history import intervals_of
from isoflop.track.numbers import curve_row, interval_row, summaries

WAIT_SECONDS = 90.0
PACKAGES = ("wandb", "wandb_workspaces")


@dataclasses.dataclass(frozen=True)
class Uploaded:
    """Result of an upload: ids of the runs, records left out, the dashboard or why there is none, notes."""

    runs: tuple[str, ...]
    left_out: tuple[Dropped, ...]
    workspace_url: str | None
    report_url: str | None
    no_dashboard_reason: str | None
    notes: tuple[str, ...] = ()


def as_text(uploaded: Uploaded) -> str:
    """Return the result in a few lines."""
    lines = [f"{len(uploaded.runs)} runs, {len(uploaded.left_out)} records left out"]
    lines += [f"left out: {entry.run_id}: {entry.reason}" for entry in uploaded.left_out]
    lines += [f"note: {note}" for note in uploaded.notes]
    lines += (
        [f"workspace: {uploaded.workspace_url}", f"report: {uploaded.report_url}"]
        if uploaded.report_url
        else []
    )
    lines += [f"no dashboard: {uploaded.no_dashboard_reason}"] if uploaded.no_dashboard_reason else []
    return "\n".join(lines)


def _mode() -> Literal["online", "offline"]:
    mode = os.environ.get("WANDB_MODE", "online")
    if mode not in ("online", "offline"):
        raise ConfigError(f"WANDB_MODE={mode}: set it to online or offline, or try --dry-run")
    return "offline" if mode == "offline" else "online"


def _settings(project: str, entity: str | None, mode: Literal["online", "offline"]) -> TrackerConfig:
    return TrackerConfig(
        name="wandb",
        mode=mode,
        project=project,
        entity=entity,
        path=None,
        tags=(),
        wait_seconds=WAIT_SECONDS,
    )


def _fits(directory: Path) -> FitFile | None:
    path = directory / "fit.json"
    return result.read_fits(path) if path.is_file() else None


def notes_on_fit(directory: Path) -> tuple[str, ...]:
    """Return what is to be known of the laws that are sent: there are none, or records are newer."""
    path, command = directory / "fit.json", f"isoflop fit {shlex.quote(str(directory))} --save"
    if not path.is_file():
        return (f"{path}: not there, so the report has no laws: run {command} and upload again",)
    fitted = path.stat().st_mtime_ns
    records = (directory / "records").glob("[!.]*.json")
    newer = sum(record_path.stat().st_mtime_ns > fitted for record_path in records)
    if not newer:
        return ()
    which = "1 record is" if newer == 1 else f"{newer} records are"
    return (
        f"{path}: {which} newer, so the report's laws lack what they say: run {command} and upload again",
    )


def dry_run(directory: Path, project: str, entity: str | None) -> dict[str, Any]:
    """Return what would be sent, as JSON-able values: runs, workspace and report. Needs no network or key.

    Raises:
        ConfigError: no records.
        MissingExtraError: wandb or wandb-workspaces is not installed.
    """
    extras.check("isoflop wandb --dry-run", *PACKAGES)
    records, left_out = read_records(directory)
    from isoflop.report.wandb import dashboard
    from isoflop.track import wandb_run

    settings = _settings(project, entity, "online")
    sweep, owner = sweep_name(directory), entity or ""
    runs = []
    for each in records:
        info = run_info(each, directory, settings)
        arguments = wandb_run.arguments(info, "online") | {"config": wandb_run.config_of(info)}
        del arguments["mode"], arguments["dir"]
        runs.append(
            arguments
            | {
                "summary": summaries((each,)),
                "curve": [curve_row(point, of_text=info.of_text) for point in each.curve],
                "training": [interval_row(interval, of_text=info.of_text) for interval in intervals_of(each)],
                "files": [f"{path.parent.name}/{path.name}" for path in ending_of(each, directory).files],
            }
        )
    judged_on = target.of_records(records)
    view = dashboard.workspace(sweep, project, owner, judged_on)
    page = dashboard.report(sweep, project, owner, _fits(directory), judged_on)
    notes = notes_on_fit(directory)
    return {"runs": runs, "left_out": left_out, "notes": notes, **dashboard.specification(view, page)}


def upload(directory: Path, project: str, entity: str | None) -> Uploaded:
    """Send every record as a run (with WANDB_MODE=offline: keep it for wandb sync), then the dashboard.

    Raises:
        ConfigError: no records, or no key.
        MissingExtraError: wandb or wandb-workspaces is not installed.
    """
    extras.check("isoflop wandb", *PACKAGES)
    settings = _settings(project, entity, _mode())
    records, left_out = read_records(directory)
    if settings.mode == "online":
        _log_in()
    from isoflop.track import wandb_run

    for each in records:
        from_records.replay(wandb_run.WandbTracker(), each, directory, settings)
    wandb_run.send_report(sweep_name(directory), directory, settings)
    ids, notes = tuple(each.run_id for each in records), notes_on_fit(directory)
    if settings.mode == "offline":
        reason = "offline: run wandb sync, then this verb again online, for the workspace and the report"
        return Uploaded(ids, left_out, None, None, reason, notes)
    dashboard = _dashboard(directory, project, entity, target.of_records(records))
    return Uploaded(ids, left_out, *dashboard, notes)


def _log_in() -> None:
    import wandb

    try:
        wandb.login(verify=True)
    except (wandb.Error, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"W&B: {reason}: run wandb login, or set WANDB_MODE=offline") from error


def _dashboard(
    directory: Path, project: str, entity: str | None, judged_on: Target
) -> tuple[str | None, str | None, str | None]:
    """Save workspace and report; return (workspace's URL, report's URL, why there is none)."""
    import wandb

    from isoflop.report.wandb import dashboard

    sweep = sweep_name(directory)
    try:
        owner = entity or str(wandb.Api().default_entity)
        view = dashboard.workspace(sweep, project, owner, judged_on).save()
        page = dashboard.report(sweep, project, owner, _fits(directory), judged_on).save()
    except Exception as error:  # the runs are sent already, and the service may fail in any way
        return None, None, f"{type(error).__name__}: {error}"
    return str(view.url), str(page.url), None
