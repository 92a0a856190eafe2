"""What is seen of a loop: its model, the shape of its input, its device and precision."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from isoflop.runner.recorder import devices
from isoflop.runner.recorder.devices import Devices
from isoflop.runner.recorder.errors import RecorderError
from isoflop.runner.recorder.record_of import NO_MODEL, Work

if TYPE_CHECKING:
    import torch

NO_SHAPE = "Recorder was given no input_shape, so the model was not counted"


@dataclasses.dataclass(frozen=True)
class LoopFacts:
    """What the user, or an adapter, says of a loop, as Recorder's arguments; None where neither does."""

    model: torch.nn.Module | None = None
    input_shape: tuple[int, ...] | None = None
    input_dtype: torch.dtype | None = None
    train_flops_per_example: float | None = None
    device: object = None
    precision: str | None = None

    def __post_init__(self) -> None:
        """Refuse a model that is none, and numbers out of their range.

        Raises:
            RecorderError: names the argument.
        """
        if self.model is not None and not callable(getattr(self.model, "parameters", None)):
            raise RecorderError(
                f"Recorder: model is a {type(self.model).__name__}: give the torch.nn.Module that is "
                "trained, or train_flops_per_example"
            )
        flops = self.train_flops_per_example
        if flops is not None and not (math.isfinite(flops) and flops > 0):
            raise RecorderError(f"Recorder: train_flops_per_example={flops}: give a number above 0")
        shape = self.input_shape
        if shape is not None and any(not isinstance(size, int) or size < 1 for size in shape):
            raise RecorderError(
                f"Recorder: input_shape={shape}: give the sizes of one example, such as (3, 32, 32)"
            )

    def completed(self, **facts: Any) -> LoopFacts:
        """Return these facts with those given where they are not known yet."""
        new = {name: value for name, value in facts.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **new)

    def find_devices(self) -> Devices:
        """Return the devices of this process: those named, those of the model, or all that it may use.

        Raises:
            RecorderError: there is no such device.
        """
        if self.device is not None:
            several = self.device if isinstance(self.device, list | tuple) else [self.device]
            return devices.of_names(map(str, several))
        found = devices.of_model(self.model) if self.model is not None else None
        return found or devices.of_process()

    def moved_since(self, before: Devices) -> str | None:
        """Return why joules are not those of the training, if the model was moved since; else None."""
        if self.device is not None or self.model is None:
            return None
        now = devices.of_model(self.model)
        if now is None or now.kinds == before.kinds or "cuda" not in now.kinds:
            return None
        return "the model was moved to a GPU after the recorder was entered: move it there before"

    def count(self, batch_size: int | None) -> Work:
        """Count the model, or take the FLOPs that were given; why it cannot be counted is a reason."""
        parameters, no_parameters = self._parameters()
        given = self.train_flops_per_example
        if self.model is None or self.input_shape is None or given is not None:
            reason = NO_MODEL if self.model is None else NO_SHAPE
            return Work(None, given, reason, parameters, no_parameters, self.input_shape)
        from isoflop.meter.flops import count as flops

        counted = flops.count(
            self.model, self.input_shape, batch_size=batch_size or 2, input_dtype=self.input_dtype
        )
        return Work(counted, None, counted.reason, parameters, no_parameters, self.input_shape)

    def _parameters(self) -> tuple[int | None, str | None]:
        if self.model is None:
            return None, NO_MODEL
        try:
            return sum(parameter.numel() for parameter in self.model.parameters()), None
        except ValueError:  # a lazy layer has none before its first input
            return None, "a lazy layer had no shape yet"
