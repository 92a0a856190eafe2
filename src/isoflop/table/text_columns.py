"""Columns of the table that language models add: bits per byte, and other counts of the same training.

Each is a function of a record; None where it is unknown or has no meaning, as for images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from isoflop.record import Record

DOMAIN = "domain"
IMAGE, TEXT, OTHER = "image", "text", "other"
RECORDER = "recorder"
"""`source` of the configuration of a training loop of the user's own, of whose examples nothing is known."""
WITHOUT_EMBEDDINGS = "parameters_without_embeddings"
ATTENTION = "attention"
"""The counted operation that holds scores and mixing alone, without the matrices around them."""
TRAIN_FLOPS_PER_MAC = 6
"""Of a product whose operands both need gradients, as in attention: 2 forward and 4 backward."""


def domain(record: Record) -> str:
    """Return TEXT, IMAGE, or OTHER for what a training loop of the user's own was trained on."""
    if record.data and record.data.text:
        return TEXT
    return OTHER if record.cell.get("source") == RECORDER else IMAGE


def context(record: Record) -> int | None:
    """Return the bytes of a window."""
    if record.data is None or record.data.text is None or record.data.input_shape is None:
        return None
    return record.data.input_shape[0]


def head_width(record: Record) -> int | None:
    """Return the channels of an attention head; vit has them too."""
    width: int | None = record.cell.get("model", {}).get("head_width")
    return width


def bits(nats_per_byte: float | None) -> float | None:
    """Return bits from nats."""
    return None if nats_per_byte is None else nats_per_byte / math.log(2)


def causal_train_flops(train_flops: float, attention_macs: float, context: int) -> float:
    """Return the training FLOPs with attention counted for the pairs that a causal mask leaves.

    Of the T x T pairs of a window these are T (T + 1) / 2. Kernels leave out most of the others.

    Args:
        train_flops: training FLOPs with attention as the full square, which is the x axis.
        attention_macs: forward MACs of scores and mixing among them, over the same examples.
        context: T, bytes of a window.
    """
    masked_share = 1 - (context + 1) / (2 * context)
    return train_flops - TRAIN_FLOPS_PER_MAC * attention_macs * masked_share


def train_gflops_causal(record: Record) -> float | None:
    """Return the training GFLOPs of the point, the causal half of attention counted."""
    compute, window = record.compute, context(record)
    if compute is None or compute.train_flops is None or window is None:
        return None
    attention_macs = compute.forward_macs_by_op.get(ATTENTION, 0.0) * compute.examples_seen
    return causal_train_flops(compute.train_flops, attention_macs, window) * 1e-9


def six_n_d_gflops(record: Record) -> float | None:
    """Return 6 N D (Kaplan et al. 2020) in GFLOPs: N without embeddings, with the readout; D bytes seen."""
    parameters = record.model.parameters_without_embeddings
    if parameters is None or record.compute is None or context(record) is None:
        return None
    return 6e-9 * parameters * record.compute.examples_seen


def _per_example(record: Record, joules: float | None) -> float | None:
    seen = record.compute.examples_seen if record.compute else 0
    return None if joules is None or not seen else joules / seen


def _of_text(record: Record, nats: Callable[[Any], float | None]) -> float | None:
    """Return a loss of a language model in bits per byte."""
    return bits(nats(record.loss)) if record.loss and context(record) else None


TEXT_COLUMNS: dict[str, Callable[[Record], Any]] = {
    DOMAIN: domain,
    "context": context,
    "head_width": head_width,
    WITHOUT_EMBEDDINGS: lambda r: r.model.parameters_without_embeddings,
    "passes": lambda r: r.data and r.data.passes,
    "test_bits_per_byte": lambda r: _of_text(r, lambda loss: loss.test),
    "test_bits_per_byte_se": lambda r: _of_text(r, lambda loss: loss.test_document_se_nats),
    "val_bits_per_byte": lambda r: _of_text(r, lambda loss: loss.val),
    "train_gflops_causal": train_gflops_causal,
    "six_n_d_gflops": six_n_d_gflops,
    "joules_per_example": lambda r: _per_example(r, r.energy.energy_joules if r.energy else None),
    "net_joules_per_example": lambda r: _per_example(r, r.energy.net_joules if r.energy else None),
}
"""Column name -> function of a record; `domain` is text, the others are numbers."""
