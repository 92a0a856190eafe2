"""Runs of a folder without a manifest: those that isoflop.Recorder or `isoflop run` put there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from isoflop.table.text_columns import RECORDER


class _Defined(msgspec.Struct):
    """What a record says of how its run was defined."""

    cell: dict[str, Any]
    seed: int


_DEFINED = msgspec.json.Decoder(_Defined)


def runs_in(directory: Path) -> dict[str, dict[str, Any]]:
    """Return run_id -> settings of every run that has a record or a heartbeat, the latest last.

    The settings are those that the user of a recorder gave; a run that has only a heartbeat has none yet, and
    neither has one whose record is damaged.
    """
    found: dict[str, dict[str, Any]] = {}
    paths = [*(directory / "records").glob("[!.]*.json"), *(directory / "progress").glob("[!.]*.json")]
    for path in sorted(paths, key=lambda each: (_written(each), each.name)):
        if path.stem not in found or path.parent.name == "records":
            found[path.stem] = _settings(path) if path.parent.name == "records" else {}
    return found


def _written(path: Path) -> float:
    with contextlib.suppress(OSError):  # a heartbeat may go while this looks
        return path.stat().st_mtime
    return 0.0


def _settings(path: Path) -> dict[str, Any]:
    try:
        defined = _DEFINED.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    if defined.cell.get("source") != RECORDER:
        return {"seed": defined.seed}
    shape = {f"model.{name}": value for name, value in defined.cell["model"].items() if value is not None}
    return {**shape, **defined.cell["hyperparameters"], "seed": defined.seed}
