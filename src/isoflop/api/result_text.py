"""The words of what a run has reached: an evaluation on the way, or the error or loss of its record."""

from __future__ import annotations

from isoflop.record import CurvePoint, Record
from isoflop.record.label import shape_label
from isoflop.report.text.amounts import amount
from isoflop.report.text.numerals import UNKNOWN, percent
from isoflop.report.text.units import gflops
from isoflop.table import target, text_columns


def score(error: float | None, loss: float | None, *, of_text: bool) -> str:
    """Return the error of an evaluation on the validation part, or its loss where that is what counts.

    Args:
        error: as a share.
        loss: in nats.
        of_text: whether the run trains on text, whose loss is shown in bits a byte.
    """
    if of_text:
        return f"validation loss {bits(loss)}"
    if error is None and loss is not None:
        return f"validation loss {amount(loss, target.VAL_LOSS)}"
    return f"validation error {percent(error)}"


def evaluation(point: CurvePoint, *, of_text: bool) -> str:
    """Return the validation error or loss of an evaluation, and the compute so far."""
    compute = "" if point.train_flops is None else f", {gflops(point.train_flops * 1e-9)}"
    return f"{score(point.val_error, point.val_loss, of_text=of_text)}{compute}"


def outcome(record: Record) -> str:
    """Return the shape of a run with its error or loss and compute, or with its state where it has none."""
    return f"{shape_label(record)}: {result(record)}"


def result(record: Record) -> str:
    """Return `error 3.61% at 1.23 GFLOPs` of a record, or its state where it has neither error nor loss."""
    if record.error is None and record.loss is None:
        return record.state
    train_flops = record.compute.train_flops if record.compute else None
    compute = "" if train_flops is None else f" at {gflops(train_flops * 1e-9)}"
    if text_columns.domain(record) == target.TEXT and record.loss is not None:
        return f"test loss {bits(record.loss.test)}{compute}"
    return f"error {percent(record.error.test if record.error else None)}{compute}"


def bits(nats: float | None) -> str:
    """Return a loss in nats as bits a byte."""
    return UNKNOWN if nats is None else amount(text_columns.bits(nats), target.TEST_BITS)
