from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from isoflop.train import data
from isoflop.train.data import DataError, DataSet, load

CPU = torch.device("cpu")


def digits(fraction: float = 1.0) -> DataSet:
    return load("digits", Path("nowhere"), fraction=fraction, download=False, device=CPU)


def test_parts_are_disjoint_and_cover_everything() -> None:
    for n, test_n in ((1797, None), (70_000, 10_000)):
        train, val, test = data.split(n, test_n, 1.0)
        assert sorted(np.concatenate([train, val, test])) == list(range(n))
        assert len(train) > len(val)
    assert test[0] == 60_000


def test_fractions_are_nested_and_leave_the_other_parts_alone() -> None:
    whole, half, tenth = (data.split(1797, None, fraction) for fraction in (1.0, 0.5, 0.1))
    assert set(tenth[0]) < set(half[0]) < set(whole[0])
    assert len(half[0]) == round(0.5 * len(whole[0]))
    assert all(np.array_equal(a, b) for a, b in zip(half[1:], whole[1:], strict=True))


def test_digits_are_uint8_and_the_split_is_hashed() -> None:
    found = digits()
    assert found.train.images.dtype == torch.uint8
    assert found.image_shape == (1, 8, 8)
    assert [len(part) for part in (found.train, found.val, found.test)] == [898, 180, 719]
    assert found.split_sha256 == digits().split_sha256 != digits(0.5).split_sha256
    assert 0.88 < found.chance_error < 0.9


def test_normalised_training_images_have_zero_mean_and_unit_variance() -> None:
    found = digits()
    images = found.normalise(found.train.images, torch.contiguous_format)
    assert abs(images.mean()) < 1e-5
    assert abs(images.std() - 1) < 1e-3


def test_an_epoch_shows_each_image_once_and_epochs_differ() -> None:
    found = digits()
    per_epoch = 898 // 32
    stream = data.batches(found, 32, 3, torch.contiguous_format)
    first, second = (list(islice(stream, per_epoch)) for _ in range(2))
    shown = torch.cat([images for images, _ in first]).flatten(1)
    assert len(shown) == per_epoch * 32
    kept = found.normalise(found.train.images, torch.contiguous_format).flatten(1)
    assert len(torch.unique(shown, dim=0)) == len(shown) or len(torch.unique(kept, dim=0)) < len(kept)
    assert not torch.equal(first[0][0], second[0][0])
    again = next(data.batches(found, 32, 3, torch.contiguous_format))
    other = next(data.batches(found, 32, 4, torch.contiguous_format))
    assert torch.equal(again[0], first[0][0])
    assert not torch.equal(other[0], first[0][0])


def test_chunking_does_not_change_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    found = digits()
    whole = list(islice(data.batches(found, 32, 0, torch.contiguous_format), 60))
    monkeypatch.setattr(data, "CHUNK_BYTES", 1)
    single = list(islice(data.batches(found, 32, 0, torch.contiguous_format), 60))
    for (a, b), (c, d) in zip(whole, single, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


@pytest.mark.parametrize(
    ("name", "first_file"),
    [
        ("fashion_mnist", "FashionMNIST/raw/train-images-idx3-ubyte"),
        ("mnist", "MNIST/raw/train-images-idx3-ubyte"),
        ("cifar10", "cifar-10-batches-py/data_batch_1"),
    ],
)
def test_a_missing_set_names_the_file_and_the_place(name: str, first_file: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(name, tmp_path, fraction=1.0, download=False, device=CPU)
    assert str(tmp_path / first_file) in str(caught.value)
    assert "put it there" in str(caught.value)


def test_a_damaged_set_is_named(image_root: Path, tmp_path: Path) -> None:
    for folder in ("FashionMNIST/raw", "cifar-10-batches-py"):
        (tmp_path / folder).mkdir(parents=True)
        for file in (image_root / folder).iterdir():
            (tmp_path / folder / file.name).symlink_to(file)
    cut = tmp_path / "FashionMNIST/raw/train-images-idx3-ubyte"
    cut.unlink()
    cut.write_bytes((image_root / "FashionMNIST/raw/train-images-idx3-ubyte").read_bytes()[:5000])
    poisoned = tmp_path / "cifar-10-batches-py/test_batch"
    poisoned.unlink()
    poisoned.write_bytes(b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
    for name in ("fashion_mnist", "cifar10"):
        with pytest.raises(DataError, match="damaged"):
            load(name, tmp_path, fraction=1.0, download=False, device=CPU)


@pytest.mark.parametrize(("name", "shape"), [("fashion_mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_rebuilt_sets_load(name: str, shape: tuple[int, int, int], image_root: Path) -> None:
    found = load(name, image_root, fraction=0.01, download=False, device=CPU)
    assert found.image_shape == shape
    assert len(found.test) == 10_000
    assert found.classes == 10
    assert found.chance_error == pytest.approx(0.9)
    assert len(found.train) in (450, 540)
