"""The section `model` of the configuration."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import msgspec

from isoflop.config.setting import Arguments, Count, FilePath, Sha256, check_named, takes
from isoflop.config.user_code import locate
from isoflop.record.label import name_of_shape

MODEL_TAKES = {
    "mlp": ("width", "depth"),
    "resnet": ("width", "depth", "block"),
    "convmixer": ("width", "depth", "patch", "kernel"),
    "vit": ("width", "depth", "patch", "head_width"),
    "gpt": ("width", "depth", "head_width", "context", "feedforward"),
    "torchvision": ("architecture",),
    "custom": ("path", "sha256"),
}
MODEL_MAY_TAKE: dict[str, tuple[str, ...]] = {"custom": ("width", "depth", "context", "arguments")}


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network: one of isoflop's own families with `width` and `depth`, a classifier of torchvision by its
    name, or what a function of the user's own builds."""

    family: Literal["mlp", "resnet", "convmixer", "vit", "gpt", "torchvision", "custom"]
    """The family; model=NAME chooses it with the keys that it needs."""
    width: Count | None
    """Hidden units (mlp), channels (convmixer; resnet: of the first stage, doubled in the second and third),
    or embedding, a multiple of head_width (vit, gpt)."""
    depth: Count | None
    """Hidden layers (mlp), residual blocks a stage (resnet), or blocks."""
    architecture: str | None
    """A classifier of torchvision.models, untrained, such as resnet18."""
    block: Literal["basic", "bottleneck"] | None
    """Residual block."""
    patch: Count | None
    """Pixels a side of a patch."""
    kernel: Count | None
    """Pixels a side of the convolution, odd."""
    head_width: Count | None
    """Channels of an attention head."""
    zero_init_residual: bool
    """resnet: blocks start as their shortcuts."""
    parametrization: Literal["standard", "mup", "completep"]
    """mup and completep scale initialisation, learning rates and multipliers from base_width and base_depth,
    where all parametrizations are the same."""
    base_width: Count | None
    """Width from which mup and completep scale."""
    base_depth: Count | None
    """Depth from which mup and completep scale."""
    context: Annotated[int, msgspec.Meta(ge=2)] | None = None
    """Bytes of a window of text."""
    feedforward: Literal["gelu", "swiglu"] | None = None
    """Feed-forward layer of a block."""
    path: FilePath | None = None
    """FILE.py:FUNCTION or MODULE:FUNCTION, which builds the network (docs/custom_model.md)."""
    sha256: Sha256 | None = None
    """Hash of the file of path, which identifies it wherever it lies; isoflop sets it."""
    arguments: Arguments | None = dataclasses.field(default=None, hash=False)
    """Keyword arguments of the function: model.arguments.NAME=VALUE."""

    def __post_init__(self) -> None:
        """Refuse settings of another family, and widths that heads cannot share."""
        every = {
            name for takes in (MODEL_TAKES, MODEL_MAY_TAKE) for names in takes.values() for name in names
        }
        optional = set(MODEL_MAY_TAKE.get(self.family, ()))
        check_named(self.family, "model", self.path)
        takes(self, self.family, MODEL_TAKES[self.family], every - optional)
        self._check_bases()
        if self.zero_init_residual and self.family != "resnet":
            raise ValueError(f"{self.family} takes no zero_init_residual: set it to false")
        if self.family == "torchvision" and self.parametrization != "standard":
            raise ValueError(
                f"{self.parametrization} is for our own families: torchvision's parameters carry no roles"
            )
        if self.width and self.head_width and self.width % self.head_width:
            near = max(1, round(self.width / self.head_width)) * self.head_width
            raise ValueError(
                f"width {self.width} is not a multiple of head_width {self.head_width}: try {near}"
            )
        if self.family == "gpt" and self.head_width and self.head_width % 2:
            raise ValueError(
                f"head_width {self.head_width}: rotary positions turn pairs: head_width must be even"
            )
        if self.kernel and self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even: give an odd one")

    def _check_bases(self) -> None:
        """Refuse a base that the parametrization does not take, and one without the size that it is of."""
        bases = ("base_width", "base_depth")
        if self.parametrization == "standard":
            takes(self, self.parametrization, (), bases)
            return
        if self.family == "custom" and self.width is None:
            raise ValueError(f"{self.parametrization} scales over the width: give model.width")
        # A function of the user's own may have no depth: then there is none to scale over.
        needed = bases if self.family != "custom" or self.depth is not None else ("base_width",)
        takes(self, self.parametrization, needed, bases)

    @property
    def name(self) -> str:
        """The family, `torchvision:NAME`, or FILE.FUNCTION of the user's own."""
        if self.path is not None:
            return locate.label(self.path)
        return f"torchvision:{self.architecture}" if self.architecture else self.family

    @property
    def anywhere(self) -> ModelConfig:
        """The same model, wherever the user's own file lies that builds it."""
        if self.path is None:
            return self
        return dataclasses.replace(self, path=locate.function_of(self.path))

    @property
    def family_name(self) -> str:
        """The family as records name it, which of code of the user's own is FILE.FUNCTION."""
        return self.name if self.family == "custom" else self.family

    @property
    def label(self) -> str:
        """A short name of the shape: `mlp w16 d2`, `torchvision:resnet18`, `net.build w16`."""
        return name_of_shape(self.family_name, self.name, self.width, self.depth)
