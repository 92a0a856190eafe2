"""Efficiency at N predicted by the parallel index, for the model that a compute is spent on.

Of a step on one GPU the measured trend of rates (trend.RateTrend) tells two parts: work at the rate that
large models come to, and a fixed cost an example. Sharing a batch divides the first; whether it divides the
second is not known before it is measured. Taken here is that it does not, as for launches of kernels and
layers that wait for each other. The interval goes from there with no communication hidden to all divided and
all communication hidden that can be.
"""

from __future__ import annotations

import dataclasses

from isoflop.config import ConfigError
from isoflop.parallel import index
from isoflop.parallel.index import Device
from isoflop.parallel.links import Link
from isoflop.parallel.shapes import GRADIENT_BYTES, Chain, Shape
from isoflop.plan.efficiency import ONE, Efficiency, taken_as_one
from isoflop.plan.rates import Rates
from isoflop.plan.sizes import FORWARD_SHARE, Sizes

MOST_GRADIENTS = 1e10
"""Parameters of the largest model whose buckets are counted one by one."""


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Predicts the efficiency at N of the model that a compute is spent on.

    Attributes:
        sizes, rates: of a compute.
        link: between the GPUs.
        batch_size: examples of a step, of all GPUs together.
        row_size: examples that cannot be parted (shapes.Shape).
    """

    sizes: Sizes
    rates: Rates
    link: Link
    batch_size: int
    row_size: int = 1

    def __call__(self, gpus: int, log10_gflops: float) -> Efficiency:
        """Return the efficiency (efficiency.EfficiencyAt).

        Raises:
            ConfigError: more GPUs than a batch has rows.
        """
        if gpus == 1:
            return ONE
        rows = max(1, self.batch_size // self.row_size)
        if gpus > rows:
            raise ConfigError(
                f"--gpus {gpus}: a batch of the runs has {rows} rows, which is less: give at most {rows} GPUs"
            )
        parameters, forward = self.sizes.parameters(log10_gflops), self.sizes.forward(log10_gflops)
        rate = self.rates.speed(log10_gflops)
        if parameters.value is None or forward.value is None or rate.value is None:
            why = parameters.reason or forward.reason or rate.reason
            one = taken_as_one(gpus, log10_gflops)
            return dataclasses.replace(one, source=f"efficiency at N is taken as 1, an upper bound: {why}")
        # A larger model is one of MOST_GRADIENTS with the same work for each gradient: what differs, the
        # first bucket and latencies, is nothing beside the rest, and its buckets would be millions.
        smaller = min(1.0, MOST_GRADIENTS / parameters.value)
        forward_flops, speed = forward.value * smaller * 1e9, rate.value * 1e9
        shape = Shape(
            label="the model of this training",
            family="",
            width=None,
            depth=None,
            train_flops_per_example=FORWARD_SHARE * forward_flops,
            forward_flops_per_example=forward_flops,
            gradients=round(parameters.value * smaller),
            chain=Chain(1, None),
            batch_size=self.batch_size,
            row_size=self.row_size,
        )
        most = max(self.rates.most * 1e9 if self.rates.most else speed, speed)
        fixed_seconds = shape.step_flops * (1 / speed - 1 / most)
        divided = _scale(shape, speed, 0.0, self.link, gpus)
        serial = _scale(shape, most, fixed_seconds / shape.step_chain, self.link, gpus)
        fits = self.link.most_devices is None or gpus <= self.link.most_devices
        joins = (
            ""
            if fits
            else f"; it joins at most {self.link.most_devices}, so that of more it is an upper bound"
        )
        return Efficiency(
            serial.efficiency,
            min(serial.efficiency, serial.efficiency_apart),
            min(1.0, max(divided.efficiency_hidden, serial.efficiency)),
            "efficiency at N is predicted for the model of this training at a batch of "
            f"{self.batch_size:,} over {self.link.name} ({self.link.source}){joins}",
            is_known=fits,
        )


def _scale(shape: Shape, rate: float, layer_seconds: float, link: Link, gpus: int) -> index.Scaled:
    device = Device("", rate, layer_seconds, "")
    return index.scale(shape, device, link, gpus, float(shape.gradients * GRADIENT_BYTES))
