"""The lever of a run: one change against the baseline whose worth is measured (docs/levers.md)."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Any, Literal

import msgspec

from isoflop.config.setting import Arguments, Count, FilePath, Positive, Sha256, Share, check_named, takes

Kind = Literal[
    "settings",
    "distillation",
    "magnitude_pruning",
    "structured_pruning",
    "int8",
    "low_rank",
    "early_exit",
    "search",
    "custom",
]
LEVER_TAKES: dict[str, tuple[str, ...]] = {
    "settings": (),
    "distillation": ("teacher_width", "teacher_depth", "teacher_lr", "temperature", "teacher_share"),
    "magnitude_pruning": ("rounds", "prune_share", "rewind_fraction"),
    "structured_pruning": ("prune_share",),
    "int8": (),
    "low_rank": ("rank_share",),
    "early_exit": ("exit_weight", "exit_confidence"),
    "search": ("candidates", "search_widths", "search_depths", "proxy_share"),
    "custom": ("path",),
}
"""Kind -> the settings that it needs."""
FOUND = ("search_id", "baseline_width", "baseline_depth")
"""What isoflop sets in the run at a shape that was searched for."""
LEVER_MAY_TAKE: dict[str, tuple[str, ...]] = {"custom": ("sha256", "arguments"), "search": FOUND}
MOST_CANDIDATES = 40
SET_BY_ISOFLOP = msgspec.Meta(extra_json_schema={"readOnly": True})
NONE = "none"
"""Name of the baseline."""


@dataclasses.dataclass(frozen=True)
class LeverConfig:
    """What is changed against the baseline; lever=NAME chooses it with its settings."""

    name: str = NONE
    """Name in tables and figures; none: the baseline."""
    kind: Kind = "settings"
    """What it changes: settings of other groups alone, or how the network is built, trained or evaluated."""
    teacher_width: Count | None = None
    """Width of the teacher, trained before (distillation)."""
    teacher_depth: Count | None = None
    """Depth of the teacher."""
    teacher_lr: Positive | None = None
    """Learning rate of the teacher, whatever that of the student."""
    temperature: Positive | None = None
    """Temperature of both softmaxes (distillation)."""
    teacher_share: Share | None = None
    """Share of the teacher's term in the loss; the rest is the labels'."""
    rounds: Count | None = None
    """Rounds of training and pruning after the dense one (magnitude_pruning)."""
    prune_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """Share of what is left that a round prunes: weights, or channels (structured_pruning)."""
    rewind_fraction: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    """Share of the steps after which the weights that remain are trained alone, from where the dense network
    was then."""
    rank_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """Rank of the factors of a hidden matrix, as a share of its smaller side (low_rank)."""
    exit_weight: Positive | None = None
    """Weight of the early exits' mean loss beside the last head's (early_exit)."""
    exit_confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """Confidence from which an example leaves at an exit."""
    candidates: Annotated[int, msgspec.Meta(ge=2, le=MOST_CANDIDATES)] | None = None
    """Shapes that are tried, at most (search)."""
    search_widths: tuple[Count, Count] | None = None
    """Least and largest width; those between are multiples of the least."""
    search_depths: tuple[Count, Count] | None = None
    """Least and largest depth."""
    proxy_share: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Length of a candidate's training, as a share of the run's."""
    search_id: Annotated[str, SET_BY_ISOFLOP] | None = None
    """Search that the run's shape is from."""
    baseline_width: Annotated[Count, SET_BY_ISOFLOP] | None = None
    """Width of the baseline whose work of inference the shape may have at most."""
    baseline_depth: Annotated[Count, SET_BY_ISOFLOP] | None = None
    """Depth of that baseline."""
    path: FilePath | None = None
    """Function of yours that changes the network: FILE.py:NAME or module:NAME (docs/levers.md)."""
    sha256: Sha256 | None = None
    """Hash of the file of `path`."""
    arguments: Arguments | None = None
    """Keyword arguments of your function, such as lever.arguments.share=0.5."""

    def __post_init__(self) -> None:
        """Refuse a name that no table could hold, and the settings of another kind."""
        if not re.fullmatch(r"[\w.+-]+", self.name):
            raise ValueError(f"name {self.name!r}: use letters, digits and . + - _")
        optional = [field.name for field in dataclasses.fields(self) if field.name not in ("name", "kind")]
        may = LEVER_MAY_TAKE.get(self.kind, ())
        if self.kind == "custom":
            check_named(self.kind, "lever", self.path)
        takes(
            self, f"lever {self.kind}", LEVER_TAKES[self.kind], (name for name in optional if name not in may)
        )
        if self.kind == "search":
            self._check_space()
        if self.name == NONE and self.kind != "settings":
            raise ValueError(f"name is none, which is the baseline's: name the lever of kind {self.kind}")

    def _check_space(self) -> None:
        """Refuse ranges that end before they begin, or hold one shape."""
        assert self.search_widths is not None
        assert self.search_depths is not None
        for name, (least, largest) in (("widths", self.search_widths), ("depths", self.search_depths)):
            if least > largest:
                raise ValueError(f"search_{name}=[{least},{largest}]: give the least first")
        (narrow, wide), (shallow, deep) = self.search_widths, self.search_depths
        if wide < 2 * narrow and shallow == deep:
            raise ValueError(
                f"search_widths=[{narrow},{wide}] and search_depths=[{shallow},{deep}] hold one shape, as "
                "widths are multiples of the least: widen one"
            )

    @property
    def is_none(self) -> bool:
        """Whether this is the baseline."""
        return self.name == NONE

    @property
    def settings(self) -> dict[str, Any]:
        """What is set beside name and kind, without what is null: what tells two of one name apart."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return {
            key: value for key, value in plain.items() if value is not None and key not in ("name", "kind")
        }
