"""Data whose irreducible error is known: normal inputs labelled by a random network, with label noise.

An input is a draw from N(0, I), rounded to steps of 1/32 and kept as uint8; the teacher labels the rounded
input, so a network that is at least the teacher's size can be right on every example. With label noise of
share q over K classes the irreducible error is q (1 - 1/K). Everything is drawn from fixed seeds in float64
on the CPU: the same on every machine, and a longer set begins with a shorter one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
from numpy.typing import NDArray

from isoflop.config import DataConfig
from isoflop.train.data.parts import DataError, Raw

SEED = 20200710
ZERO, STEPS_PER_UNIT = 128, 32
TEST_SHARE = 0.2
REFERENCE_INPUTS = 8192
BALANCING_ROUNDS = 60
RAREST = 0.25
"""Least share of a class among the sample's inputs, as a multiple of 1 / classes."""
PIECE = 4096

_INPUTS, _TEACHER, _REFERENCE, _NOISE = range(4)


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A ReLU network: float64 `weights`, each [inputs, outputs], and `biases`, each [outputs]."""

    weights: tuple[NDArray[np.float64], ...]
    biases: tuple[NDArray[np.float64], ...]

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """uint8 [N, dimension] -> [N, classes]."""
        values = _units(pixels)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values = np.maximum(values @ weight + bias, 0)
        return values @ self.weights[-1] + self.biases[-1]


def teacher(dimension: int, classes: int, width: int, depth: int) -> Teacher:
    """Return the teacher of `depth` hidden layers of `width`, one for each set of these four numbers.

    Weights are normal, then each unit is scaled and shifted to zero mean and unit variance over a fixed
    sample of inputs, so that deep teachers still tell inputs apart. The biases of the logits are then moved
    until the classes are about equally frequent on that sample.

    Raises:
        DataError: a class stays rare, as where the teacher is much narrower than the number of classes.
    """
    generator = _stream(_TEACHER, dimension, classes, width, depth)
    values = _units(_inputs(REFERENCE_INPUTS, dimension, _REFERENCE))
    weights: list[NDArray[np.float64]] = []
    biases: list[NDArray[np.float64]] = []
    for inputs, outputs in itertools.pairwise((dimension, *[width] * depth, classes)):
        weight = generator.standard_normal((inputs, outputs))
        before = (np.maximum(values, 0) if weights else values) @ weight
        scale = 1 / np.maximum(before.std(0), 1e-9)
        weights.append(weight * scale)
        biases.append(-before.mean(0) * scale)
        values = before * scale + biases[-1]
    # Damped steps on the logarithm of the shares: a class that is too frequent gets a lower bias.
    shift = np.zeros(classes)
    for step in 0.3 * 0.93 ** np.arange(BALANCING_ROUNDS):
        shares = np.bincount((values + shift).argmax(1), minlength=classes) / REFERENCE_INPUTS
        shift -= step * np.log(np.maximum(shares * classes, 0.05))
    biases[-1] += shift
    if shares.min() * classes < RAREST:
        raise DataError(
            f"a teacher of width {width} and depth {depth} on {dimension} inputs cannot tell {classes} "
            "classes apart: raise data.teacher_width or data.dimension, or lower data.classes"
        )
    return Teacher(tuple(weights), tuple(biases))


def image_shape(dimension: int) -> tuple[int, int, int]:
    """Return (channels, height, width): one channel, and a square if the dimension is one, else a row.

    A square fits convolutions and patches.
    """
    side = math.isqrt(dimension)
    return (1, side, side) if side * side == dimension else (1, 1, dimension)


def generate(config: DataConfig) -> Raw:
    """Return the set; the last 20% are the test part. Label noise is in all parts, validation and test too.

    Raises:
        DataError: the teacher cannot tell so many classes apart.
    """
    dimension, classes, n = config.dimension, config.classes, config.examples
    width, depth, noise = config.teacher_width, config.teacher_depth, config.label_noise
    assert dimension is not None
    assert classes is not None
    assert n is not None
    assert width is not None
    assert depth is not None
    assert noise is not None
    pixels = _inputs(n, dimension, _INPUTS)
    judge = teacher(dimension, classes, width, depth)
    labels = np.concatenate([judge.logits(pixels[at : at + PIECE]).argmax(1) for at in range(0, n, PIECE)])
    chance = _stream(_NOISE).random((n, 2))
    drawn = (chance[:, 1] * classes).astype(np.int64)
    labels = np.where(chance[:, 0] < noise, drawn, labels).astype(np.int64)
    return Raw(
        images=pixels.reshape(n, *image_shape(dimension)),
        labels=labels,
        test_n=round(TEST_SHARE * n),
        classes=classes,
        identity=f"{dimension}/{classes}/{width}/{depth}/{noise}".encode(),
    )


def _inputs(n: int, dimension: int, purpose: int) -> NDArray[np.uint8]:
    """Return `n` normal inputs as uint8 [n, dimension]; beyond 4 standard deviations they are clipped."""
    draw, pixels = _stream(purpose), np.empty((n, dimension), np.uint8)
    for at in range(0, n, PIECE):
        normal = draw.standard_normal((min(PIECE, n - at), dimension))
        pixels[at : at + PIECE] = np.clip(np.rint(normal * STEPS_PER_UNIT + ZERO), 0, 255)
    return pixels


def _units(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return (pixels.astype(np.float64) - ZERO) / STEPS_PER_UNIT


def _stream(*purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((SEED, *purpose))))
