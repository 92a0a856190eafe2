"""Any classifier of torchvision.models by name, untrained."""

from __future__ import annotations

import difflib
import warnings

from torch import Tensor, nn

from isoflop import extras


class ThreeChannels(nn.Module):
    """Gives grey images to a classifier of colour images: the channel three times (a view, no copy)."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1, H, W] -> logits [B, classes]."""
        logits: Tensor = self.classifier(images.expand(-1, 3, -1, -1))
        return logits


def build(architecture: str, image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return a torchvision classifier without auxiliary heads.

    Raises:
        ValueError: torchvision has no classifier of that name; the nearest is suggested.
        MissingExtraError: torchvision is not installed.
    """
    extras.check("model=torchvision", "torchvision")
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if architecture not in known:
        near = difflib.get_close_matches(architecture, known, 1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise ValueError(f"model.architecture={architecture}: torchvision has no such classifier{hint}")
    options = {"weights": None, "num_classes": classes}
    maker = torchvision.models.get_model_builder(architecture)
    if architecture in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier: nn.Module = maker(**options)
    return ThreeChannels(classifier) if image_shape[0] == 1 else classifier
