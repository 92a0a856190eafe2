"""The text of a configuration as tokens: read once a process, whatever context, fraction and device."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import platform
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isoflop.config import DataConfig
from isoflop.train.data.parts import DataError
from isoflop.train.data.text import documents, files, parts
from isoflop.train.data.text.documents import Documents, Source


@dataclasses.dataclass(frozen=True)
class Corpus:
    """All text of a configuration.

    Attributes:
        tokens: [n] mark, document, mark, document: training documents first, then validation, then test.
            uint8, or int16 where no byte is left over to be the mark.
        mark: the least byte that does not occur, else 256.
        lengths: bytes of each document of the training, validation and test part, int64.
        files: files read.
        file_bytes: bytes in them, unpacked.
        sha256: hash of tokens, documents and split.
        python_version: of the interpreter whose standard library this is; None for other text.
    """

    tokens: NDArray[np.uint8] | NDArray[np.int16]
    mark: int
    lengths: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    files: int
    file_bytes: int
    sha256: str
    python_version: str | None

    def marks(self, part: int) -> NDArray[np.int64]:
        """Return the index in `tokens` of the mark of each document of a part: 0 train, 1 val, 2 test."""
        before = sum(int(lengths.sum()) + len(lengths) for lengths in self.lengths[:part])
        sizes = self.lengths[part] + 1
        return before + np.cumsum(sizes) - sizes


def read(config: DataConfig) -> Corpus:
    """Return the corpus, from this process's memory if it was read already and no file has changed.

    Raises:
        DataError: text or table is missing, damaged, empty, or not divided into enough documents.
    """
    train, held_out = sources(config)
    return _read(train, held_out, platform.python_version() if config.name == "python" else None)


def sources(config: DataConfig) -> tuple[Source, Source | None]:
    """Return what to train on, and what to validate and test on if that is a text of its own.

    Raises:
        DataError: a file is missing, or settings do not fit what is there.
    """
    if config.name == "python":
        return Source("data", "the standard library", files.find_standard_library()), None
    assert config.path is not None
    separator = None if config.separator is None else config.separator.encode()
    train = _source("data.path", config.path, separator, "data.offsets", config.offsets)
    if config.eval_path is None:
        return train, None
    own = separator if config.eval_offsets is None else None
    held_out = _source("data.eval_path", config.eval_path, own, "data.eval_offsets", config.eval_offsets)
    if held_out.files == train.files and held_out.table == train.table:
        raise DataError(
            f"{config.path} is both data.path and data.eval_path: set data.eval_path to other text"
        )
    return train, held_out


def _source(key: str, path: str, separator: bytes | None, table_key: str, table: str | None) -> Source:
    """Return a text and what divides it.

    Args:
        key: setting that names the text.
        path: file or folder.
        separator: stands between documents, or None.
        table_key: setting that names the table of offsets.
        table: its file, or None.

    Raises:
        DataError: a file is missing, or the table is to divide a folder.
    """
    listed = files.find_text(Path(path), key)
    if table is None:
        return Source(key, path, listed, separator)
    if Path(path).is_dir():
        raise DataError(f"{path} is a folder, and {table_key} divides one file: set {table_key} to null")
    return Source(key, path, listed, None, files.find(Path(table), table_key))


@functools.lru_cache(maxsize=1)
def _read(train: Source, held_out: Source | None, python_version: str | None) -> Corpus:
    """Read the files; the arguments hold their sizes and times, so that a changed file is read again."""
    text = documents.read(train)
    if train.separator is not None and text.lengths.sum() == len(text.text):
        raise DataError(
            f"data.separator={train.separator.decode()!r} does not occur in {train.path}: correct it "
            "(bash has $'\\n' for a line break), or set it to null"
        )
    texts = [text]
    if held_out is None:
        split = parts.divide(text, train)
    else:
        texts.append(documents.read(held_out))
        split = parts.join(text, texts[1], held_out)
    mark = next((byte for byte in range(256) if not any(byte in each.text for each in texts)), 256)
    lengths = (split[0].lengths, split[1].lengths, split[2].lengths)
    tokens = _tokens(split, mark)
    return Corpus(
        tokens=tokens,
        mark=mark,
        lengths=lengths,
        files=len(train.files) + (len(held_out.files) if held_out else 0),
        file_bytes=sum(len(each.text) for each in texts),
        sha256=_hash(tokens, lengths),
        python_version=python_version,
    )


def _tokens(split: tuple[Documents, ...], mark: int) -> NDArray[np.uint8] | NDArray[np.int16]:
    contents = [content for part in split for content in part.contents()]
    joined = bytearray([mark % 256]).join([b"", *contents])  # a bytearray, so that torch may share its memory
    tokens = np.frombuffer(joined, np.uint8)
    if mark < 256:
        return tokens
    wide = tokens.astype(np.int16)
    sizes = np.array([len(content) + 1 for content in contents])
    wide[np.cumsum(sizes) - sizes] = mark
    return wide


def _hash(tokens: NDArray[np.uint8] | NDArray[np.int16], lengths: tuple[NDArray[np.int64], ...]) -> str:
    digest = hashlib.sha256()
    for part in lengths:
        digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
    digest.update(tokens.astype(tokens.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()
