"""A trainer's snapshots in one file, with words of the caller's beside them, and the way back.

A file is a line with the SHA-256 of what follows, then torch's archive. It is written beside the old one and
renamed, the old one being kept: where the newer is damaged (a disk that filled up, a machine that lost power)
the older is read. Reading unpickles nothing but tensors and plain values (torch.load with weights_only).
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
    """Where the checkpoint before the one at `path` is kept."""
    return path.with_suffix(f".older{path.suffix}")


def save(path: Path, words: str, snapshots: Mapping[str, Snapshot]) -> None:
    """Write a checkpoint to `path`; the one that was there becomes `older(path)`.

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
    torch.save({"format": FORMAT, "words": words, "snapshots": plain}, buffer)
    payload = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(older(path))
    write_bytes(path, hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


def load(path: Path, device: torch.device) -> tuple[str, dict[str, Snapshot]] | None:
    """Words and snapshots of the newest good checkpoint, tensors on `device`; None where there is none."""
    for place in (path, older(path)):
        found = _read(place)
        if found is not None:
            return found["words"], {name: _snapshot(raw, device) for name, raw in found["snapshots"].items()}
    return None


def remove(path: Path) -> None:
    """Remove a checkpoint and the one before it."""
    for place in (path, older(path)):
        place.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        digest, _, payload = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        return None
    try:
        found: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError):
        return None
    return found if found.get("format") == FORMAT else None


def _snapshot(raw: dict[str, Any], device: torch.device) -> Snapshot:
    tensors = tuple(tensor.to(device) for tensor in raw["tensors"])
    return Snapshot(raw["step"], tensors, raw["cpu_random"], raw["cuda_random"])


def fits(ours: Snapshot, saved: Snapshot) -> bool:
    """Whether `saved` is of the same network and optimizer, on the same kind of device."""
    same_device = (ours.cuda_random is None) == (saved.cuda_random is None)
    shapes = [[(t.shape, t.dtype) for t in snapshot.tensors] for snapshot in (ours, saved)]
    return same_device and shapes[0] == shapes[1]
