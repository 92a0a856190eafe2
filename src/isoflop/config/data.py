"""The section `data` of the configuration."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import msgspec

from isoflop.config.setting import Arguments, Count, FilePath, Sha256, Share, check_named, takes
from isoflop.config.user_code import locate

NATIVE_RESOLUTION = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn")
"""Sets of one image size, which `data.resolution` may change."""
DATA_TAKES: dict[str, tuple[str, ...]] = {
    "imagefolder": ("resolution",),
    "synthetic": ("dimension", "classes", "examples", "teacher_width", "teacher_depth", "label_noise"),
    "text": ("path", "eval_bytes", "passes"),
    "python": ("eval_bytes", "passes"),
    "custom": ("path", "sha256"),
}
DATA_MAY_TAKE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(NATIVE_RESOLUTION, ("resolution",)),
    "text": ("separator", "offsets", "eval_path", "eval_offsets"),
    "custom": ("arguments",),
}
TEXT = ("text", "python")
"""Sets of text, whose examples are bytes."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is trained on, in a training, a validation and a test part."""

    name: Literal[
        "digits",
        "mnist",
        "fashion_mnist",
        "cifar10",
        "cifar100",
        "svhn",
        "imagefolder",
        "synthetic",
        "text",
        "python",
        "custom",
    ]
    """The set; data=NAME chooses it with the keys that it needs."""
    root: FilePath
    """Folder of images: downloaded ones, or train/CLASS and val/CLASS of your own."""
    fraction: Annotated[float, msgspec.Meta(gt=0, le=1)]
    """Share of the training part that is used, the first of a fixed order: smaller sets are nested."""
    download: bool
    """Whether images that are missing in root are downloaded."""
    augment: Literal["none", "crop_flip"]
    """crop_flip pads by an eighth of the image, crops at random and mirrors half of the images, the same
    for every run."""
    resolution: Count | None
    """Pixels a side that images are resized to; null keeps the size of a set that has one."""
    dimension: Count | None
    """Number of normal inputs."""
    classes: Annotated[int, msgspec.Meta(ge=2)] | None
    """Number of classes."""
    examples: Annotated[int, msgspec.Meta(ge=100)] | None
    """Number of examples."""
    teacher_width: Count | None
    """Hidden units a layer of the random network that gives the labels."""
    teacher_depth: Count | None
    """Hidden layers of that network."""
    label_noise: Share | None
    """Share of the labels that are drawn at random instead."""
    path: FilePath | None = None
    """text: a file, or a folder of files, plain, .gz or .xz. custom: FILE.py:FUNCTION or MODULE:FUNCTION,
    which returns the arrays (docs/custom_data.md)."""
    separator: str | None = None
    """Text that stands between documents, where they are not files."""
    offsets: FilePath | None = None
    """Table of the offsets that divide path into documents."""
    eval_path: FilePath | None = None
    """Documents to validate and test on; null splits those of path."""
    eval_offsets: FilePath | None = None
    """Table of the offsets that divide eval_path into documents."""
    eval_bytes: Count | None = None
    """About as many bytes of validation and of test are evaluated."""
    passes: Annotated[float, msgspec.Meta(ge=1)] | None = None
    """No training byte is read more often; a longer run is refused."""
    sha256: Sha256 | None = None
    """Hash of the file of path, which identifies it wherever it lies; isoflop sets it."""
    arguments: Arguments | None = dataclasses.field(default=None, hash=False)
    """Keyword arguments of the function: data.arguments.NAME=VALUE."""

    def __post_init__(self) -> None:
        """Refuse settings of another set."""
        every = {name for takes in (DATA_TAKES, DATA_MAY_TAKE) for names in takes.values() for name in names}
        optional = set(DATA_MAY_TAKE.get(self.name, ()))
        check_named(self.name, "data", self.path)
        takes(self, self.name, DATA_TAKES.get(self.name, ()), every - optional)
        if self.separator is not None and self.offsets is not None:
            raise ValueError("separator and offsets both divide text into documents: set one of them to null")
        if self.eval_offsets is not None and self.eval_path is None:
            raise ValueError("eval_offsets is the table of eval_path: give eval_path too")
        if self.separator == "":
            raise ValueError("separator is empty: give the text that stands between documents")
        if self.augment != "none" and self.name in ("synthetic", *TEXT):
            raise ValueError(
                f"augment={self.augment} is for photographs, not for {self.name}: set it to none"
            )

    @property
    def is_text(self) -> bool:
        """Whether the set is text, whose examples are bytes, and not images."""
        return self.name in TEXT

    @property
    def label(self) -> str:
        """The name of the set, or FILE.FUNCTION of the user's own."""
        return locate.label(self.path) if self.name == "custom" and self.path else self.name
