"""Arrays that a function of the user's own returns, checked and put in the form of every image set.

The function returns a mapping, or an object with attributes, of NAMES: `x` are images [N, C, H, W] or flat
features [N, F], `y` integer labels [N] from 0. Without a validation part a fixed tenth of the training part
is held out. Everything that would otherwise end as a wrong figure or inside torch is refused here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isoflop.config import DataConfig
from isoflop.config.user_code import load
from isoflop.train.data.parts import LEAST_IMAGES, DataError, Raw
from isoflop.train.seeding import seeded

NAMES = ("train_x", "train_y", "val_x", "val_y", "test_x", "test_y", "classes")
NEEDED = ("train_x", "train_y", "test_x", "test_y")
SEED = 0
"""Of torch's, numpy's and Python's generators while the function runs."""
QUICK_SECONDS = 0.5
"""A function that returns within this is called twice, to see whether it returns the same."""


@dataclasses.dataclass(frozen=True)
class Arrays:
    """What a function returned, checked.

    Attributes:
        x: part -> images [N, C, H, W] or features [N, F]: all uint8, or all float32.
        y: part -> int64 labels [N].
        classes: number of classes.
    """

    x: dict[str, NDArray[Any]]
    y: dict[str, NDArray[np.int64]]
    classes: int


def read(config: DataConfig) -> Raw:
    """Call the user's function and return the set; training examples first, then validation, then test.

    Raises:
        ConfigError: the function cannot be imported or called.
        DataError: what it returned is no data set; the message names the array and what to change.
    """
    assert config.path is not None
    loaded = load.load(config.path, config.sha256)
    began = time.perf_counter()
    raw = _joined(_checked(loaded.name, _call(loaded, config)))
    if time.perf_counter() - began < QUICK_SECONDS:
        again = _joined(_checked(loaded.name, _call(loaded, config)))
        if again.identity != raw.identity:
            raise DataError(
                f"{loaded.name} returned other arrays at its second call, and every run calls it: give what "
                "it draws a fixed seed"
            )
    if raw.flat and config.augment != "none":
        raise DataError(f"data.augment={config.augment} is for images, not flat features: set it to none")
    return raw


def _call(loaded: load.Loaded, config: DataConfig) -> Any:
    with seeded(SEED):
        return load.call(loaded, {}, config.arguments or {})


def _checked(name: str, returned: Any) -> Arrays:
    """Return the arrays of what a function called `name` returned. Raises DataError."""
    given = _given(name, returned)
    if missing := [each for each in NEEDED if given[each] is None]:
        raise DataError(f"{name} returned no {missing[0]}: return a dictionary of {', '.join(NEEDED)}")
    if (given["val_x"] is None) != (given["val_y"] is None):
        raise DataError(f"{name} returned one of val_x and val_y: return both, or neither")
    parts = ("train", "test") if given["val_x"] is None else ("train", "val", "test")
    x = {part: _inputs(name, f"{part}_x", given[f"{part}_x"]) for part in parts}
    y = {part: _labels(name, f"{part}_y", given[f"{part}_y"]) for part in parts}
    for part in parts:
        if len(x[part]) != len(y[part]):
            raise DataError(
                f"{name}: {part}_x has {len(x[part])} examples and {part}_y has {len(y[part])} labels"
            )
        _check_alike(name, part, x[part], x["train"])
    if len(x["train"]) < LEAST_IMAGES:
        raise DataError(f"{name}: train_x has {len(x['train'])} examples: at least {LEAST_IMAGES} are needed")
    return Arrays(x, y, _classes(name, given["classes"], y))


def _given(name: str, returned: Any) -> dict[str, Any]:
    """Return each of NAMES, None where it is not there."""
    if isinstance(returned, Mapping):
        if alien := [key for key in returned if key not in NAMES]:
            raise DataError(f"{name} returned {alien[0]!r}: the names are {', '.join(NAMES)}")
        return {key: returned.get(key) for key in NAMES}
    if isinstance(returned, tuple | list) and not hasattr(returned, "train_x"):
        raise DataError(
            f"{name} returned a {type(returned).__name__}: return a dictionary of {', '.join(NEEDED)}"
        )
    return {key: getattr(returned, key, None) for key in NAMES}


