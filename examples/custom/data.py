"""Arrays of one's own for isoflop: `load` returns a dictionary of them (docs/custom_data.md)."""

from __future__ import annotations

from typing import Any

import numpy as np


def load(examples: int = 2000, noise: float = 0.5) -> dict[str, Any]:
    """Return noisy images of ten fixed patterns, 8 x 8 pixels, four fifths of them to train on."""
    draw = np.random.default_rng(0)
    patterns = draw.standard_normal((10, 1, 8, 8))
    labels = draw.integers(10, size=examples)
    images = patterns[labels] + noise * draw.standard_normal((examples, 1, 8, 8))
    cut = examples * 4 // 5
    return {
        "train_x": images[:cut].astype(np.float32),
        "train_y": labels[:cut],
        "test_x": images[cut:].astype(np.float32),
        "test_y": labels[cut:],
    }
