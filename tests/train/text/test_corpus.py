from __future__ import annotations

import dataclasses
import gzip
import lzma
import os
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from isoflop.config import Config
from isoflop.train.data import DataError
from isoflop.train.data.text import TextSet, corpus, load_text
from isoflop.train.data.text.documents import Documents, Source
from isoflop.train.data.text.parts import divide

Load = Callable[..., TextSet]
SHARED = Path(__file__).parents[3] / "../shared"


def documents(text: TextSet) -> list[bytes]:
    """All documents of the tokens, in their order: after the last training document comes validation."""
    return bytes(text.tokens.tolist()).split(bytes([text.document_mark]))[1:]


def test_tokens_are_a_mark_and_a_document_each(load: Load, books: Path) -> None:
    text = load(books)
    files = [path.read_bytes() for path in books.rglob("*.txt")]
    assert sorted(documents(text)) == sorted(files)
    assert text.tokens.dtype == torch.uint8
    assert (text.classes, text.document_mark, text.input_shape) == (256, 0, (8,))
    sources = text.sources
    assert (sources.files, sources.file_bytes) == (60, sum(map(len, files)))
    assert sources.train_documents + sources.val_documents + sources.test_documents == 60
    assert sources.train_bytes + sources.train_documents == text.train_tokens
    assert text.train_n == 8 * text.train_windows <= text.train_tokens
    assert sources.python_version is None


def test_the_mark_is_the_least_byte_that_does_not_occur(load: Load, books: Path) -> None:
    (books / "zeros.txt").write_bytes(b"\0\1\2\4" * 30)
    text = load(books)
    assert text.document_mark == 3
    assert len(documents(text)) == 61


@pytest.mark.parametrize("seed", range(20))
def test_about_a_twentieth_of_the_bytes_is_held_out_for_each(seed: int) -> None:
    draw = np.random.default_rng(seed)
    lengths = np.maximum(1, draw.lognormal(5, 1, 200)).astype(np.int64)
    text = draw.integers(0, 256, lengths.sum()).astype(np.uint8).tobytes()
    whole = Documents(text, np.cumsum(lengths) - lengths, lengths)
    train, val, test = divide(whole, Source("data.path", "somewhere", ()))
    for part in (val, test):
        assert 0.025 <= part.lengths.sum() / len(text) <= 0.075
    assert sorted([*train.starts, *val.starts, *test.starts]) == whole.starts.tolist()


@pytest.mark.parametrize(
    "lengths", [(98, 1, 1), (1, 1, 98), (34, 33, 33), (60, 39, 1), (5, 5, 90), (1, 1, 1)]
)
def test_each_part_has_a_document_and_training_the_longest(lengths: tuple[int, ...]) -> None:
    sizes = np.array(lengths, np.int64)
    whole = Documents(bytes(range(sizes.sum())), np.cumsum(sizes) - sizes, sizes)
    train, val, test = divide(whole, Source("data.path", "somewhere", ()))
    assert [len(part) for part in (train, val, test)] == [1, 1, 1]
    assert train.lengths.max() == max(lengths)


