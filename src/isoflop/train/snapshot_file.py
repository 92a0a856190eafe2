"""Checkpoint files: a trainer's snapshots together with a header of the caller's.

A file is a line with the SHA-256 of what follows, then torch's archive. The previous checkpoint is kept
beside the new one and read where the new one is damaged (a full disk, a power failure). Reading unpickles
nothing but tensors and plain values (torch.load with weights_only).
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from isoflop.record import write_bytes
from isoflop.train.state import Snapshot

FORMAT = 1


def older(path: Path) -> Path:
    """Return the path of the checkpoint before the one at `path`."""
    return path.with_suffix(f".older{path.suffix}")


def save(path: Path, header: str, snapshots: Mapping[str, Snapshot]) -> None:
    """Write a checkpoint to `path`; the one that was there moves to `older(path)`.

    Args:
        path: the checkpoint file; its folder is made if it is missing.
        header: text of the caller's, given back by `load`.
        snapshots: snapshots by name.

    Raises:
        OSError: the disk is full or the folder cannot be written; what was there can still be read.
    """
    plain = {
        name: {
            "step": snapshot.step,
            "tensors": [tensor.cpu() for tensor in snapshot.tensors],
            "cpu_random": snapshot.cpu_random,
            "cuda_random": snapshot.cuda_random,
        }
        for name, snapshot in snapshots.items()
    }
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "words": header, "snapshots": plain}, buffer)
    payload = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Renamed before the new one is written: at every moment one of the two files is whole.
    if path.exists():
        path.replace(older(path))
    write_bytes(path, hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def load(path: Path, device: torch.device) -> tuple[str, dict[str, Snapshot]] | None:
    """Return header and snapshots of the newest intact checkpoint, tensors on `device`; None without one."""
    for file in (path, older(path)):
        contents = _read_intact(file)
        if contents is not None:
            snapshots = {name: _snapshot(raw, device) for name, raw in contents["snapshots"].items()}
            return contents["words"], snapshots
    return None


def load_header(path: Path) -> str | None:
    """Return the header of the newest intact checkpoint; None without one."""
    contents = _read_intact(path) or _read_intact(older(path))
    return None if contents is None else str(contents["words"])


def remove(path: Path) -> None:
    """Remove a checkpoint and the one before it."""
    for file in (path, older(path)):
        file.unlink(missing_ok=True)


def _read_intact(path: Path) -> dict[str, Any] | None:
    """Return what a checkpoint file holds; None if it is missing, damaged or of another format."""
    try:
        digest, _, payload = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        return None
    try:
        contents: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError):
        return None
    return contents if contents.get("format") == FORMAT else None


def _snapshot(raw: dict[str, Any], device: torch.device) -> Snapshot:
    tensors = tuple(tensor.to(device) for tensor in raw["tensors"])
    return Snapshot(raw["step"], tensors, raw["cpu_random"], raw["cuda_random"])


def fits(ours: Snapshot, saved: Snapshot) -> bool:
    """Return whether `saved` is of the same network and optimizer, on the same kind of device."""
    same_device = (ours.cuda_random is None) == (saved.cuda_random is None)
    shapes = [[(t.shape, t.dtype) for t in snapshot.tensors] for snapshot in (ours, saved)]
    return same_device and shapes[0] == shapes[1]
