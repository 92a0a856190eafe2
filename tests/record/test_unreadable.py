"""What keeps a record from being read is not the same as that there is none: only the latter is trained."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from isoflop import record as records
from isoflop.record import SCHEMA, KeptRecordError, Record

READERS = (records.find_state, records.find, records.is_done, records.read_split_sha256)
Reader = Callable[[Path], object]


@pytest.fixture
def path(done_record: Record, tmp_path: Path) -> Path:
    return records.write(done_record, tmp_path)


def of_newer_schema(path: Path) -> None:
    raw = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(raw | {"schema": SCHEMA + 1}))


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_or_damaged_record_is_none(reader: Reader, path: Path) -> None:
    assert reader(path)
    path.write_bytes(path.read_bytes()[:-40])
    assert not reader(path)
    path.write_text("[]")
    assert not reader(path)
    path.unlink()
    assert not reader(path)
    assert not reader(path.parent / "no/such/folder.json")


@pytest.mark.parametrize("reader", READERS)
def test_a_record_of_a_newer_isoflop_is_an_error(reader: Reader, path: Path) -> None:
    of_newer_schema(path)
    with pytest.raises(KeptRecordError, match=rf"schema {SCHEMA + 1} is newer than .*\({SCHEMA}\): upgrade"):
        reader(path)


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_in_its_place_is_an_error(reader: Reader, path: Path) -> None:
    path.unlink()
    path.mkdir()
    with pytest.raises(KeptRecordError, match=rf"{path}: a folder is in the place of a record: move it away"):
        reader(path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTDIR])
def test_a_file_that_cannot_be_read_is_an_error(
    reader: Reader, code: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_bytes(self: Path) -> bytes:
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(OSError, match=str(path)) as caught:
        reader(path)
    assert caught.value.errno == code


@pytest.mark.parametrize("write", [records.write_bytes, records.append_bytes])
def test_a_full_disk_names_the_file(
    write: Callable[[Path, bytes], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder/file"

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{path}'$"):
        write(path, b"content")


def test_what_stands_in_the_way_of_a_write_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError, match=f"'{tmp_path / 'taken'}'$"):
        records.write_bytes(tmp_path / "taken", b"")
    (tmp_path / "records").write_text("a file")
    with pytest.raises(FileExistsError, match=f"'{tmp_path / 'records'}'$"):
        records.write_bytes(tmp_path / "records/1.json", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records", "taken"]
