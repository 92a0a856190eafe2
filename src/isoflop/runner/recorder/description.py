"""What the user says of a run: it defines the run's ids, and the record repeats it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from isoflop import record as records
from isoflop.config import identity as identities
from isoflop.record import redact
from isoflop.runner.recorder.errors import RecorderError
from isoflop.table.text_columns import RECORDER

OPTIM_KEYS = ("optimizer", "lr", "weight_decay", "batch_size", "parametrization")
"""Hyperparameters that stand in the record's `optim` too, where the user gives them under these names."""


@dataclasses.dataclass(frozen=True)
class Description:
    """What the user says of a run. Nothing of it is checked against the loop.

    Attributes:
        name, width, depth: the model's family and shape.
        data: name of the data set.
        seed: of the run.
        hyperparameters: whatever else tells configurations apart, as JSON can hold it.
        precision: of the arithmetic, such as bf16 or fp32.
        script_sha256: hash of the user's script, where it is to tell runs apart.
        train_n, val_n, test_n: examples of each part.
        classes, chance_error: of a classification.
    """

    name: str
    data: str
    seed: int
    width: int | None = None
    depth: int | None = None
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    precision: str | None = None
    script_sha256: str | None = None
    train_n: int | None = None
    val_n: int | None = None
    test_n: int | None = None
    classes: int | None = None
    chance_error: float | None = None

    def __post_init__(self) -> None:
        """Refuse what a record cannot hold.

        Raises:
            RecorderError: names the argument.
        """
        for name in ("name", "data"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name).strip():
                raise RecorderError(f"Recorder: {name}={getattr(self, name)!r}: give a name")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise RecorderError(f"Recorder: seed={self.seed!r}: give a whole number, 0 or more")
        for name in ("width", "depth", "train_n", "val_n", "test_n", "classes"):
            check_count(name, getattr(self, name))
        if self.chance_error is not None and not 0 < self.chance_error < 1:
            raise RecorderError(
                f"Recorder: chance_error={self.chance_error}: give a fraction between 0 and 1"
            )
        self._check_hyperparameters()

    def _check_hyperparameters(self) -> None:
        try:
            plain = msgspec.json.decode(msgspec.json.encode(dict(self.hyperparameters)))
        except (TypeError, ValueError) as error:
            raise RecorderError(f"Recorder: hyperparameters: {error}: give what JSON can hold") from error
        if message := records.problem(dict(self.hyperparameters), "hyperparameters"):
            raise RecorderError(f"Recorder: {message}: give a finite number, or leave it out")
        # They stand in a record, which is shared and uploaded.
        if secret := next((key for key in _keys(plain) if redact.is_secret_name(key)), None):
            raise RecorderError(
                f"Recorder: hyperparameters.{secret} is named like a secret and would stand in the record: "
                "leave it out"
            )
        object.__setattr__(self, "hyperparameters", plain)

    @property
    def identity(self) -> dict[str, Any]:
        """What defines the run, as it stands in its record: a schema of its own, told by `source`."""
        return {
            "source": RECORDER,
            "model": {"family": self.name, "width": self.width, "depth": self.depth},
            "data": {"name": self.data},
            "hyperparameters": dict(self.hyperparameters),
            "precision": self.precision,
            "script_sha256": self.script_sha256,
            "seed": self.seed,
        }

    @property
    def run_id(self) -> str:
        """Hash of `identity`: 16 hexadecimal digits."""
        return identities.digest(self.identity)

    @property
    def config_id(self) -> str:
        """Hash of `identity` without the seed."""
        return identities.digest(identities.without_seed(self.identity))


def check_count(name: str, value: object) -> None:
    """Refuse what is no count above 0; None is allowed. Raises RecorderError."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise RecorderError(f"Recorder: {name}={value!r}: give a whole number above 0, or leave it out")


def script_hash(script: str | Path | None) -> str | None:
    """Return the SHA-256 of a script's bytes, None without one.

    Raises:
        RecorderError: it cannot be read.
    """
    if script is None:
        return None
    try:
        return hashlib.sha256(Path(script).read_bytes()).hexdigest()
    except OSError as error:
        raise RecorderError(
            f"Recorder: script={script}: {error.strerror}: give the file of your loop"
        ) from None


def _keys(tree: Any) -> list[str]:
    """Return every key of a nested mapping."""
    if isinstance(tree, Mapping):
        return [key for name, value in tree.items() for key in (str(name), *_keys(value))]
    return [key for each in tree for key in _keys(each)] if isinstance(tree, list) else []