def _as_array(name: str, key: str, value: Any) -> NDArray[Any]:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise DataError(f"{name}: {key} is of {array.dtype}: give an array of numbers")
    if not array.size:
        raise DataError(f"{name}: {key} is empty")
    return array


def _inputs(name: str, key: str, value: Any) -> NDArray[Any]:
    """Return images or features as uint8 or float32."""
    array = _as_array(name, key, value)
    shape = tuple(array.shape)
    if array.ndim == 3:
        raise DataError(
            f"{name}: {key} has shape {shape}: give images (N, C, H, W), grey ones as {key}[:, None], or "
            "flat features (N, F)"
        )
    if array.ndim not in (2, 4):
        raise DataError(f"{name}: {key} has shape {shape}: give images (N, C, H, W) or flat features (N, F)")
    if array.ndim == 4 and shape[3] in (1, 3, 4) and shape[1] == shape[2] > 4:
        raise DataError(
            f"{name}: {key} has shape {shape}, which looks like (N, H, W, C): give (N, C, H, W), such as "
            f"{key}.transpose(0, 3, 1, 2)"
        )
    if array.dtype == np.uint8:
        return array
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32)
    if bad := int(np.size(numbers) - np.isfinite(numbers).sum()):
        kind = "NaN" if np.isnan(numbers).any() else "infinite"
        raise DataError(f"{name}: {bad} values of {key} are {kind}: leave these examples out or fill them in")
    return numbers


def _labels(name: str, key: str, value: Any) -> NDArray[np.int64]:
    array = _as_array(name, key, value)
    if array.ndim != 1:
        hint = f", such as {key}.argmax(1)" if array.ndim == 2 and array.shape[1] > 1 else ""
        raise DataError(f"{name}: {key} has shape {tuple(array.shape)}: give one label an example{hint}")
    if array.dtype.kind == "f":
        raise DataError(f"{name}: {key} is of {array.dtype}: labels are integers from 0")
    labels = array.astype(np.int64)
    if labels.min() < 0:
        raise DataError(f"{name}: {key} holds the label {labels.min()}: labels are integers from 0")
    return labels


def _check_alike(name: str, part: str, x: NDArray[Any], train: NDArray[Any]) -> None:
    """Refuse examples of another shape or range than those that are trained on."""
    if x.shape[1:] != train.shape[1:]:
        raise DataError(
            f"{name}: an example of {part}_x has shape {tuple(x.shape[1:])}, one of train_x "
            f"{tuple(train.shape[1:])}: give them alike"
        )
    if x.dtype != train.dtype:
        raise DataError(f"{name}: train_x is of {train.dtype} and {part}_x of {x.dtype}: give them alike")


def _classes(name: str, given: Any, y: Mapping[str, NDArray[np.int64]]) -> int:
    """Return the number of classes: as given, or one more than the largest training label."""
    classes = int(y["train"].max()) + 1
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 2:
            raise DataError(f"{name}: classes is {given!r}: give their number, at least 2")
        classes = int(given)
    for part, labels in y.items():
        if labels.max() >= classes:
            of = "classes is" if given is not None else "the labels of train_y give"
            raise DataError(
                f"{name}: {part}_y holds the label {labels.max()}, and {of} {classes}: labels go from 0 to "
                f"{classes - 1}"
            )
    if len(np.unique(y["train"])) < 2:
        raise DataError(f"{name}: train_y holds one class only: there is nothing to tell apart")
    return classes


def _joined(arrays: Arrays) -> Raw:
    parts = [part for part in ("train", "val", "test") if part in arrays.x]
    flat = arrays.x["train"].ndim == 2
    images = np.concatenate([arrays.x[part] for part in parts])
    labels = np.concatenate([arrays.y[part] for part in parts])
    digest = hashlib.sha256(f"{images.dtype} {images.shape} {arrays.classes}".encode())
    for array in (images, labels):
        digest.update(np.ascontiguousarray(array).data)
    return Raw(
        images=images[:, :, None, None] if flat else images,
        labels=labels,
        test_n=len(arrays.y["test"]),
        classes=arrays.classes,
        identity=digest.digest(),
        val_n=len(arrays.y["val"]) if "val" in arrays.y else None,
        flat=flat,
    )
