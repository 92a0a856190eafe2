"""Endless batches of windows of training text, in an order fixed by the seed that can be resumed anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from isoflop.train.data.order import chunk_rows, generator, own_share, to_device
from isoflop.train.data.text.sets import TextSet

BYTES_PER_EXAMPLE = 16
"""An input and a target, int64 both, as embedding and cross-entropy want them."""


def text_batches(
    data: TextSet,
    batch_size: int,
    seed: int,
    *,
    start_step: int = 0,
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of (inputs, targets), int64 [rows, context] both, from the training part, without end.

    A pass cuts the text into windows from a random phase on, below one context, and reads each once in a
    random order: no token is predicted twice in a pass. Both depend on (seed, pass) only. A window may cross
    into the next document, whose mark is then predicted as well. A pass drops its last partial batch. Windows
    are gathered many batches at a time; on a GPU nothing here waits for the device.

    Args:
        data: the text, on the device.
        batch_size: bytes predicted a step, of all processes together: a multiple of the context.
        seed: fixes phases and orders.
        start_step: the first batch is, bit for bit, the one met after iterating over that many.
        share: (rank, ranks): yield the rank-th of `ranks` equal parts of every batch.
    """
    context, windows, device = data.context, data.train_windows, data.tokens.device
    rows, rest = divmod(batch_size, context)
    assert not rest, "the context must divide the batch"
    per_pass = windows // rows
    assert per_pass > 0, "the batch is larger than the text"
    own_rows, rest = divmod(rows, share[1])
    assert not rest, "ranks must divide the batch"
    chunk = chunk_rows(BYTES_PER_EXAMPLE * context, own_rows, device)
    number, step = divmod(start_step, per_pass)
    while True:
        # The whole pass is drawn even when it is entered in the middle: the order is that of the full pass.
        draws = generator(f"{seed}/{number}/text")
        phase = int(torch.randint(context, (), generator=draws))
        drawn = torch.randperm(windows, generator=draws)[step * rows : per_pass * rows]
        order = to_device(own_share(drawn, share, own_rows), device)
        # Views: windows of inputs, and the same one token later.
        inputs, targets = (
            data.tokens[at : at + windows * context].view(windows, context) for at in (phase, phase + 1)
        )
        for picked in torch.split(order, chunk):
            pair = [each.index_select(0, picked).long() for each in (inputs, targets)]
            yield from zip(*(torch.split(each, own_rows) for each in pair), strict=True)
        number, step = number + 1, 0