def test_documents_of_the_same_bytes_stay_in_one_part(load: Load, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    (tmp_path / "lines").write_bytes(b"\n".join(b"%020d" % draw.integers(0, 40) for _ in range(400)))
    text = load(tmp_path / "lines", "data.separator='\n'")
    every = documents(text)
    counts = (text.sources.train_documents, text.sources.val_documents)
    train, val, test = (
        set(p) for p in (every[: counts[0]], every[counts[0] : sum(counts)], every[sum(counts) :])
    )
    assert train | val | test == set(every)
    assert len(train) + len(val) + len(test) == len(set(every))


def test_fractions_are_nested_and_leave_the_other_parts_alone(load: Load, books: Path) -> None:
    whole, half, tenth = (load(books, f"data.fraction={share}") for share in (1.0, 0.5, 0.1))
    assert half.sources.train_bytes == round(0.5 * whole.sources.train_bytes)
    assert half.sources.train_documents < whole.sources.train_documents
    assert half.train_tokens == half.sources.train_bytes + half.sources.train_documents
    for small in (half, tenth):
        assert torch.equal(small.val.starts, whole.val.starts)
        assert torch.equal(small.tokens, whole.tokens)
        assert int(small.train.starts.max()) + small.context < small.train_tokens
        used = small.tokens[: small.train_tokens]
        assert int((used == 0).sum()) == small.sources.train_documents
    assert len({whole.split_sha256, half.split_sha256, tenth.split_sha256}) == 3
    assert whole.sources.sha256 == half.sources.sha256


def _same(books: Path) -> None:
    for path in books.rglob("*.txt"):
        os.utime(path, ns=(7, 7))


def _renamed(books: Path) -> None:
    (books / "b").rename(books / "b0")


def _hidden(books: Path) -> None:
    (books / ".hidden").write_bytes(b"not text")
    (books / ".git").mkdir()
    (books / ".git/file").write_bytes(b"not text")


def _empty(books: Path) -> None:
    (books / "zz.txt").touch()


def _a_byte(books: Path) -> None:
    path = books / "01.txt"
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def _moved_byte(books: Path) -> None:
    one, two = books / "01.txt", books / "02.txt"
    both = one.read_bytes() + two.read_bytes()
    cut = len(one.read_bytes()) + 1
    one.write_bytes(both[:cut])
    two.write_bytes(both[cut:])


def _another(books: Path) -> None:
    (books / "zz.txt").write_bytes(b"another")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (_same, True),
        (_renamed, True),
        (_hidden, True),
        (_empty, True),
        (_a_byte, False),
        (_moved_byte, False),
        (_another, False),
    ],
)
def test_the_hash_follows_the_text_and_not_names_or_times(
    change: Callable[[Path], None], same: bool, load: Load, books: Path
) -> None:
    before = load(books)
    change(books)
    after = load(books)
    assert (before.split_sha256 == after.split_sha256) is same
    assert (before.sources.sha256 == after.sources.sha256) is same
    assert load(books, context=16).split_sha256 == after.split_sha256


