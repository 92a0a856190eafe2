from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from isoflop.config import Config
from isoflop.train import data
from isoflop.train.data import DataError, ImageSet, order, parts, sets
from isoflop.train.data.sets import load

CPU = torch.device("cpu")
PLAIN = torch.contiguous_format
MakeConfig = Callable[..., Config]


@pytest.fixture
def load_set(make_config: MakeConfig) -> Callable[..., ImageSet]:
    """load_set("mnist", tmp_path, "data.fraction=0.5") -> the set, never downloaded."""

    def made(name: str, root: Path = Path("nowhere"), *overrides: str) -> ImageSet:
        settings = (f"data={name}", f"data.root={root}", "data.download=false", *overrides)
        return load(make_config(*settings).data, CPU)

    return made


@pytest.fixture
def digits(load_set: Callable[..., ImageSet]) -> ImageSet:
    return load_set("digits")


LoadSet = Callable[..., ImageSet]


def test_the_digits_are_those_that_scikit_learn_loads(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_config("data=digits").data
    read = sets.READERS["digits"](settings)
    monkeypatch.setattr(sets, "DIGITS_FILE", "moved/elsewhere")
    loaded = sets.READERS["digits"](settings)
    assert read.images.shape == (1797, 1, 8, 8)
    assert np.array_equal(read.images, loaded.images)
    assert np.array_equal(read.labels, loaded.labels)
    assert read.images.dtype == loaded.images.dtype


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


def test_digits_are_uint8_and_the_split_is_hashed(digits: ImageSet, load_set: LoadSet) -> None:
    assert digits.train.images.dtype == torch.uint8
    assert digits.input_shape == (1, 8, 8)
    assert [len(part) for part in (digits.train, digits.val, digits.test)] == [898, 180, 719]
    half = load_set("digits", Path(), "data.fraction=0.5")
    assert digits.split_sha256 == load_set("digits").split_sha256 != half.split_sha256
    assert 0.88 < digits.chance_error < 0.9


def test_normalised_training_images_have_zero_mean_and_unit_variance(digits: ImageSet) -> None:
    images = digits.normalise(digits.train.images, PLAIN)
    assert abs(images.mean()) < 1e-5
    assert abs(images.std() - 1) < 1e-3


def test_the_layout_changes_no_pixel() -> None:
    images = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator())
    part = data.Part(images, torch.zeros(5, dtype=torch.int64))
    loaded = ImageSet("cifar10", 2, part, part, part, *parts.statistics(images), "")
    last = loaded.normalise(images, torch.channels_last)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, loaded.normalise(images, PLAIN))


