"""Sets at another resolution: pixels against Pillow's own, and the ids that tell resolutions apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from isoflop.config import Config
from isoflop.train import data
from isoflop.train.data.parts import Raw
from isoflop.train.data.resize import at_resolution

MakeConfig = Callable[..., Config]


def images(channels: int) -> Raw:
    pixels = np.random.default_rng(0).integers(0, 256, (6, channels, 12, 12)).astype(np.uint8)
    return Raw(pixels, np.zeros(6, np.int64), 2, 10, b"set")


@pytest.mark.parametrize("channels", [1, 3])
def test_each_channel_is_pillows_antialiased_bilinear(channels: int) -> None:
    raw = images(channels)
    small = at_resolution(raw, 4)
    assert small.images.shape == (6, channels, 4, 4)
    for i in range(6):
        for channel in range(channels):
            plane = Image.fromarray(raw.images[i, channel]).resize((4, 4), Image.Resampling.BILINEAR)
            assert np.array_equal(small.images[i, channel], np.asarray(plane))
    assert small.identity != raw.identity


def test_a_constant_image_stays_constant_and_its_own_size_changes_nothing() -> None:
    raw = images(3)
    grey = Raw(np.full_like(raw.images, 77), raw.labels, 2, 10)
    assert np.all(at_resolution(grey, 5).images == 77)
    assert at_resolution(raw, 12) is raw
    assert at_resolution(raw, None) is raw


def test_a_run_at_another_resolution_is_another_run(make_config: MakeConfig) -> None:
    native, small = make_config().data, make_config("data.resolution=4")
    loaded, resized = (data.sets.load(each, torch.device("cpu")) for each in (native, small.data))
    assert resized.input_shape == (1, 4, 4)
    assert resized.split_sha256 != loaded.split_sha256
    assert small.run_id != make_config().run_id
