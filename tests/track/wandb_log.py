"""Reads what an offline W&B run kept: LevelDB's log format, blocks of 32 KiB, a protobuf record each."""

from __future__ import annotations

import dataclasses
import json
import struct
import zlib
from pathlib import Path
from typing import Any

BLOCK = 32 * 1024
HEADER = 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def chunks(data: bytes) -> list[bytes]:
    """The payloads of the log; a damaged one fails, a last one cut short is left out."""
    found, part, at = [], b"", HEADER  # the file's own header is seven bytes long too
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        crc, size, kind = struct.unpack("<IHB", data[at : at + HEADER])
        payload = data[at + HEADER : at + HEADER + size]
        if len(payload) < size:
            break
        assert zlib.crc32(bytes([kind]) + payload) & 0xFFFFFFFF == crc, f"damaged at {at}"
        part = payload if kind in (FULL, FIRST) else part + payload
        if kind in (FULL, LAST):
            found.append(part)
        at += HEADER + size
    return found


@dataclasses.dataclass
class OfflineRun:
    """One run as it would be sent."""

    id: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    project: str = ""
    tags: tuple[str, ...] = ()
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    metrics: dict[str, str] = dataclasses.field(default_factory=dict)
    files: list[str] = dataclasses.field(default_factory=list)
    exit_code: int | None = None


def _name(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def read(path: Path) -> OfflineRun:
    """The run that a .wandb file holds."""
    from wandb.proto import wandb_internal_pb2 as pb

    run = OfflineRun()
    for payload in chunks(path.read_bytes()):
        record = pb.Record.FromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.id, run.group, run.project = record.run.run_id, record.run.run_group, record.run.project
            run.job_type, run.name = record.run.job_type, record.run.display_name
            run.tags = tuple(record.run.tags)
            run.config |= {_name(i): json.loads(i.value_json) for i in record.run.config.update}
        elif kind == "config":
            run.config |= {_name(i): json.loads(i.value_json) for i in record.config.update}
        elif kind == "history":
            row = {_name(i): json.loads(i.value_json) for i in record.history.item}
            run.rows.append(row | {"_step": record.history.step.num})
        elif kind == "summary":
            run.summary |= {_name(i): json.loads(i.value_json) for i in record.summary.update}
        elif kind == "metric":
            run.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            run.files += [e.path for e in record.request.log_artifact.artifact.manifest.contents]
        elif kind == "artifact":
            run.files += [e.path for e in record.artifact.manifest.contents]
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def read_all(directory: Path) -> list[OfflineRun]:
    """The offline runs of a sweep's folder, the earliest first."""
    return [read(path) for path in sorted(directory.glob("wandb/offline-run-*/run-*.wandb"))]
