"""Forward GMACs of every weight of torchvision's classifiers beside the figure that torchvision publishes.

    python scripts/flops_table.py [--all] [--only NAME ...]

Expected time: about a minute; nothing is downloaded. Each model is counted at its weight's own crop. Only
figures that differ by more than 2% are shown (docs/flops.md explains them), or all with --all.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import Any

import torch
import torchvision

from isoflop.meter.flops import count as flops
from isoflop.meter.flops.twin import build_on_meta

TOLERANCE = 0.02


def published(only: list[str]) -> list[tuple[str, Any]]:
    """Return (model, weight) of every classifier, in torchvision's order."""
    names = only or torchvision.models.list_models(module=torchvision.models)
    return [(name, weight) for name in names for weight in torchvision.models.get_model_weights(name)]


def counted(name: str, crop: int) -> flops.FlopCount:
    """Count one classifier as torchvision builds it for images of `crop` x `crop` pixels."""
    maker = torchvision.models.get_model_builder(name)
    options: dict[str, Any] = {"image_size": crop} if name.startswith("vit_") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # googlenet and inception announce their initialisation
        model = build_on_meta(lambda: maker(weights=None, **options))
    return flops.count(model, (3, crop, crop))


def main() -> int:
    """Print the table and return 1 if a count is unknown."""
    options = argparse.ArgumentParser()
    options.add_argument("--all", action="store_true")
    options.add_argument("--only", nargs="*", default=[])
    given = options.parse_args()
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    print(f"{'model':20} {'weight':26} {'crop':>4} {'GMACs':>9} {'published':>9} {'differs':>8}")
    cache: dict[tuple[str, int], flops.FlopCount] = {}
    rows, beyond, unknown, largest = 0, 0, 0, 0.0
    for name, weight in published(given.only):
        crop = int(weight.transforms.keywords["crop_size"])
        count = cache.get((name, crop)) or counted(name, crop)
        cache[name, crop] = count
        rows += 1
        if count.forward_macs_per_example is None:
            unknown += 1
            print(f"{name:20} {weight.name:26} {crop:4} unknown: {count.reason}")
            continue
        gmacs, published_gmacs = count.forward_macs_per_example * 1e-9, float(weight.meta["_ops"])
        differs = gmacs / published_gmacs - 1
        beyond += abs(differs) > TOLERANCE
        largest = max(largest, abs(differs))
        if given.all or abs(differs) > TOLERANCE:
            print(f"{name:20} {weight.name:26} {crop:4} {gmacs:9.3f} {published_gmacs:9.3f} {differs:+8.2%}")
    within = rows - beyond - unknown
    print(f"{rows} weights: {within} within {TOLERANCE:.0%}, {beyond} not, {unknown} unknown")
    print(f"largest difference {largest:.2%}")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
