"""Knowledge distillation (Hinton, Vinyals and Dean 2015): the outputs of a trained network as targets.

With z the logits of the network in training, t those of the teacher, T the temperature and a the teacher's
share, the loss is

    (1 - a) CE(z, labels) + a T^2 KL(softmax(t / T) || softmax(z / T))

The gradient of the second term by z is a T (softmax(z / T) - softmax(t / T)) over the batch: the factor T^2
keeps its size as T grows (their section 2.1). The cross-entropy has the label smoothing of optim. The teacher
sees the very images that the network sees, augmented alike ("consistent teaching", Beyer et al. 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isoflop.config import Config, prior
from isoflop.notices import notify
from isoflop.train import models
from isoflop.train.levers import prior_state
from isoflop.train.levers.base import ForwardFlops, Lever
from isoflop.train.step.parts import LossFunction


class Distillation(Lever):
    """The teacher is the prior run: the same family, data, schedule and seed at another width and depth."""

    transforms = False

    def check(self, device: torch.device) -> None:
        """Refuse a model that can have no teacher, and say so where the teacher is the smaller of the two."""
        teacher = self._teacher_config
        if _is_smaller(teacher, self.config):
            notify(
                f"lever.teacher_width={teacher.model.width} lever.teacher_depth={teacher.model.depth}: the "
                f"teacher is smaller than {self.config.model.label}, which it teaches"
            )

    @property
    def _teacher_config(self) -> Config:
        """The run that trained the teacher."""
        teacher = prior.of(self.config)
        assert teacher is not None
        return teacher

    def transform(self, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the network as it is; the teacher will have the same inputs and classes."""
        self._input_shape, self._classes = input_shape, classes
        return model

    def training_loss(self, model: nn.Module, plain: LossFunction) -> LossFunction:
        """Return the loss of labels and teacher, from one forward pass of each network.

        `plain` would take the forward pass of `model` a second time: its cross-entropy is rebuilt here.
        Nothing in the loss depends on a value, so that a step can be captured or compiled.
        """
        lever = self.config.lever
        assert lever.temperature is not None
        assert lever.teacher_share is not None
        temperature, share = lever.temperature, lever.teacher_share
        smoothing = self.config.optim.label_smoothing
        teacher = self._teacher(model)

        def loss_of(inputs: Tensor, targets: Tensor) -> Tensor:
            logits = model(inputs).flatten(0, -2)
            with torch.no_grad():
                taught = teacher(inputs).flatten(0, -2)
            of_labels = F.cross_entropy(logits, targets.flatten(), label_smoothing=smoothing)
            # float(): bf16 logits are divided by the temperature in fp32.
            of_teacher = F.kl_div(
                F.log_softmax(logits.float() / temperature, -1),
                F.log_softmax(taught.float() / temperature, -1),
                reduction="batchmean",
                log_target=True,
            )
            return (1 - share) * of_labels + share * temperature**2 * of_teacher

        return loss_of

    def _teacher(self, model: nn.Module) -> nn.Module:
        """Return the trained teacher where `model` is, in its memory format, in eval mode, without gradients.

        Raises:
            ConfigError: its weights are missing or of another network.
        """
        config, device = self._teacher_config, next(model.parameters()).device
        teacher = models.build(
            config.model, self._input_shape, self._classes, seed=config.seed, device=device
        )
        teacher.load_state_dict(prior_state.load(self.config, self.prior_weights, teacher))
        if _is_channels_last(model):
            teacher = teacher.to(memory_format=torch.channels_last)
        return teacher.eval().requires_grad_(False)

    def extra_train_flops_per_example(self, forward_flops: ForwardFlops) -> float | None:
        """Return the FLOPs of the teacher's forward pass."""
        return forward_flops(self._teacher_config)


def _is_smaller(teacher: Config, student: Config) -> bool:
    """Return whether the teacher is smaller in width or depth and larger in neither."""
    sizes = [(each.model.width or 0, each.model.depth or 0) for each in (teacher, student)]
    return sizes[0] != sizes[1] and all(a <= b for a, b in zip(*sizes, strict=True))


def _is_channels_last(model: nn.Module) -> bool:
    """Return whether the model's kernels lie as channels_last, where that differs from torch's own layout."""
    kernels = [p for p in model.parameters() if p.ndim == 4]
    return any(k.is_contiguous(memory_format=torch.channels_last) and not k.is_contiguous() for k in kernels)