def test_another_split_has_another_hash(load: Load, books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load(books)
    monkeypatch.setattr("isoflop.train.data.text.parts.SPLIT_SEED", 1)
    corpus._read.cache_clear()
    after = load(books)
    corpus._read.cache_clear()
    assert before.split_sha256 != after.split_sha256
    assert sorted(documents(before)) == sorted(documents(after))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """One file of 90 lines of 11 to 19 bytes, the first and the last empty."""
    file = tmp_path / "lines.txt"
    file.write_bytes(
        b"\n" + b"\n".join(b"%02d" % i + b"abcdefgh" + b"x" * (1 + i % 9) for i in range(90)) + b"\n"
    )
    return file


def test_a_separator_divides_a_file(load: Load, lines: Path) -> None:
    text = load(lines, "data.separator='\n'")
    assert sorted(documents(text)) == [line for line in lines.read_bytes().split(b"\n") if line]
    assert text.sources.file_bytes == lines.stat().st_size


def test_a_separator_divides_each_file_of_a_folder(load: Load, books: Path) -> None:
    (books / "last.txt").write_bytes("aéa\u20acé".encode())
    text = load(books, "data.separator='é'")
    files = sorted(path.read_bytes() for path in books.rglob("*.txt") if path.name != "last.txt")
    assert sorted(documents(text)) == sorted([*files, b"a", "a\u20ac".encode()])


def test_a_table_divides_a_file_in_any_order(load: Load, lines: Path, tmp_path: Path) -> None:
    content = lines.read_bytes()
    rows = [(start, 20) for start in range(0, len(content) - 20, 25)]
    table = tmp_path / "table.csv"
    for start_name, length_name in (("start_byte", "bytes"), ("start", "length"), ("offset", "bytes")):
        rows.reverse()
        body = "".join(f'{start},"a, title", {length}\r\n' for start, length in rows)
        table.write_text(
            f"{start_name}, title ,{length_name}\r\n{body}\r\n", encoding="utf-8-sig", newline=""
        )
        text = load(lines, f"data.offsets={table}")
        assert sorted(documents(text)) == sorted(content[start : start + 20] for start, _ in rows)


def test_other_text_validates_with_its_first_half(load: Load, lines: Path, books: Path) -> None:
    text = load(lines, f"data.eval_path={books}", "data.fraction=0.5")
    assert (text.sources.train_documents, text.sources.val_documents, text.sources.test_documents) == (
        1,
        30,
        30,
    )
    files = sorted(books.rglob("*.txt"), key=lambda path: path.relative_to(books).as_posix())
    held_out = [path.read_bytes() for path in files]
    assert documents(text) == [lines.read_bytes(), *held_out]
    assert text.sources.train_bytes == round(0.5 * lines.stat().st_size)
    assert text.sources.files == 61


def test_the_standard_library_is_read_with_its_version(make_config: Callable[..., Config]) -> None:
    settings = make_config("model=gpt", "model.head_width=8", "optim.batch_size=4096", "data=python").data
    text = load_text(settings, 256, torch.device("cpu"))
    assert text.name == "python"
    assert text.sources.python_version == platform.python_version()
    assert text.sources.file_bytes > 5e6
    every = set(documents(text))
    assert Path(dataclasses.__file__).read_bytes() in every
    assert Path(pytest.__file__).read_bytes() not in every, "that is not of the standard library"
    for n in (text.val_n, text.test_n):
        assert n == 2**20 or n == pytest.approx(0.05 * text.sources.file_bytes, rel=0.5)


def test_books_are_read_as_their_readme_says(load: Load) -> None:
    folder = SHARED / "data/sets/books"
    if not folder.is_dir():
        pytest.skip("../shared/data is absent")
    text = load(
        folder / "books.train.txt.xz",
        f"data.offsets={folder / 'books.train.offsets.csv'}",
        f"data.eval_path={folder / 'books.val.txt.xz'}",
        f"data.eval_offsets={folder / 'books.val.offsets.csv'}",
        context=256,
    )
    sources = text.sources
    assert (sources.train_documents, sources.val_documents, sources.test_documents) == (183, 8, 8)
    assert sources.train_bytes == pytest.approx(64.4e6, rel=1e-3)
    assert text.document_mark == 0
    assert text.val_n == text.test_n == 2**20


def one_line(load: Load, *arguments: object) -> str:
    with pytest.raises(DataError) as caught:
        load(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("start,bytes\n0,9\n50,99999\n", "line 3: the document ends at byte 100049, and the text has"),
        ("start,bytes\n0,9\n-1,5\n", "line 3: a start or length below 0"),
        ("start,bytes\n0,9\n20,-5\n", "line 3: a start or length below 0"),
        ("start,bytes\n40,9\n0,41\n", "line 2: the document overlaps that of line 3"),
        ("start,title\n0,9\n", "has no column bytes or length"),
        ("title,bytes\n0,9\n", "has no column start_byte or start or offset"),
        ("start,bytes\n0,9\n20,nine\n", "line 3: nine is not a whole number"),
        ("start,bytes\n0,9\n20\n", "line 3: an empty field is not a whole number"),
        ("start,bytes\n0,1.5\n", "line 2: 1.5 is not a whole number"),
        ('start,bytes\n0,"9\n', "line 2: unexpected end of data"),
        ("", "has no column"),
        ("start,bytes\n", "all its documents are empty"),
        ("start,bytes\n0,0\n", "all its documents are empty"),
        ("start,bytes\n0,50\n", "one document only"),
    ],
)
def test_a_table_that_does_not_fit_is_reported_in_one_line(
    rows: str, message: str, load: Load, lines: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(rows)
    text = one_line(load, lines, f"data.offsets={table}")
    assert message in text
    assert "data.offsets" in text or "data.path" in text
    held_out = one_line(load, lines, f"data.eval_path={lines}", f"data.eval_offsets={table}")
    assert "data.eval_offsets" in held_out or "data.eval_path" in held_out


def test_two_documents_cannot_be_divided(load: Load, lines: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("start,bytes\n0,50\n60,50\n")
    assert "2 different documents only" in one_line(load, lines, f"data.offsets={table}")
    text = load(lines, f"data.eval_path={lines}", f"data.eval_offsets={table}")
    assert (text.sources.val_documents, text.sources.test_documents) == (1, 1)


def test_a_table_that_is_no_text_is_reported_in_one_line(load: Load, lines: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as a table" in one_line(load, lines, f"data.offsets={table}")
    assert "is missing: set data.offsets" in one_line(load, lines, f"data.offsets={tmp_path / 'none.csv'}")
    assert "is not a regular file: set data.offsets" in one_line(load, lines, f"data.offsets={tmp_path}")


def test_what_is_no_text_is_reported_in_one_line(
    load: Load, books: Path, lines: Path, tmp_path: Path
) -> None:
    assert "nowhere is missing: set data.path" in one_line(load, tmp_path / "nowhere")
    assert "is missing: set data.eval_path" in one_line(load, lines, f"data.eval_path={tmp_path / 'nowhere'}")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / ".hidden").touch()
    assert "holds no files" in one_line(load, empty)
    (empty / "file").touch()
    assert "is empty: set data.path to text" in one_line(load, empty)
    assert "is empty: set data.path to text" in one_line(load, empty / "file")
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file: set data.path" in one_line(load, tmp_path / "pipe")
    assert "is not a regular file" in one_line(load, "/dev/zero")
    (books / "link.txt").symlink_to(tmp_path / "nowhere")
    assert "link.txt is missing" in one_line(load, books)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "nothing"])
