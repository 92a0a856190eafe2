"""The short name of a run's shape, for people."""

from __future__ import annotations

from isoflop.record.schema import Record


def shape_label(record: Record) -> str:
    """Return a short name of the shape, such as `mlp w16 d2` or `torchvision:resnet18`.

    A point cooled down at a quarter of the length is `mlp w16 d2 @0.25`.
    """
    model = record.model
    has_shape = model.width is not None and model.depth is not None
    name = f"{model.family} w{model.width} d{model.depth}" if has_shape else model.architecture
    return name if record.horizon == 1 else f"{name} @{record.horizon:g}"
