"""Text as bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isoflop.config import DataConfig
from isoflop.train.data import stream


@dataclasses.dataclass(frozen=True)
class Windows:
    """Evaluation windows of one part."""

    starts: Tensor
    documents: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class TextSources:
    """What was read."""

    files: int
    file_bytes: int
    train_documents: int
    val_documents: int
    test_documents: int
    train_bytes: int
    sha256: str
    python_version: str | None


@dataclasses.dataclass(frozen=True)
class TextSet:
    """Text on a device."""

    name: str
    tokens: Tensor
    document_mark: int
    classes: int
    context: int
    train_tokens: int
    train: Windows
    val: Windows
    test: Windows
    sources: TextSources
    passes: float
    split_sha256: str
    chance_error: float

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Sizes of a window."""
        return (self.context,)

    @property
    def train_windows(self) -> int:
        """Windows of a pass."""
        return (self.train_tokens - self.context) // self.context

    @property
    def train_n(self) -> int:
        """Bytes of a pass."""
        return self.train_windows * self.context

    @property
    def val_n(self) -> int:
        """Bytes validated on."""
        return len(self.val.starts) * self.context

    @property
    def test_n(self) -> int:
        """Bytes tested on."""
        return len(self.test.starts) * self.context


_cache: dict[str, list[bytes]] = {}


def load_text(config: DataConfig, context: int, device: torch.device) -> TextSet:
    """Read the text."""
    root = Path(config.path) if config.path else Path(sysconfig.get_path("stdlib"))
    key = str(root)
    if key not in _cache:
        files = sorted(p for p in root.rglob("*.py") if "site-packages" not in str(p))
        _cache[key] = [p.read_bytes() for p in files]
    documents = _cache[key]
    order = np.random.Generator(np.random.PCG64(1)).permutation(len(documents))
    held = max(1, len(documents) // 20)
    parts = {"test": order[:held], "val": order[held : 2 * held], "train": order[2 * held :]}
    pieces, position, starts = [], 0, {}
    train_tokens = 0
    for part in ("train", "val", "test"):
        own: list[tuple[int, int]] = []
        for number, index in enumerate(parts[part]):
            text = documents[index]
            pieces.append(b"\0" + text)
            own += [(position + at, number) for at in range(0, len(text) - context + 1, context)]
            position += len(text) + 1
        step = max(1, len(own) * context // (config.eval_bytes or 1))
        own = own[::step]
        starts[part] = Windows(torch.tensor([s for s, _ in own], device=device), tuple(d for _, d in own))
        if part == "train":
            train_tokens = position
    raw = b"".join(pieces)
    tokens = torch.from_numpy(np.frombuffer(raw, np.uint8).copy()).to(device)
    sha = hashlib.sha256(raw).hexdigest()
    sources = TextSources(
        len(documents),
        len(raw),
        len(parts["train"]),
        held,
        held,
        train_tokens,
        sha,
        platform.python_version(),
    )
    return TextSet(
        config.name,
        tokens,
        0,
        256,
        context,
        train_tokens,
        starts["train"],
        starts["val"],
        starts["test"],
        sources,
        config.passes or 1.0,
        sha,
        0.9,
    )


def text_batches(
    data: TextSet, batch_size: int, seed: int, *, start_step: int = 0, share: tuple[int, int] = (0, 1)
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield windows."""
    rows = batch_size // data.context
    per = data.train_windows // rows
    done, step = divmod(start_step, per)
    device = data.tokens.device
    offsets = torch.arange(data.context + 1, device=device)
    while True:
        generator = stream._generator(f"{seed}/{done}")
        order = torch.randperm(data.train_windows, generator=generator)
        phase = int(torch.randint(data.context, (), generator=generator))
        for at in range(step * rows, per * rows, rows):
            starts = (order[at : at + rows] * data.context + phase).to(device)
            windows = data.tokens[starts[:, None] + offsets].long()
            yield windows[:, :-1], windows[:, 1:]
        done, step = done + 1, 0
