"""Error and loss of a model on one part of the data."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.train.data import DataSet, ImageSet, PartName, TextSet
from isoflop.train.distributed import SINGLE, World
from isoflop.train.evaluate_text import evaluate_text
from isoflop.train.score import Score

BATCH_SIZE = 1000
TEXT_ROWS = 16
"""Windows of text of a batch of examples."""


def example_batches(
    data: DataSet, memory_format: torch.memory_format, part: PartName = "train"
) -> Iterator[Tensor]:
    """Yield inputs of a part as a network takes them, without augmentation, in the order of the part.

    Images [B, C, H, W], or bytes [B, T] of evaluation windows.
    """
    if isinstance(data, TextSet):
        starts = {"train": data.train, "val": data.val, "test": data.test}[part].starts
        offsets = torch.arange(data.context, device=data.tokens.device)
        for some in torch.split(starts, TEXT_ROWS):
            yield data.tokens[some[:, None] + offsets].long()
        return
    assert isinstance(data, ImageSet)
    for images in torch.split(data.scored(part).images, BATCH_SIZE):
        yield data.normalise(images, memory_format)


def evaluate(
    model: nn.Module,
    data: DataSet,
    part: PartName,
    autocast: torch.autocast,
    memory_format: torch.memory_format,
    world: World = SINGLE,
) -> Score:
    """Return the score of `model` in evaluation mode; its mode is put back afterwards.

    The batches are dealt out to the processes of `world`. Each batch's sums are computed by one of them and
    added up in the order of batches, so that the score is the same for any number of processes.

    Args:
        model: images [B, C, H, W] -> logits [B, classes], or bytes [B, T] -> logits [B, T, classes].
        data: the data set, on the model's device.
        part: which part of it.
        autocast: context of the forward pass.
        memory_format: layout of images.
        world: the processes that evaluate together, all of which call this.
    """
    training = model.training
    model.eval()
    try:
        if isinstance(data, TextSet):
            return evaluate_text(model, data, part, autocast, world)
        assert isinstance(data, ImageSet)
        return _evaluate_images(model, data, part, autocast, memory_format, world)
    finally:
        model.train(training)


@torch.inference_mode()
def _evaluate_images(
    model: nn.Module,
    data: ImageSet,
    part_name: PartName,
    autocast: torch.autocast,
    memory_format: torch.memory_format,
    world: World,
) -> Score:
    """Return the score on images; arguments as in evaluate."""
    part = data.scored(part_name)
    image_batches, label_batches = torch.split(part.images, BATCH_SIZE), torch.split(part.labels, BATCH_SIZE)
    own = range(world.rank, len(label_batches), world.size)
    wrong = torch.zeros(len(label_batches), dtype=torch.int64, device=part.labels.device)
    loss, brier = torch.zeros(2, len(label_batches), dtype=torch.float64, device=part.labels.device)
    for batch in own:
        images, labels = image_batches[batch], label_batches[batch]
        with autocast:
            logits = model(data.normalise(images, memory_format))
        logits = logits.float()
        # Written into tensors on the device, and read once after the last batch: reading waits for a GPU.
        wrong[batch] = (logits.argmax(1) != labels).sum()
        loss[batch] = F.cross_entropy(logits, labels, reduction="sum").double()
        # Not the sum of p^2 - 2 p_label + 1, which rounding can make negative for a network that is right.
        deviations = logits.softmax(1) - F.one_hot(labels, logits.shape[1])
        brier[batch] = deviations.square().sum().double()
    # Every entry is a sum of one process's number and zeros, so this adds no rounding.
    world.all_reduce(wrong)
    world.all_reduce(loss)
    world.all_reduce(brier)
    # In float64 and in order: a sum on the device may be taken in another order elsewhere.
    mean_loss, mean_brier = (
        functools.reduce(operator.add, sums.tolist(), 0.0) / len(part) for sums in (loss, brier)
    )
    return Score(int(wrong.sum()), len(part), mean_loss, mean_brier)
