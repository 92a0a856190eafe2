from __future__ import annotations

from itertools import islice

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from isoflop.train.data import ImageSet, Part
from isoflop.train.data.augment import crop_flip, draw_crops, padding
from isoflop.train.data.stream import batches

PLAIN = torch.contiguous_format


def noise(n: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 256, (n, *shape), dtype=torch.uint8, generator=generator)


def drawn(n: int, shape: tuple[int, int, int], name: str = "cifar10", seed: int = 0) -> Tensor:
    return draw_crops(n, shape, name, torch.Generator().manual_seed(seed))


def one_by_one(images: Tensor, crops: Tensor) -> Tensor:
    """The reference: one image at a time, with slices."""
    _, height, width = images.shape[1:]
    pad_y, pad_x = padding(height), padding(width)
    crops_by_hand = []
    for image, (top, left, mirror) in zip(images, crops.T.tolist(), strict=True):
        turned = image.flip(2) if mirror else image
        padded = F.pad(turned, (pad_x, pad_x, pad_y, pad_y))
        crops_by_hand.append(padded[:, top : top + height, left : left + width])
    return torch.stack(crops_by_hand)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 16, 40), (2, 5, 9), (1, 1, 1)])
def test_the_batch_equals_images_cropped_one_by_one(shape: tuple[int, int, int]) -> None:
    images, crops = noise(200, shape), drawn(200, shape)
    assert torch.equal(crop_flip(images, crops), one_by_one(images, crops))


def test_the_extremes_of_every_crop_stay_inside() -> None:
    shape = (3, 16, 16)
    crops = torch.cartesian_prod(torch.tensor([0, 4]), torch.tensor([0, 4]), torch.tensor([0, 1])).T
    images = noise(crops.shape[1], shape)
    assert torch.equal(crop_flip(images, crops), one_by_one(images, crops))


def test_the_middle_crop_is_the_image_and_mirroring_twice_gives_it_back() -> None:
    images = noise(20, (3, 32, 32))
    middle = torch.full((3, 20), 4)
    middle[2] = 0
    assert torch.equal(crop_flip(images, middle), images)
    middle[2] = 1
    once = crop_flip(images, middle)
    assert torch.equal(once, images.flip(3))
    assert torch.equal(crop_flip(once, middle), images)


def test_pixels_that_come_in_are_black_and_the_others_are_only_moved() -> None:
    images = noise(300, (3, 32, 32))
    crops = drawn(300, (3, 32, 32))
    shown = crop_flip(images, crops)
    lost_rows, lost_columns = ((crops[i] - 4).abs() for i in (0, 1))
    assert torch.equal((shown[:, 0] == 0).sum((1, 2)), 1024 - (32 - lost_rows) * (32 - lost_columns))


def test_crops_are_uniform_and_half_are_mirrored() -> None:
    n = 81 * 400
    tops, lefts, mirrors = drawn(n, (3, 32, 32))
    counts = torch.bincount(tops * 9 + lefts, minlength=81)
    assert len(counts) == 81
    chi_squared = ((counts - 400.0) ** 2 / 400).sum()
    assert chi_squared < 125, "80 degrees of freedom: 1 in 1000 is beyond 125"
    assert abs(mirrors.double().mean() - 0.5) < 4 * 0.5 / n**0.5


def test_digits_are_moved_and_never_mirrored() -> None:
    for name in ("mnist", "svhn"):
        tops, _, mirrors = drawn(1000, (1, 28, 28), name)
        assert mirrors.sum() == 0
        assert set(tops.tolist()) == set(range(7))
    assert torch.equal(drawn(99, (3, 32, 32), "svhn")[:2], drawn(99, (3, 32, 32), "cifar10")[:2])


def pictures(n: int, name: str = "cifar10") -> ImageSet:
    images = noise(n, (3, 16, 16))
    part = Part(images, torch.arange(n))
    mean = torch.zeros(1, 3, 1, 1)
    return ImageSet(name, n, part, part, part, mean, mean + 1, "")


def test_the_stream_shows_the_same_labels_with_and_without() -> None:
    made = pictures(50)
    plain = list(islice(batches(made, 10, 0, PLAIN), 10))
    moved = list(islice(batches(made, 10, 0, PLAIN, augment="crop_flip"), 10))
    for (images, labels), (other, same) in zip(plain, moved, strict=True):
        assert torch.equal(labels, same)
        assert not torch.equal(images, other)


def test_the_kth_image_of_an_epoch_is_moved_alike_whatever_the_batch() -> None:
    made = pictures(60)
    tens = torch.cat([x for x, _ in islice(batches(made, 10, 3, PLAIN, augment="crop_flip"), 6)])
    twelves = torch.cat([x for x, _ in islice(batches(made, 12, 3, PLAIN, augment="crop_flip"), 5)])
    assert torch.equal(tens, twelves)


def test_crops_change_with_the_epoch_and_with_the_seed() -> None:
    made = pictures(10)

    def shown(seed: int, epoch: int) -> Tensor:
        stream = batches(made, 10, seed, PLAIN, start_step=epoch, augment="crop_flip")
        images, labels = next(stream)
        return images[labels.argsort()]

    assert torch.equal(shown(0, 0), shown(0, 0))
    assert not torch.equal(shown(0, 0), shown(0, 1))
    assert not torch.equal(shown(0, 0), shown(1, 0))
