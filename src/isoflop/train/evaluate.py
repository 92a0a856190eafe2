"""Error and loss of a model on a part of the data."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn
from torch.nn import functional as F

from isoflop.train.data import DataSet, Part

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
    model: nn.Module, data: DataSet, part: Part, autocast: torch.autocast, memory_format: torch.memory_format
) -> Score:
    """Score `model` in evaluation mode; its mode is put back. The loss is summed in float64."""
    training = model.training
    model.eval()
    wrong = torch.zeros((), dtype=torch.int64, device=part.labels.device)
    loss = torch.zeros((), dtype=torch.float64, device=part.labels.device)
    for images, labels in zip(
        torch.split(part.images, BATCH_SIZE), torch.split(part.labels, BATCH_SIZE), strict=True
    ):
        with autocast:
            logits = model(data.normalise(images, memory_format))
        logits = logits.float()
        wrong += (logits.argmax(1) != labels).sum()
        loss += F.cross_entropy(logits, labels, reduction="sum").double()
    model.train(training)
    return Score(int(wrong), len(part), float(loss) / len(part))
