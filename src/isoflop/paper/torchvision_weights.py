"""Published accuracy, GMACs and parameters of torchvision's ImageNet classifiers, from a shipped table.

The table, data/torchvision_weights.csv, holds the metadata of torchvision's weights; its first line names
torchvision's version. scripts/torchvision_weights.py makes it, and a test compares it with the installed
torchvision, so this module needs neither torchvision nor torch.
"""

from __future__ import annotations

import csv
import importlib.resources
import math

from isoflop.curve.result import Excluded
from isoflop.paper.models import Models

COLUMNS = ("model", "weights", "family", "top1_accuracy_percent", "forward_gmacs", "parameters")
"""Columns of the table, a row a set of weights; a number is empty where torchvision has none."""
GFLOPS_PER_GMAC = 2.0
RECIPE_V2_YEAR = 2021 + 10.5 / 12
"""IMAGENET1K_V2 weights are trained by the recipe that torchvision published in November 2021 [M]: the
publication year of such weights is that, or the architecture's where it is later."""

PUBLISHED = {
    "alexnet": "1404.5997",
    "convnext": "2201.03545",
    "densenet": "1608.06993",
    "efficientnet_v2": "2104.00298",
    "efficientnet": "1905.11946",
    "googlenet": "1409.4842",
    "inception_v3": "1512.00567",
    "maxvit": "2204.01697",
    "mnasnet": "1807.11626",
    "mobilenet_v2": "1801.04381",
    "mobilenet_v3": "1905.02244",
    "regnet": "2003.13678",
    "resnet": "1512.03385",
    "resnext": "1611.05431",
    "shufflenet_v2": "1807.11164",
    "squeezenet": "1602.07360",
    "swin_v2": "2111.09883",
    "swin": "2103.14030",
    "vgg": "1409.1556",
    "vit": "2010.11929",
    "wide_resnet": "1605.07146",
}
"""Beginning of a model's name -> arXiv id of the paper that torchvision's documentation names for it. The
first two digits of an id are the year and the next two the month. AlexNet's is of torchvision's variant
(2014), not of 2012."""


def year_of(model: str) -> float | None:
    """Return the decimal year in which the architecture was published, from its arXiv id; None if the model's
    name begins with none of PUBLISHED."""
    # the longest match: efficientnet_v2_s is of efficientnet_v2, not of efficientnet
    prefix = max((p for p in PUBLISHED if model.startswith(p)), key=len, default=None)
    if prefix is None:
        return None
    arxiv = PUBLISHED[prefix]
    # the middle of the month
    return 2000 + int(arxiv[:2]) + (int(arxiv[2:4]) - 0.5) / 12


def read_weights_table() -> tuple[str, list[dict[str, str]]]:
    """Return torchvision's version and the rows of the shipped table, keyed by COLUMNS."""
    table = importlib.resources.files("isoflop.paper").joinpath("data", "torchvision_weights.csv")
    first, *lines = table.read_text(encoding="utf-8").splitlines()
    return first.removeprefix("# torchvision "), list(csv.DictReader(lines))


def read_models() -> Models:
    """Return torchvision's ImageNet classifiers, one for each set of weights.

    Compute is the GFLOPs of one forward pass; a family is the file of torchvision that defines the model.
    Weights that were first trained on other images (SWAG), or that lack an accuracy or GMACs, are excluded by
    name.
    """
    version, rows = read_weights_table()
    kept: list[dict[str, str]] = []
    excluded: list[Excluded] = []
    for row in rows:
        reason = _exclusion_reason(row)
        if reason:
            excluded.append(Excluded(_name(row), reason))
        else:
            kept.append(row)
    return Models(
        source=f"torchvision {version}: its weights' metadata",
        compute_name="forward_gflops",
        family_rule="the file of torchvision that defines the model",
        names=tuple(map(_name, kept)),
        families=tuple(row["family"] for row in kept),
        error=tuple(1 - float(row["top1_accuracy_percent"]) / 100 for row in kept),
        compute=tuple(GFLOPS_PER_GMAC * float(row["forward_gmacs"]) for row in kept),
        parameters=tuple(float(row["parameters"]) for row in kept),
        year=tuple(map(_year, kept)),
        excluded=tuple(excluded),
    )


def _name(row: dict[str, str]) -> str:
    return f"{row['model']}.{row['weights']}"


def _year(row: dict[str, str]) -> float | None:
    year = year_of(row["model"])
    if year is not None and row["weights"].endswith("_V2"):
        return max(year, RECIPE_V2_YEAR)
    return year


def _exclusion_reason(row: dict[str, str]) -> str | None:
    """Return why a row is not used, or None."""
    if "SWAG" in row["weights"]:
        return "first trained on other images than ImageNet-1K (SWAG)"
    accuracy, gmacs = (float(row[name] or math.nan) for name in ("top1_accuracy_percent", "forward_gmacs"))
    # a comparison with NaN is false, so that a missing number is caught too
    if not 0 < accuracy < 100 or not gmacs > 0:
        return "no ImageNet accuracy or no GMACs in its metadata"
    return None
