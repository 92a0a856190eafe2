"""Error and loss of a model on a part of the data."""

from __future__ import annotations

import dataclasses
import functools
import operator

import torch
from torch import nn
from torch.nn import functional as F

from isoflop.train.data import DataSet, Part
from isoflop.train.distributed import SINGLE, World

BATCH_SIZE = 1000


@dataclasses.dataclass(frozen=True)
class Score:
    """`wrong` of `n` images misclassified; `loss` is the mean cross-entropy in nats."""

    wrong: int
    n: int
    loss: float

    @property
    def error(self) -> float:
        """Share misclassified, in [0, 1]."""
        return self.wrong / self.n


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    data: DataSet,
    part: Part,
    autocast: torch.autocast,
    memory_format: torch.memory_format,
    world: World = SINGLE,
) -> Score:
    """Score `model` in evaluation mode; its mode is put back. The loss is summed in float64.

    The processes of a `world` take turns at the batches. Each batch's sums are computed by one of them and
    added up in the order of batches, so that the score is the same for any number of processes.
    """
    training = model.training
    model.eval()
    image_batches, label_batches = torch.split(part.images, BATCH_SIZE), torch.split(part.labels, BATCH_SIZE)
    own = range(world.rank, len(label_batches), world.size)
    wrong = torch.zeros(len(label_batches), dtype=torch.int64, device=part.labels.device)
    loss = torch.zeros(len(label_batches), dtype=torch.float64, device=part.labels.device)
    for batch in own:
        images, labels = image_batches[batch], label_batches[batch]
        with autocast:
            logits = model(data.normalise(images, memory_format))
        logits = logits.float()
        wrong[batch] = (logits.argmax(1) != labels).sum()
        loss[batch] = F.cross_entropy(logits, labels, reduction="sum").double()
    model.train(training)
    world.all_reduce(wrong)
    world.all_reduce(loss)
    total_loss = functools.reduce(operator.add, loss.tolist(), 0.0)
    return Score(int(wrong.sum()), len(part), total_loss / len(part))
