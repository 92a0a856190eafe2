#!/usr/bin/env python3
"""What each part of the fast CPU step is worth: the step with all of them against the step without one.

usage: python benchmarks/bench_loop_parts.py [--repeats 25] [--runs NAME ...]

Variants take turns in one process; a ratio is the variant / the whole, above 1 where the part saves time. The
first two runs are the smallest steps there are: what train/torch_private.py states comes from them.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from isoflop.train import state, update
from isoflop.train.data.stream import batches

sys.path.insert(0, str(Path(__file__).parent))
import bench_loop
import bench_loop_others as others

MLP = "mlp w8 d1, digits"
RUNS = {
    MLP: bench_loop.RUNS[MLP],
    "mlp w8 d1, sgd": (["model=mlp", "model.width=8", "model.depth=1", "optim=sgd"], "digits", 400),
    "resnet w1 d1, digits": bench_loop.RUNS["resnet w1 d1, digits"],
}


@dataclasses.dataclass(frozen=True)
class Step:
    """A step with every part on."""

    lean_update: bool = True
    manual_release: bool = True
    losses_kept: bool = True
    no_empty_context: bool = True
    many_gathered: bool = True


WITHOUT = {
    "the fused kernel's own call (optimizer.step())": Step(lean_update=False),
    "gradients let go by hand (zero_grad())": Step(manual_release=False),
    "losses added up many at a time": Step(losses_kept=False),
    "skipping a disabled autocast": Step(no_empty_context=False),
    "batches gathered many at a time": Step(many_gathered=False),
    "any of them": Step(False, False, False, False, False),
}


def variant(given: others.Task, parts: Step) -> bench_loop.Contestant:
    """Return a loop with some of the parts."""
    model, optimizer = bench_loop.built(given)
    state.moments(model, [optimizer])
    updates = update.updates(optimizer) if parts.lean_update else [optimizer.step]
    parameters, total, autocast = state.trained(model), torch.zeros(()), given.autocast
    ours = batches(given.data, given.config.optim.batch_size, 0, given.memory_format)
    stream = ours if parts.many_gathered else bench_loop.gathering(given)

    def take(number: int) -> float:
        losses = []
        began = time.perf_counter()
        for images, labels in itertools.islice(stream, number):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3
            if parts.manual_release:
                for parameter in parameters:
                    parameter.grad = None
            else:
                optimizer.zero_grad(set_to_none=True)
            if parts.no_empty_context:
                loss = F.cross_entropy(model(images), labels)
            else:
                with autocast:
                    loss = F.cross_entropy(model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            for each in updates:
                each()
            if parts.losses_kept:
                losses.append(loss.detach())
            else:
                total.add_(loss.detach())
        if losses:
            total.add_(torch.stack(losses).sum())
        return time.perf_counter() - began

    return take


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--runs", nargs="*", default=list(RUNS), choices=list(RUNS))
    given = parser.parse_args()
    repeats = given.repeats
    torch.set_num_threads(1)
    device = torch.device("cpu")
    for name in given.runs:
        overrides, images, steps = RUNS[name]
        task = bench_loop.task(overrides, images, device, "auto")
        made = {"whole": variant(task, Step())} | {k: variant(task, parts) for k, parts in WITHOUT.items()}
        seconds = bench_loop.turns(made, steps, repeats)
        for each in WITHOUT:
            r = bench_loop.row(name, each, seconds[each], seconds["whole"])
            print(
                f"{name:22} without {each:47} {r.ratio:.3f}  {r.low:.3f} - {r.high:.3f}  n={r.n}", flush=True
            )


if __name__ == "__main__":
    main()