def test_damaged_packed_text_is_named(
    pack: Callable[[bytes], bytes], damage: str, load: Load, books: Path
) -> None:
    whole = pack(b"some text " * 1000)
    middle = len(whole) // 2
    victim = books / ("packed.gz" if pack is gzip.compress else "packed.xz")
    victim.write_bytes(
        {
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
            "other": b"plain text",
            "nothing": b"",
        }[damage]
    )
    if damage == "nothing" and pack is gzip.compress:
        assert load(books).sources.files == 61, "an empty file is an empty gzip file"
    else:
        assert f"{victim} is damaged" in one_line(load, books)


def test_text_that_is_not_divided_is_reported_in_one_line(load: Load, lines: Path, books: Path) -> None:
    message = one_line(load, lines)
    assert f"{lines} is one document only" in message
    assert "data.separator" in message
    assert "data.eval_path" in message
    assert "data.separator='§' does not occur" in one_line(load, lines, "data.separator='§'")
    assert "data.separator='§' does not occur" in one_line(load, books, "data.separator='§'")
    folder_table = one_line(load, books, f"data.offsets={lines}")
    assert f"{books} is a folder, and data.offsets divides one file" in folder_table
    for path in sorted(books.rglob("*.txt"))[2:]:
        path.unlink()
    assert "2 different documents only" in one_line(load, books)
    assert "is one document: at least two" in one_line(load, books, f"data.eval_path={lines}")
    assert "both data.path and data.eval_path" in one_line(load, lines, f"data.eval_path={lines}")


def test_a_part_without_a_window_is_named(load: Load, lines: Path, books: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="longest document of the training part has 19 bytes") as caught:
        load(lines, "data.separator='\n'", context=20)
    assert "model.context=20" in str(caught.value)
    short = tmp_path / "short"
    short.mkdir()
    for number in range(3):
        (short / f"{number}").write_bytes(b"0123456789" * (10 if number < 2 else 1))
    with pytest.raises(
        DataError, match=r"data.eval_path: the longest document of the validation part has 100 bytes"
    ):
        load(books, f"data.eval_path={short}", context=101)
    (short / "1").write_bytes(b"0123456789")
    with pytest.raises(
        DataError, match=r"data.eval_path: the longest document of the test part has 10 bytes"
    ):
        load(books, f"data.eval_path={short}", context=50)
    (short / "0").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"data.eval_path: the longest document of the validation part has 1 byte"
    ):
        load(books, f"data.eval_path={short}", context=50)
    with pytest.raises(DataError, match=r"training part has 9 bytes, fewer than two windows"):
        load(books, "data.fraction=0.0007")
    tiny = tmp_path / "tiny"
    tiny.write_bytes(b"tiny")
    with pytest.raises(DataError, match=r"data.path: the training part has 4 bytes"):
        load(tiny, f"data.eval_path={books}")


def test_the_hash_tells_where_a_part_ends() -> None:
    tokens, one, two = np.zeros(12, np.uint8), np.array([3]), np.array([3, 3])
    assert corpus._hash(tokens, (one, one, two)) != corpus._hash(tokens, (one, two, one))
