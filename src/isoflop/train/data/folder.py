"""A folder of images of the user's own: class folders, resized once to squares and cached in one file.

ROOT/train/CLASS/* is for training and validation, ROOT/test/CLASS/* is the test part, or ROOT/val/CLASS/*
where there is no test folder (as in ImageNet; with both, val is not read). As for every other
set, a fixed tenth of train is the validation part. The file ROOT/.isoflop-RESOLUTION-HASH.npy holds all
images; its hash is over the names, sizes and times of the folder's files, so that a changed folder is
resized anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isoflop.config import DataConfig
from isoflop.record import lock
from isoflop.train.data.parts import LEAST_IMAGES, DataError, Raw

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
BLOCK_BYTES = 64 * 2**20
RESIZE_METHOD = b"1: square centre crop, bilinear antialiased, RGB"
"""Part of the cache's name: change it together with `resized`, so that caches are made anew."""


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files in order, train first, with int64 `labels` [N]; `test_n` at the end are the test part.

    `state` hashes names, sizes and times, `content` names and sizes only: it survives a copy of the folder.
    """

    paths: list[str]
    labels: NDArray[np.int64]
    test_n: int
    classes: tuple[str, ...]
    state: str
    content: bytes


def read_images(config: DataConfig) -> Raw:
    """Return the folder's images at config.resolution, RGB, mapped from the cache file, made if missing.

    Raises:
        DataError: no images, one class, a class only in the test part, a damaged image, or a root that
            cannot be written.
        OSError: the disk is full.
    """
    assert config.resolution is not None
    root = Path(config.root)
    listing = scan(root)
    key = hashlib.sha256(listing.state.encode() + RESIZE_METHOD).hexdigest()[:16]
    cache = root / f".isoflop-{config.resolution}-{key}.npy"
    shape = (len(listing.paths), 3, config.resolution, config.resolution)
    images = _mapped(cache, shape)
    if images is None:
        with _locked(root):
            images = _mapped(cache, shape)
            # Another process may have made it while this one waited for the lock.
            if images is None:
                _write(cache, listing.paths, config.resolution)
                _remove_stale(cache, config.resolution)
                images = _mapped(cache, shape)
    assert images is not None, f"{cache} was just written"
    return Raw(images, listing.labels, listing.test_n, len(listing.classes), listing.content)


def scan(root: Path) -> Listing:
    """List the class folders: classes and files sorted by name, without hidden and other files.

    Raises:
        DataError: there is nothing to train on, or to test.
    """
    train = root / "train"
    test = root / "test" if (root / "test").is_dir() else root / "val"
    classes = tuple(_class_names(train))
    if len(classes) < 2:
        raise DataError(f"{train} holds one class only, {classes[0]}: there is nothing to tell apart")
    if alien := [name for name in _class_names(test) if name not in classes]:
        raise DataError(f"{test / alien[0]} is a class that {train} lacks: add it there or remove it")
    paths: list[str] = []
    labels: list[int] = []
    state, content, counts = hashlib.sha256(), hashlib.sha256(), []
    for part in (train, test):
        for label, name in enumerate(classes):
            files = _images(part / name)
            if part == train and not files:
                raise DataError(
                    f"{part / name} holds no images ({', '.join(SUFFIXES)}): add some or remove it"
                )
            for file, size, mtime_ns in files:
                identity = os.fsencode(f"{part.name}/{name}/{file}") + f"\0{size}\0".encode()
                content.update(identity)
                state.update(identity + f"{mtime_ns}\0".encode())
                paths.append(f"{part / name}/{file}")
            labels += [label] * len(files)
        counts.append(len(labels))
    train_n, test_n = counts[0], counts[1] - counts[0]
    if train_n < LEAST_IMAGES:
        raise DataError(
            f"{train} holds {train_n} images: at least {LEAST_IMAGES} are needed, a tenth to validate"
        )
    if not test_n:
        raise DataError(f"{test} holds no images ({', '.join(SUFFIXES)}) in its class folders")
    return Listing(paths, np.asarray(labels, np.int64), test_n, classes, state.hexdigest(), content.digest())


def resized(path: str, resolution: int) -> NDArray[np.uint8]:
    """Return the centre square of an image, as uint8 [3, resolution, resolution].

    The short side becomes `resolution`, filtered over all pixels it covers. An image of that size already is
    left as it is. Transparency is dropped and a rotation noted in EXIF is not applied, as in torchvision.

    Raises:
        DataError: the file cannot be decoded.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            # A JPEG decodes several times faster at 1/2, 1/4 or 1/8, while that is twice what is asked for.
            image.draft("RGB", (2 * resolution, 2 * resolution))
            whole = image.convert("RGB")
    except Exception as error:
        raise DataError(f"{path} cannot be read as an image ({error}): replace or remove it") from error
    side = min(whole.size)
    left, top = ((length - side) / 2 for length in whole.size)
    square = whole.resize(
        (resolution, resolution), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
    )
    return np.asarray(square).transpose(2, 0, 1)


def _class_names(part: Path) -> list[str]:
    if not part.is_dir():
        raise DataError(
            f"{part} is missing: imagefolder needs {part}/CLASS/*.png (or .jpg...): set data.root"
        )
    names = sorted(entry.name for entry in os.scandir(part) if entry.is_dir() and entry.name[0] != ".")
    if not names:
        raise DataError(f"{part} holds no class folders: put images into {part}/CLASS")
    return names


def _images(folder: Path) -> list[tuple[str, int, int]]:
    """Return (name, bytes, mtime in ns) of each image file of a folder, sorted; none if it is missing."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        files = [e for e in entries if e.name[0] != "." and e.name.lower().endswith(SUFFIXES)]
        return sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in files)


def _mapped(cache: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Return the cache as a memory map; None if it is missing or incomplete."""
    try:
        images = np.load(cache, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    complete = images.shape == shape and images.dtype == np.uint8
    return images if complete else None


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the folder's lock: one process makes a cache, the others wait for it."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock.exclusive(root / ".isoflop.lock", wait=True))
        except OSError as error:
            _raise_if_denied(root, error)
            raise
        yield


def _raise_if_denied(root: Path, error: OSError) -> None:
    """Raise DataError where writing is denied; other errors, as a full disk, are left to the caller."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise DataError(
            f"{root} cannot be written ({error.strerror}), and the resized images are kept there: make it "
            "writable, or link its train and val folders into one that is and set data.root"
        ) from error


def _write(cache: Path, paths: list[str], resolution: int) -> None:
    """Resize on all cores, a block at a time, into a file that gets its name when it is complete.

    Threads suffice, as Pillow releases the interpreter lock while it decodes and resizes. Plain writes and
    no memory map: a full disk is then an exception and not SIGBUS.
    """
    block = max(1, BLOCK_BYTES // (3 * resolution**2))
    temporary = cache.with_name(cache.name + ".tmp")
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), 3, resolution, resolution)}
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for at in range(0, len(paths), block):
                for image in pool.map(lambda path: resized(path, resolution), paths[at : at + block]):
                    file.write(image.tobytes())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(cache)
    except OSError as error:
        error.filename = error.filename or str(temporary)
        _raise_if_denied(cache.parent, error)
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        temporary.unlink(missing_ok=True)


def _remove_stale(cache: Path, resolution: int) -> None:
    """Remove caches of the folder's former contents; a process that has one mapped keeps it."""
    for other in cache.parent.glob(f".isoflop-{resolution}-*"):
        if other != cache:
            other.unlink(missing_ok=True)
