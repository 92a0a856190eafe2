"""torchvision's own metadata: published accuracy, GMACs and parameters of its weights; no download.

Importing this file imports torchvision, and so torch.
"""

from __future__ import annotations

import math
from typing import Any

from torchvision import __version__, models

from isoflop.curve.result import Excluded
from isoflop.paper.models import Models

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
"""Beginning of a model's name -> arXiv id of the paper that torchvision's documentation names for it. Its
first two digits are the year and the next two the month. AlexNet's is of torchvision's variant (2014), not
of 2012."""


def year_of(model: str) -> float | None:
    """The decimal year in which the architecture was published, from its arXiv id; None if it has none
    here."""
    prefix = max((p for p in PUBLISHED if model.startswith(p)), key=len, default=None)
    if prefix is None:
        return None
    arxiv = PUBLISHED[prefix]
    return 2000 + int(arxiv[:2]) + (int(arxiv[2:4]) - 0.5) / 12


def read() -> Models:
    """Every ImageNet classifier of torchvision: one point a set of weights, GFLOPs of one forward pass.

    Weights that were first trained on other images (SWAG) are left out by name. A family is the file of
    torchvision that defines the model.
    """
    rows: list[tuple[str, str, float, float, float | None, float | None]] = []
    excluded: list[Excluded] = []
    for model in models.list_models(module=models):
        for weights in models.get_model_weights(model):
            name, meta = f"{model}.{weights.name}", weights.meta
            reason = _problem(weights.name, meta)
            if reason:
                excluded.append(Excluded(name, reason))
                continue
            error = 1 - meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100
            family = models.get_model_builder(model).__module__.rpartition(".")[2]
            year = year_of(model)
            if year is not None and weights.name.endswith("_V2"):
                year = max(year, RECIPE_V2_YEAR)
            forward_gflops = GFLOPS_PER_GMAC * float(meta["_ops"])
            rows.append((name, family, error, forward_gflops, float(meta["num_params"]), year))
    names, families, errors, compute, parameters, year_ = zip(*rows, strict=True)
    return Models(
        source=f"torchvision {__version__}: its weights' metadata",
        compute_name="forward_gflops",
        family_rule="the file of torchvision that defines the model",
        names=names,
        families=families,
        error=errors,
        compute=compute,
        parameters=parameters,
        year=year_,
        excluded=tuple(excluded),
    )


def _problem(weights: str, meta: dict[str, Any]) -> str | None:
    if "SWAG" in weights:
        return "first trained on other images than ImageNet-1K (SWAG)"
    accuracy = meta["_metrics"].get("ImageNet-1K", {}).get("acc@1", math.nan)
    if not 0 < accuracy < 100 or not meta.get("_ops"):
        return "no ImageNet accuracy or no GMACs in its metadata"
    return None
