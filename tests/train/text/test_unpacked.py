from __future__ import annotations

import errno
import gzip
import lzma
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from isoflop.config import user_cache
from isoflop.record import lock
from isoflop.train.data.text import TextSet, corpus, files, unpacked

Load = Callable[..., TextSet]


@pytest.fixture
def packed(books: Path, tmp_path: Path) -> Path:
    """The books, a third of them plain, a third as .gz, a third as .xz, with the same order of names."""
    folder = tmp_path / "packed"
    for number, path in enumerate(sorted(books.rglob("*.txt"))):
        target = folder / path.relative_to(books)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_bytes()
        if number % 3 == 0:
            target.write_bytes(text)
        elif number % 3 == 1:
            target.with_name(f"{path.name}.gz").write_bytes(gzip.compress(text))
        else:
            target.with_name(f"{path.name}.xz").write_bytes(lzma.compress(text))
    return folder


@pytest.fixture
def unpackings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each .xz unpacked from here on."""
    seen: list[int] = []

    def counted(data: bytes) -> bytes:
        seen.append(len(data))
        return lzma.decompress(data)

    monkeypatch.setitem(files.UNPACK, ".xz", counted)
    return seen


def anew(load: Load, folder: Path) -> TextSet:
    """Load as another process would."""
    corpus._read.cache_clear()
    return load(folder)


def entries() -> list[Path]:
    return sorted((user_cache.folder() / "text").glob("*"))


def test_packed_text_is_the_plain_text(load: Load, books: Path, packed: Path) -> None:
    plain, unpacked_text = load(books), load(packed)
    assert torch.equal(plain.tokens, unpacked_text.tokens)
    assert plain.split_sha256 == unpacked_text.split_sha256
    assert plain.sources == unpacked_text.sources


def test_plain_text_needs_no_cache(load: Load, books: Path) -> None:
    load(books)
    assert not entries()


def test_a_process_reads_once_whatever_context_and_fraction(
    load: Load, packed: Path, unpackings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked, "load", lambda _: None)
    one = load(packed)
    two = load(packed, "data.fraction=0.5", context=16)
    assert len(unpackings) == 20
    assert one.tokens.data_ptr() == two.tokens.data_ptr()


def test_a_changed_file_is_read_again_in_the_same_process(load: Load, packed: Path) -> None:
    before = load(packed)
    (packed / "new.txt").write_bytes(b"another text")
    assert load(packed).sources.files == before.sources.files + 1


def test_the_second_process_reads_the_cache(
    load: Load, packed: Path, tmp_path: Path, unpackings: list[int]
) -> None:
    first = anew(load, packed)
    assert len(unpackings) == 20
    assert [path.suffix for path in entries()] == [".bin"]
    assert torch.equal(anew(load, packed).tokens, first.tokens)
    packed.rename(tmp_path / "moved")
    for path in (tmp_path / "moved").rglob("*.xz"):
        os.utime(path, ns=(5, 5))
    assert anew(load, tmp_path / "moved").split_sha256 == first.split_sha256
    assert len(unpackings) == 20, "neither place nor time of the files matters"


def _cut(entry: Path) -> None:
    os.truncate(entry, entry.stat().st_size - 1)


def _emptied(entry: Path) -> None:
    entry.write_bytes(b"")


def _flipped(entry: Path) -> None:
    data = bytearray(entry.read_bytes())
    data[-7] ^= 1
    entry.write_bytes(data)


def _lengthened(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes() + b"x")


@pytest.mark.parametrize("damage", [_cut, _emptied, _flipped, _lengthened])
def test_a_damaged_entry_is_made_anew(
    damage: Callable[[Path], None], load: Load, packed: Path, unpackings: list[int]
) -> None:
    first = anew(load, packed)
    whole = entries()[0].read_bytes()
    damage(entries()[0])
    assert torch.equal(anew(load, packed).tokens, first.tokens)
    assert len(unpackings) == 40
    assert entries()[0].read_bytes() == whole


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_no_obstacle(
    number: int, load: Load, packed: Path, unpackings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Path.open

    def refused(self: Path, *rest: Any, **options: Any) -> object:
        if self.suffix == ".tmp":
            raise OSError(number, os.strerror(number), str(self))
        return plain(self, *rest, **options)

    monkeypatch.setattr(Path, "open", refused)
    first = anew(load, packed)
    assert torch.equal(anew(load, packed).tokens, first.tokens)
    assert len(unpackings) == 40
    assert not entries(), "nothing half made is left"


def test_a_disk_that_fills_up_leaves_nothing_half_made(
    load: Load, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    load(packed)
    assert not entries()


def test_no_cache_folder_is_no_obstacle(
    load: Load, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path / "file"))
    assert load(packed).sources.files == 60

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(user_cache, "folder", homeless)
    assert anew(load, packed).sources.files == 60


def test_who_finds_another_process_writing_does_not_wait(load: Load, packed: Path) -> None:
    load(packed)
    [entry] = entries()
    entry.unlink()
    with lock.exclusive(entry.with_suffix(".lock"), wait=True):
        assert anew(load, packed).sources.files == 60
        assert entry not in entries()
    anew(load, packed)
    assert entry in entries()


def test_many_at_once_leave_one_whole_entry(packed: Path) -> None:
    listed = files.find_text(packed, "data.path")
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: files.read(listed, "data.path"), range(16)))
    assert all(each == texts[0] for each in texts)
    [entry] = [path for path in entries() if path.suffix == ".bin"]
    assert unpacked.load(entry.stem) == texts[0]


def test_the_entry_that_was_not_used_for_the_longest_time_goes_first() -> None:
    for number in range(unpacked.KEPT):
        unpacked.save(f"{number}", [b"text"])
        os.utime(user_cache.folder() / "text" / f"{number}.bin", ns=(number, number))
    assert unpacked.load("0") == [b"text"], "and that is a use"
    unpacked.save("new", [b"text", b""])
    assert {path.stem for path in entries()} == {"0", "new", *map(str, range(2, unpacked.KEPT))}
    assert unpacked.load("new") == [b"text", b""]
    assert unpacked.load("1") is None
