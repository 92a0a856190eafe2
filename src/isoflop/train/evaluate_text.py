"""Loss of a language model on the evaluation windows of one part of a text."""

from __future__ import annotations

import functools
import operator

import torch
from torch import nn
from torch.nn import functional as F

from isoflop.train.data import PartName, TextSet
from isoflop.train.distributed import World
from isoflop.train.score import Score, over_documents

BATCH_BYTES = {"cpu": 2**13, "cuda": 2**17}
"""Bytes predicted at a time: their logits fit into a core's cache, or keep a GPU busy."""


@torch.inference_mode()
def evaluate_text(
    model: nn.Module, data: TextSet, part: PartName, autocast: torch.autocast, world: World
) -> Score:
    """Return the score of a model in evaluation mode on the windows of a part.

    Args:
        model: int64 bytes [B, T] -> logits [B, T, classes].
        data: the text, on the model's device.
        part: which of its windows.
        autocast: context of the forward pass.
        world: the processes that evaluate together, all of which call this.
    """
    windows = {"train": data.train, "val": data.val, "test": data.test}[part]
    device, context = data.tokens.device, data.context
    rows = max(1, BATCH_BYTES[device.type] // context)
    losses = torch.zeros(len(windows.starts), dtype=torch.float64, device=device)
    wrong = torch.zeros(len(windows.starts), dtype=torch.int64, device=device)
    offsets = torch.arange(context + 1, device=device)
    for batch, starts in enumerate(torch.split(windows.starts, rows)):
        if batch % world.size != world.rank:
            continue
        tokens = data.tokens[starts[:, None] + offsets].long()
        with autocast:
            logits = model(tokens[:, :-1])
        logits, targets = logits.flatten(0, -2).float(), tokens[:, 1:].flatten()
        # Written into tensors on the device, and read once after the last batch: reading waits for a GPU.
        here = slice(batch * rows, batch * rows + len(starts))
        each = F.cross_entropy(logits, targets, reduction="none").view(len(starts), context)
        losses[here] = each.sum(1, dtype=torch.float64)
        wrong[here] = (logits.argmax(1) != targets).view(len(starts), context).sum(1)
    # Every entry is one process's number plus zeros, so this adds no rounding.
    world.all_reduce(losses)
    world.all_reduce(wrong)
    sums, misses = losses.cpu().numpy(), wrong.cpu().numpy()
    n = len(sums) * context
    return Score(
        wrong=int(misses.sum()),
        n=n,
        # In order: a sum on the device may be taken in another order elsewhere.
        loss=functools.reduce(operator.add, sums.tolist(), 0.0) / n,
        over_documents=over_documents(sums, misses, windows.documents, context),
        window_nats=tuple((sums / context).tolist()) if part == "test" else None,
    )
