"""Post-training quantisation: a trained network is scored with weights and activations of 8 bits.

Training is that of the baseline. At each point a copy of the network is quantised:

- On an x86 CPU by torch.export and torchao (x86_int8.py): linear layers and convolutions, weights with a
  scale for each output channel, activations with a scale and a zero point for each tensor, from the range
  that they have on a few hundred training examples.
- On a GPU by torchao's dynamic quantisation: linear layers alone, weights with a scale for each output,
  activations with a scale for each row, taken as they come. Convolutions stay in floating point, and so does
  a layer with a side that is no multiple of 8, such as a readout of 10 classes: the integer product of the
  GPU's library takes no other.

Products are of integers and their sums are 32 bits; norms, attention and softmax stay in floating point. The
counted FLOPs are those of the network that was trained: an integer operation stands for a floating one.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import platform
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from isoflop import extras
from isoflop.config import ConfigError
from isoflop.train.levers.base import Examples, Lever

CALIBRATION_EXAMPLES = 512
"""Images whose activations give the ranges."""
CALIBRATION_BYTES = 2**14
"""Bytes of text that do."""
MULTIPLE = 8
"""What both sides of a linear layer have to be a multiple of on a GPU."""
CONVOLUTIONAL = ("resnet", "convmixer")
"""Families whose only linear layer is the readout."""
X86 = ("x86_64", "amd64")


class Int8(Lever):
    """Trains as the baseline does; what is scored at a point is a quantised copy."""

    def check(self, device: torch.device) -> None:
        """Refuse a machine without integer kernels, and models of which nothing would be quantised.

        Raises:
            MissingExtraError: torchao is not installed.
            ConfigError: the device or the family; the message says what to change.
        """
        extras.check("lever.kind=int8", "torchao")
        if device.type == "cpu" and platform.machine().lower() not in X86:
            raise ConfigError(
                f"lever.kind=int8 has integer kernels for x86 CPUs and GPUs, and this machine's processor is "
                f"{platform.machine()}: set lever=none, or run it elsewhere"
            )
        family = self.config.model.family
        if device.type == "cuda" and family in CONVOLUTIONAL:
            raise ConfigError(
                f"lever.kind=int8 quantises linear layers alone on a GPU, and model={family} is all "
                "convolutions: set launch.device=cpu, or model=mlp, vit or gpt"
            )

    def transform(self, model: nn.Module, input_shape: tuple[int, ...], classes: int) -> nn.Module:
        """Return the network as it is; one that could not be quantised is refused before it is trained.

        Raises:
            ConfigError: nothing of it would be quantised on a GPU, or torch.export cannot trace it.
        """
        device = next(model.parameters()).device
        name = self.config.model.name
        if device.type == "cuda" and not any(_has_kernel(module, "") for module in model.modules()):
            raise ConfigError(
                f"lever.kind=int8: model={name} has no linear layer whose sides are multiples of {MULTIPLE}, "
                "and no other is quantised on a GPU: set launch.device=cpu, or change the model's width"
            )
        if device.type == "cpu" and self.config.model.family in ("custom", "torchvision"):
            _check_traceable(model, input_shape, name)
        return model

    def finish(self, model: nn.Module, examples: Examples) -> nn.Module:
        """Return the quantised copy, for batches of any size in the precision of fp32."""
        device = next(model.parameters()).device
        # What is made under inference mode cannot be traced; the caller may be in it.
        # Tracing draws from the ambient generator, which is the training's.
        unchanged = torch.random.fork_rng(devices=[])
        with torch.inference_mode(False), torch.no_grad(), quiet(), unchanged:
            floating = copy.deepcopy(model).eval()
            if device.type == "cpu":
                from isoflop.train.levers import x86_int8

                return Finished(x86_int8.quantise(floating, calibration(examples)), device.type)
            return Finished(_dynamic(floating), device.type)


class Finished(nn.Module):
    """A quantised network: in evaluation mode whatever mode is asked for, and never under autocast.

    An exported module refuses a change of mode, and autocast would cast what surrounds the integer products.
    """

    def __init__(self, network: nn.Module, device_type: str) -> None:
        super().__init__()
        self.network, self._device_type = network, device_type

    def train(self, mode: bool = True) -> Finished:
        """Keep the mode asked for as an attribute, and the network as it is."""
        self.training = mode
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of a batch of any size."""
        with torch.autocast(self._device_type, enabled=False):
            logits: Tensor = self.network(inputs)
        return logits


def calibration(examples: Examples) -> list[Tensor]:
    """Return the first batches of the training part, cut to CALIBRATION_EXAMPLES or CALIBRATION_BYTES."""
    batches: list[Tensor] = []
    left = -1
    for batch in examples():
        if left < 0:
            text = not batch.is_floating_point()
            left = max(1, CALIBRATION_BYTES // batch.shape[1]) if text else CALIBRATION_EXAMPLES
        batches.append(batch[:left])
        left -= len(batches[-1])
        if left == 0:
            break
    return batches


def _has_kernel(module: nn.Module, name: str) -> bool:
    """Return whether a GPU multiplies this layer in integers; the signature is that of torchao's filters."""
    return (
        isinstance(module, nn.Linear)
        and module.in_features % MULTIPLE == 0
        and module.out_features % MULTIPLE == 0
    )


def _dynamic(model: nn.Module) -> nn.Module:
    """Quantise the linear layers of `model` in place; their activations as they come."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    # set_inductor_config would change the compiler's settings for the training steps of the whole process.
    config = Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
    quantize_(model, config, filter_fn=_has_kernel)
    return model


def _check_traceable(model: nn.Module, input_shape: tuple[int, ...], name: str) -> None:
    """Raise ConfigError for a network, not one of isoflop's own, that torch.export cannot trace."""
    from isoflop.train.levers import x86_int8

    takes_text = len(input_shape) == 1
    example = torch.zeros(2, *input_shape, dtype=torch.int64 if takes_text else torch.float32)
    try:
        with quiet(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            x86_int8.exported(copy.deepcopy(model).eval(), example)
    except Exception as error:
        raise ConfigError(
            f"lever.kind=int8: torch.export cannot trace model={name}, which int8 needs "
            f"({str(error).partition(chr(10))[0][:200]}): set lever=none, or change the model"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what torchao makes torch say about torchao's own code, which no user can change."""
    logger = logging.getLogger("torch.utils._pytree")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
