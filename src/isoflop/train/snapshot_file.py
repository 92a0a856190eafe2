"""Checkpoint files: a trainer's snapshots together with a header of the caller's.

A file is a line with the SHA-256 of what follows, then torch's archive. The previous checkpoint is kept
beside the new one, for when the new one is damaged (a full disk, a power failure). Reading unpickles nothing
but tensors and plain values (torch.load with weights_only).
"""

from __future__ import annotations

import dataclasses
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


class UnusableError(ValueError):
    """A checkpoint file cannot be used; the message says why and does not name the file."""


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """What a checkpoint file holds: the caller's header, and the trainer's snapshots by name, on the CPU."""

    header: str
    snapshots: dict[str, Snapshot]


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


def generations(path: Path) -> tuple[Path, Path]:
    """Return where the newest checkpoint lies, and the one before it."""
    return path, older(path)


def read(path: Path) -> Stored:
    """Read one checkpoint file.

    Raises:
        FileNotFoundError: there is none.
        UnusableError: it is damaged, of another format, or not what `save` writes.
        OSError: it is there and cannot be read.
    """
    digest, _, payload = path.read_bytes().partition(b"\n")
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        raise UnusableError("damaged (its SHA-256 differs)")
    try:
        contents = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
        raise UnusableError("not torch's archive of tensors and plain values") from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise UnusableError("of another format")
    header, raw = contents.get("words"), contents.get("snapshots")
    if not isinstance(header, str) or not isinstance(raw, dict):
        raise UnusableError("without its header or its snapshots")
    return Stored(header, {str(name): _snapshot(each) for name, each in raw.items()})


def remove(path: Path) -> None:
    """Remove a checkpoint and the one before it."""
    for file in generations(path):
        file.unlink(missing_ok=True)


def _snapshot(raw: Any) -> Snapshot:
    """Return a stored snapshot. Raises UnusableError unless each part is there and of its type."""
    known = raw if isinstance(raw, dict) else {}
    step, tensors, cuda = known.get("step"), known.get("tensors"), known.get("cuda_random")
    if type(step) is not int or not isinstance(tensors, list) or not all(map(torch.is_tensor, tensors)):
        raise UnusableError("a snapshot without its step or its tensors")
    if not _is_random_state(known.get("cpu_random")) or not (cuda is None or _is_random_state(cuda)):
        raise UnusableError("a snapshot without its random state")
    return Snapshot(step, tuple(tensors), known["cpu_random"], cuda)


def _is_random_state(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.uint8 and value.dim() == 1


def fits(ours: Snapshot, saved: Snapshot) -> bool:
    """Return whether `saved` is of the same network and optimizer, on the same kind of device."""
    same_device = (ours.cuda_random is None) == (saved.cuda_random is None)
    shapes = [
        [(t.shape, t.dtype) for t in (snapshot.cpu_random, *snapshot.tensors)] for snapshot in (ours, saved)
    ]
    return same_device and shapes[0] == shapes[1]
