"""Seconds to count the FLOPs of a model: isoflop's full count, fvcore alone, torch's FlopCounterMode alone.

    python benchmarks/bench_flops.py [--models vit_b_16 resnet50] [--repeats 5] [--batch 32]

Expected time: half a minute. The three alternate in one process after a warm-up round; each ratio is of one
round. All count one forward pass of the same model, built with weights in main memory; isoflop also counts
forward and backward at `--batch`, with both counters. FlopCounterMode runs on the meta device, as isoflop's
counter does.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from isoflop.meter.flops import count as flops

LIMIT_SECONDS = 2.0


def fvcore_alone(model: nn.Module) -> float:
    """Return the GMACs of a forward pass on the CPU by fvcore's own handles."""
    macs = FlopCountAnalysis(model.eval(), (torch.zeros(1, 3, 224, 224),)).total()
    return float(macs) * 1e-9


def torch_alone(model: nn.Module) -> float:
    """Return the GMACs of a forward pass on the meta device by torch's own counter."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 3, 224, 224, device="meta"))
    return float(counter.get_total_flops()) * 0.5e-9


def isoflop_all(model: nn.Module, batch: int) -> float:
    """Return the forward GMACs of isoflop's full count."""
    count = flops.count(model, (3, 224, 224), batch_size=batch)
    assert count.forward_macs_per_example is not None, count.reason
    return count.forward_macs_per_example * 1e-9


def timed(counter: Callable[[], float]) -> tuple[float, float]:
    """Return the seconds a count takes, and its GMACs."""
    began = time.perf_counter()
    gmacs = counter()
    return time.perf_counter() - began, gmacs


def compare(name: str, repeats: int, batch: int) -> float:
    """Print one model's lines and return the median seconds of isoflop's count."""
    model: Any = torchvision.models.get_model(name)
    twin = torchvision.models.get_model(name).to("meta")
    counters: dict[str, Callable[[], float]] = {
        "isoflop": lambda: isoflop_all(model, batch),
        "fvcore alone": lambda: fvcore_alone(model),
        "torch alone": lambda: torch_alone(twin),
    }
    rounds = [{key: timed(each) for key, each in counters.items()} for _ in range(repeats + 1)][1:]
    for key in counters:
        seconds = [turn[key][0] for turn in rounds]
        ratio = statistics.median(turn["isoflop"][0] / turn[key][0] for turn in rounds)
        spread = f"{min(seconds):.3f} to {max(seconds):.3f}"
        gmacs = rounds[0][key][1]
        print(f"{name:16} {key:14} {statistics.median(seconds):8.3f} {spread:>16} {ratio:8.2f} {gmacs:9.3f}")
    return statistics.median(turn["isoflop"][0] for turn in rounds)


def main() -> int:
    """Return 1 if isoflop's count of any model takes longer than LIMIT_SECONDS."""
    options = argparse.ArgumentParser()
    options.add_argument("--models", nargs="+", default=["vit_b_16", "resnet50"])
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--batch", type=int, default=32)
    given = options.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # fvcore logs every operation it does not count
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {given.repeats} repeats")
    print(f"{'model':16} {'counter':14} {'median s':>8} {'range':>16} {'ours/it':>8} {'GMACs':>9}")
    slowest = max(compare(name, given.repeats, given.batch) for name in given.models)
    return 1 if slowest > LIMIT_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