def test_statistics_are_those_of_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CACHED_PIXELS", 300)
    images = torch.randint(0, 256, (37, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator())
    images[:, 1] = 9
    mean, std = (each.flatten().double().numpy() for each in parts.statistics(images))
    pixels = images.numpy().astype(np.float64)
    assert mean == pytest.approx(pixels.mean((0, 2, 3)), rel=1e-6)
    assert std[[0, 2]] == pytest.approx(pixels.std((0, 2, 3))[[0, 2]], rel=1e-6)
    assert std[1] == 1, "a channel without variation is only centred"


def test_images_are_placed_in_the_order_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PIECE_BYTES", 70)
    images = np.random.default_rng(0).integers(0, 256, (23, 1, 3, 3)).astype(np.uint8)
    images.flags.writeable = False
    raw = parts.Raw(images, np.arange(23), None, 23)
    indices = np.random.default_rng(1).permutation(23)[:15]
    part = parts.gather_part(raw, indices, CPU)
    assert np.array_equal(part.images.numpy(), images[indices])
    assert np.array_equal(part.labels.numpy(), indices)


def test_the_stream_is_that_of_the_first_release(digits: ImageSet) -> None:
    """Hashes taken from the code as it was before it could seek and augment."""
    assert digits.split_sha256 == "09afb01ece5e3e8e3aa56ac4976f4cdd23fa65709b25cc7872fb37aa2311aca6"
    shown, named = hashlib.sha256(), hashlib.sha256()
    for images, labels in islice(data.stream.batches(digits, 32, 3, PLAIN), 100):
        shown.update(images.numpy().tobytes())
        named.update(labels.numpy().tobytes())
    assert named.hexdigest() == "c39be68cb2f2e604e74dd880f226d4ef9ec24cb723e7bf2e80049c99f3f39229"
    assert shown.hexdigest() == "3e5192369abbcc35d116ee93c9ffca63613a18e7f5c81c9c1ff861284ba7c4e8"


def test_an_epoch_shows_each_image_once_and_epochs_differ(digits: ImageSet) -> None:
    per_epoch = 898 // 32
    batches = data.stream.batches(digits, 32, 3, PLAIN)
    first, second = (list(islice(batches, per_epoch)) for _ in range(2))
    shown = torch.cat([images for images, _ in first]).flatten(1)
    assert len(shown) == per_epoch * 32
    kept = digits.normalise(digits.train.images, PLAIN).flatten(1)
    assert len(torch.unique(shown, dim=0)) == len(shown) or len(torch.unique(kept, dim=0)) < len(kept)
    assert not torch.equal(first[0][0], second[0][0])
    again = next(data.stream.batches(digits, 32, 3, PLAIN))
    other = next(data.stream.batches(digits, 32, 4, PLAIN))
    assert torch.equal(again[0], first[0][0])
    assert not torch.equal(other[0], first[0][0])


@pytest.mark.parametrize("augment", ["none", "crop_flip"])
def test_chunking_does_not_change_the_stream(
    augment: str, digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(islice(data.stream.batches(digits, 32, 0, PLAIN, augment=augment), 60))
    monkeypatch.setitem(order.CHUNK_BYTES, "cpu", 1)
    single = list(islice(data.stream.batches(digits, 32, 0, PLAIN, augment=augment), 60))
    for (a, b), (c, d) in zip(whole, single, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


@pytest.mark.parametrize("augment", ["none", "crop_flip"])
@pytest.mark.parametrize("start", [1, 27, 28, 29, 56, 83])
def test_seeking_gives_what_iterating_that_far_gives(augment: str, start: int, digits: ImageSet) -> None:
    walked = islice(data.stream.batches(digits, 32, 5, PLAIN, augment=augment), start, start + 40)
    sought = islice(data.stream.batches(digits, 32, 5, PLAIN, start_step=start, augment=augment), 40)
    for (a, b), (c, d) in zip(walked, sought, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)


def test_drawing_batches_leaves_the_ambient_generator_alone(digits: ImageSet) -> None:
    before = torch.get_rng_state()
    next(data.stream.batches(digits, 32, 0, PLAIN, augment="crop_flip"))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "first_file"),
    [
        ("fashion_mnist", "FashionMNIST/raw/train-images-idx3-ubyte"),
        ("mnist", "MNIST/raw/train-images-idx3-ubyte"),
        ("cifar10", "cifar-10-batches-py/data_batch_1"),
        ("cifar100", "cifar-100-python/train"),
        ("svhn", "svhn/train_32x32.mat"),
    ],
)
def test_a_missing_set_names_the_file_and_the_place(
    name: str, first_file: str, tmp_path: Path, load_set: LoadSet
) -> None:
    with pytest.raises(DataError) as caught:
        load_set(name, tmp_path)
    assert str(tmp_path / first_file) in str(caught.value)
    assert "put it there" in str(caught.value)


def test_a_damaged_set_is_named(image_root: Path, tmp_path: Path, load_set: LoadSet) -> None:
    folder = tmp_path / "FashionMNIST/raw"
    folder.mkdir(parents=True)
    for file in (image_root / "FashionMNIST/raw").iterdir():
        (folder / file.name).symlink_to(file)
    cut = folder / "train-images-idx3-ubyte"
    cut.unlink()
    cut.write_bytes((image_root / "FashionMNIST/raw/train-images-idx3-ubyte").read_bytes()[:5000])
    with pytest.raises(DataError, match="damaged"):
        load_set("fashion_mnist", tmp_path)


class Poison:
    """Unpickling this creates a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.victim,))


@pytest.mark.parametrize(
    ("name", "folder", "files"),
    [
        (
            "cifar10",
            "cifar-10-batches-py",
            (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
        ),
        ("cifar100", "cifar-100-python", ("train", "test", "meta")),
    ],
)
def test_a_poisoned_pickle_is_refused_before_it_is_loaded(
    name: str, folder: str, files: tuple[str, ...], tmp_path: Path, load_set: LoadSet
) -> None:
    victim = tmp_path / "victim"
    poison = pickle.dumps(Poison(victim))
    pickle.loads(poison)
    assert victim.exists(), "the poison works"
    victim.unlink()
    (tmp_path / folder).mkdir()
    for file in files:
        (tmp_path / folder / file).write_bytes(poison)
    with pytest.raises(DataError, match="damaged"):
        load_set(name, tmp_path)
    assert not victim.exists()


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_cifar100_is_read_with_its_fine_labels(
    tmp_path: Path, load_set: LoadSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR100

    folder, rng, kept = tmp_path / "cifar-100-python", np.random.default_rng(0), {}
    folder.mkdir()
    for part, n in (("train", 200), ("test", 100)):
        pixels = rng.integers(0, 256, (n, 3072)).astype(np.uint8)
        fine = [i % 100 for i in range(n)]
        kept[part] = pixels
        content = {"data": pixels, "fine_labels": fine, "coarse_labels": [0] * n}
        (folder / part).write_bytes(pickle.dumps(content))
        monkeypatch.setattr(CIFAR100, f"{part}_list", [[part, _md5(folder / part)]])
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(i) for i in range(100)]}))
    meta = {"filename": "meta", "key": "fine_label_names", "md5": _md5(folder / "meta")}
    monkeypatch.setattr(CIFAR100, "meta", meta)
    loaded = load_set("cifar100", tmp_path)
    assert (loaded.classes, loaded.input_shape) == (100, (3, 32, 32))
    assert [len(part) for part in (loaded.train, loaded.val, loaded.test)] == [180, 20, 100]
    assert loaded.test.labels.tolist() == list(range(100))
    assert np.array_equal(loaded.test.images.flatten(1).numpy(), kept["test"])
    assert loaded.chance_error == pytest.approx(0.99)


def test_svhn_is_read_upright_with_ten_as_zero(
    tmp_path: Path, load_set: LoadSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    folder, rng, listed = tmp_path / "svhn", np.random.default_rng(0), {}
    folder.mkdir()
    for part, n in (("train", 60), ("test", 20)):
        images = rng.integers(0, 256, (32, 32, 3, n)).astype(np.uint8)
        file = folder / f"{part}_32x32.mat"
        savemat(file, {"X": images, "y": np.arange(n)[:, None] % 10 + 1})
        listed[part] = ["", file.name, _md5(file)]
    monkeypatch.setattr(SVHN, "split_list", listed)
    loaded = load_set("svhn", tmp_path)
    assert (loaded.classes, loaded.input_shape) == (10, (3, 32, 32))
    assert loaded.test.labels[:12].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    assert np.array_equal(loaded.test.images.numpy(), images.transpose(3, 2, 0, 1))
    (folder / "train_32x32.mat").write_bytes(b"cut short")
    with pytest.raises(DataError, match="damaged"):
        load_set("svhn", tmp_path)


@pytest.mark.parametrize(("name", "shape"), [("fashion_mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
def test_rebuilt_sets_load(
    name: str, shape: tuple[int, int, int], image_root: Path, load_set: LoadSet
) -> None:
    loaded = load_set(name, image_root, "data.fraction=0.01")
    assert loaded.input_shape == shape
    assert len(loaded.test) == 10_000
    assert loaded.classes == 10
    assert loaded.chance_error == pytest.approx(0.9)
    assert len(loaded.train) in (450, 540)
    images = loaded.normalise(loaded.train.images, torch.channels_last)
    assert math.isclose(images.std().item(), 1, rel_tol=1e-3)
