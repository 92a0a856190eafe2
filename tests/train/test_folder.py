from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from isoflop.config import Config, DataConfig
from isoflop.train.data import DataError, ImageSet, folder
from isoflop.train.data.sets import load

CPU = torch.device("cpu")
MakeConfig = Callable[..., Config]


def paint(path: Path, seed: int, size: tuple[int, int] = (12, 9)) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, 2 x 10 images to train on and 2 x 3 in val."""
    for part, n in (("train", 10), ("val", 3)):
        for label, name in enumerate(("cat", "dog")):
            folder_path = tmp_path / "mine" / part / name
            folder_path.mkdir(parents=True)
            for i in range(n):
                paint(folder_path / f"{i}.png", seed=100 * label + i + 1000 * (part == "val"))
    return tmp_path / "mine"


@pytest.fixture
def settings(make_config: MakeConfig, root: Path) -> DataConfig:
    return make_config("data=imagefolder", f"data.root={root}", "data.resolution=8").data


def caches(root: Path) -> list[Path]:
    return sorted(root.glob(".isoflop-*"))


def count_resizes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each image resized from here on."""
    seen: list[str] = []
    plain = folder.resized

    def counted(path: str, resolution: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        seen.append(path)
        return plain(path, resolution)

    monkeypatch.setattr(folder, "resized", counted)
    return seen


def test_parts_classes_and_pixels(root: Path, settings: DataConfig) -> None:
    loaded = load(settings, CPU)
    assert loaded.input_shape == (3, 8, 8)
    assert loaded.classes == 2
    assert [len(part) for part in (loaded.train, loaded.val, loaded.test)] == [18, 2, 6]
    assert loaded.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    for i, path in enumerate(sorted((root / "val/dog").iterdir())):
        assert np.array_equal(loaded.test.images[3 + i].numpy(), folder.resized(str(path), 8))
    every = torch.cat([loaded.train.images, loaded.val.images]).flatten(1)
    assert len(torch.unique(every, dim=0)) == 20


def test_a_test_folder_is_the_test_part(root: Path, settings: DataConfig) -> None:
    (root / "test/dog").mkdir(parents=True)
    paint(root / "test/dog/1.png", 77)
    loaded = load(settings, CPU)
    assert loaded.test.labels.tolist() == [1]
    assert len(loaded.val) == 2


def test_the_second_load_maps_the_cache(
    root: Path, settings: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    resizes = count_resizes(monkeypatch)
    first = load(settings, CPU)
    assert len(resizes) == 26
    raw = folder.read_images(settings)
    assert len(resizes) == 26
    assert isinstance(raw.images, np.memmap)
    second = load(settings, CPU)
    assert torch.equal(first.train.images, second.train.images)
    assert first.split_sha256 == second.split_sha256
    assert [path.suffix for path in caches(root)] == [".npy"]


def _touched(root: Path) -> None:
    os.utime(root / "train/cat/1.png", ns=(5, 5))


def _added(root: Path) -> None:
    paint(root / "train/cat/new.png", 5)


def _removed(root: Path) -> None:
    (root / "val/cat/1.png").unlink()


def _cut(root: Path) -> None:
    os.truncate(caches(root)[0], 300)


def _rubbish(root: Path) -> None:
    caches(root)[0].write_bytes(b"rubbish")


def _emptied(root: Path) -> None:
    caches(root)[0].write_bytes(b"")


@pytest.mark.parametrize("change", [_touched, _added, _removed, _cut, _rubbish, _emptied])
def test_a_changed_folder_or_a_damaged_cache_is_resized_anew(
    change: Callable[[Path], None], root: Path, settings: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(settings, CPU)
    change(root)
    resizes = count_resizes(monkeypatch)
    loaded = load(settings, CPU)
    assert len(resizes) == len(loaded.train) + len(loaded.val) + len(loaded.test)
    assert len(caches(root)) == 1, "the old cache is gone"


def test_each_resolution_has_its_cache(root: Path, settings: DataConfig, make_config: MakeConfig) -> None:
    load(settings, CPU)
    other = make_config("data=imagefolder", f"data.root={root}", "data.resolution=5").data
    assert load(other, CPU).input_shape == (3, 5, 5)
    assert len(caches(root)) == 2


def test_the_hash_follows_the_content_and_not_the_place(
    root: Path, settings: DataConfig, make_config: MakeConfig
) -> None:
    before = load(settings, CPU).split_sha256
    moved = root.rename(root.with_name("moved"))
    there = make_config("data=imagefolder", f"data.root={moved}", "data.resolution=8").data
    assert load(there, CPU).split_sha256 == before
    paint(moved / "train/cat/0.png", 9999, (30, 30))
    assert load(there, CPU).split_sha256 != before


@pytest.mark.parametrize("size", [(40, 16), (16, 40), (24, 16)])
def test_the_short_side_is_resized_and_the_centre_cropped(size: tuple[int, int], tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 3, size)
    with Image.open(tmp_path / "a.png") as image:
        half = image.resize((size[0] // 2, size[1] // 2), Image.Resampling.BILINEAR)
    left, top = ((length - 8) // 2 for length in half.size)
    expected = np.asarray(half.crop((left, top, left + 8, top + 8))).transpose(2, 0, 1)
    assert np.array_equal(folder.resized(str(tmp_path / "a.png"), 8), expected)


def test_stripes_finer_than_a_pixel_become_grey(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    inner = folder.resized(str(tmp_path / "stripes.png"), 8)[:, 1:-1, 1:-1]
    assert inner.shape == (3, 6, 6)
    assert (abs(inner.astype(int) - 128) <= 3).all(), "a filter without antialiasing gives 0 or 255"


def test_an_image_of_the_right_size_is_left_as_it_is(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 3, (8, 8))
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image).transpose(2, 0, 1)
    assert np.array_equal(folder.resized(str(tmp_path / "a.png"), 8), pixels)


def test_every_kind_of_image_becomes_rgb(tmp_path: Path) -> None:
    colour = Image.new("RGB", (64, 48), (180, 60, 30))
    for mode, suffix in (
        ("L", ".jpg"),
        ("RGB", ".jpg"),
        ("CMYK", ".jpg"),
        ("RGBA", ".png"),
        ("P", ".gif"),
        ("1", ".png"),
    ):
        path = tmp_path / f"{mode}{suffix}"
        colour.convert(mode).save(path)
        shown = folder.resized(str(path), 16)
        assert shown.shape == (3, 16, 16)
        if mode in ("RGB", "RGBA"):
            assert abs(shown.mean((1, 2)) - (180, 60, 30)).max() < 3


def test_hidden_and_other_files_are_left_out(root: Path, settings: DataConfig) -> None:
    (root / "train/cat/notes.txt").write_text("no image")
    (root / "train/cat/._0.png").write_bytes(b"no image")
    (root / "train/.hidden").mkdir()
    assert len(load(settings, CPU).train) == 18


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n rubbish", None])
def test_a_damaged_image_is_named_in_one_line(
    content: bytes | None, root: Path, settings: DataConfig
) -> None:
    victim = root / "train/dog/4.png"
    victim.write_bytes(victim.read_bytes()[:200] if content is None else content)
    with pytest.raises(DataError) as caught:
        load(settings, CPU)
    assert str(victim) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not caches(root), "nothing half made is left"


def _drop_train(root: Path) -> None:
    (root / "train").rename(root / "gone")


def _drop_val(root: Path) -> None:
    (root / "val").rename(root / "gone")


def _one_class(root: Path) -> None:
    (root / "train/dog").rename(root / "gone")


def _alien(root: Path) -> None:
    (root / "val/zebra").mkdir()


def _no_classes(root: Path) -> None:
    for name in ("cat", "dog"):
        (root / "train" / name).rename(root / name)


def _empty_class(root: Path) -> None:
    (root / "train/emu").mkdir()


def _too_few(root: Path) -> None:
    for name in ("cat", "dog"):
        for path in sorted((root / "train" / name).iterdir())[4:]:
            path.unlink()


def _empty_val(root: Path) -> None:
    for path in (root / "val").glob("*/*"):
        path.unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop_train, "train is missing: imagefolder needs"),
        (_drop_val, "val is missing: imagefolder needs"),
        (_one_class, "holds one class only, cat"),
        (_alien, "zebra is a class that"),
        (_no_classes, "holds no class folders"),
        (_empty_class, "emu holds no images"),
        (_too_few, "holds 8 images: at least 10"),
        (_empty_val, "val holds no images"),
    ],
)
def test_a_folder_that_cannot_be_used_is_reported_in_one_line(
    change: Callable[[Path], None], message: str, root: Path, settings: DataConfig
) -> None:
    change(root)
    with pytest.raises(DataError, match=message) as caught:
        load(settings, CPU)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


def _refuse(number: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of this name cannot be opened for writing, whoever asks (root may write anywhere)."""
    plain, plain_os = Path.open, os.open

    def refused(self: Path, mode: str = "r", *rest: object) -> object:
        if name in self.name:
            raise OSError(number, os.strerror(number), str(self))
        return plain(self, mode, *rest)  # type: ignore[call-overload]

    def refused_os(path: str | Path, *rest: int, **options: int) -> int:
        if name in Path(path).name:
            raise OSError(number, os.strerror(number), str(path))
        return plain_os(path, *rest, **options)

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(os, "open", refused_os)


@pytest.mark.parametrize("name", [".lock", ".tmp"])
def test_a_root_that_cannot_be_written_is_named(
    name: str, root: Path, settings: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refuse(errno.EROFS, name, monkeypatch)
    with pytest.raises(DataError, match=f"{root} cannot be written") as caught:
        load(settings, CPU)
    assert "link its train and val" in str(caught.value)


def test_a_root_that_cannot_be_written_is_fine_once_cached(
    settings: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(settings, CPU)
    _refuse(errno.EROFS, ".isoflop", monkeypatch)
    assert len(load(settings, CPU).train) == 18


def test_a_full_disk_is_the_machines_fault(
    root: Path, settings: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refuse(errno.ENOSPC, ".tmp", monkeypatch)
    with pytest.raises(OSError, match="No space left") as caught:
        load(settings, CPU)
    assert str(root) in str(caught.value)


def test_two_blocks_give_the_same_file(
    root: Path, settings: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(settings, CPU)
    caches(root)[0].unlink()
    monkeypatch.setattr(folder, "BLOCK_BYTES", 1)
    again: ImageSet = load(settings, CPU)
    assert torch.equal(whole.train.images, again.train.images)
    assert torch.equal(whole.test.images, again.test.images)


def test_two_at_once_resize_once(settings: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    resizes = count_resizes(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: load(settings, CPU), range(2))
    assert len(resizes) == 26
    assert torch.equal(one.train.images, two.train.images)
