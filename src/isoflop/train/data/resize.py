"""Images of a set at another resolution, by the filter that folders of images are resized with."""

from __future__ import annotations

import dataclasses

import numpy as np

from isoflop.train.data.parts import Raw


def at_resolution(raw: Raw, resolution: int | None) -> Raw:
    """Return the set with images [N, C, resolution, resolution]; as it is for None or where they already are.

    Pillow's bilinear filter, antialiased over all pixels that an output pixel covers, in integer arithmetic:
    the same on every machine. The resolution becomes part of the set's identity.
    """
    n, channels, height, width = raw.images.shape
    if resolution is None or (height, width) == (resolution, resolution):
        return raw
    from PIL import Image

    resized = np.empty((n, resolution, resolution, channels), np.uint8)
    size, bilinear = (resolution, resolution), Image.Resampling.BILINEAR
    drop = channels == 1  # Pillow takes grey images without a dimension of channels
    for i, image in enumerate(np.ascontiguousarray(raw.images.transpose(0, 2, 3, 1))):
        made = Image.fromarray(image[..., 0] if drop else image).resize(size, bilinear)
        resized[i] = np.asarray(made).reshape(resized.shape[1:])
    images = np.ascontiguousarray(resized.transpose(0, 3, 1, 2))
    return dataclasses.replace(raw, images=images, identity=raw.identity + f"{resolution} px".encode())
