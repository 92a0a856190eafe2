"""The short name of a run's shape, for people."""

from __future__ import annotations

from isoflop.record.schema import Record


def name_of_shape(family: str, architecture: str, width: int | None, depth: int | None) -> str:
    """Return `mlp w16 d2`, `net.build w16` where the depth is unknown, and the architecture without sizes."""
    sizes = [f"{letter}{size}" for letter, size in (("w", width), ("d", depth)) if size is not None]
    return " ".join([family, *sizes]) if sizes else architecture


def shape_label(record: Record) -> str:
    """Return a short name of the shape, such as `mlp w16 d2` or `torchvision:resnet18`.

    A point cooled down at a quarter of the length is `mlp w16 d2 @0.25`.
    """
    model = record.model
    name = name_of_shape(model.family, model.architecture, model.width, model.depth)
    return name if record.horizon == 1 else f"{name} @{record.horizon:g}"
