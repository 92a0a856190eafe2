#!/usr/bin/env python3
"""Write the table of torchvision's published accuracies and GMACs that `isoflop paper published` reads.

    python scripts/torchvision_weights.py [--out FILE]

Expected time: a few seconds; nothing is downloaded. The rows are the metadata that torchvision ships with its
ImageNet weights (`weights.meta`), one row a set of weights in torchvision's order, so run it again after an
update of torchvision. tests/paper/test_torchvision_weights.py compares the table with the installed version.
"""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import Any

import torchvision
from torchvision import models

from isoflop import record
from isoflop.paper.torchvision_weights import COLUMNS

TABLE = Path(__file__).parents[1] / "src" / "isoflop" / "paper" / "data" / "torchvision_weights.csv"


def metadata_rows() -> list[dict[str, str]]:
    """Return one row for each set of classification weights, a text for each of COLUMNS; empty if unknown."""
    return [
        metadata_row(model, weights)
        for model in models.list_models(module=models)
        for weights in models.get_model_weights(model)
    ]


def metadata_row(model: str, weights: Any) -> dict[str, str]:
    """Return the row of one member of a weights enumeration, such as ResNet50_Weights.IMAGENET1K_V1."""
    meta = weights.meta
    values = (
        model,
        weights.name,
        # the file of torchvision that defines the model, such as resnet for resnet18 and wide_resnet50_2
        models.get_model_builder(model).__module__.rpartition(".")[2],
        meta["_metrics"].get("ImageNet-1K", {}).get("acc@1", ""),
        meta.get("_ops", ""),
        meta["num_params"],
    )
    return dict(zip(COLUMNS, map(str, values), strict=True))


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=TABLE, metavar="FILE", help=f"default {TABLE}")
    options = parser.parse_args()
    text = io.StringIO()
    # the version without its local part, which only names the build (0.29.2+cu132)
    text.write(f"# torchvision {torchvision.__version__.partition('+')[0]}\n")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    rows = metadata_rows()
    writer.writerows(rows)
    record.write_bytes(options.out, text.getvalue().encode())
    print(f"{options.out}: {len(rows)} sets of weights")


if __name__ == "__main__":
    main()
