from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isoflop.train.data.text import TextSet, Windows
from isoflop.train.data.text.windows import cut

CPU = torch.device("cpu")


def windows(lengths: list[int], context: int, most_bytes: int) -> tuple[Windows, np.ndarray]:
    sizes = np.array(lengths, np.int64)
    marks = np.cumsum(sizes + 1) - sizes - 1
    return cut(marks, sizes, context, most_bytes, CPU), marks


@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=30),
    st.integers(2, 20),
    st.integers(1, 3000),
)
def test_windows_stay_in_their_documents_and_never_overlap(
    lengths: list[int], context: int, most_bytes: int
) -> None:
    cut_windows, marks = windows(lengths, context, most_bytes)
    whole = [length // context for length in lengths]
    most = max(1, round(most_bytes / context))
    assert len(cut_windows) == len(cut_windows.starts) == min(sum(whole), most)
    for start, document in zip(cut_windows.starts.tolist(), cut_windows.documents, strict=True):
        assert (start - marks[document]) % context == 0
        assert marks[document] <= start
        assert start + context <= marks[document] + lengths[document], "targets are bytes of the document"
    assert len(set(cut_windows.starts.tolist())) == len(cut_windows)
    kept = Counter(cut_windows.documents)
    with_windows = sum(n > 0 for n in whole)
    assert len(kept) == min(with_windows, most), "every document keeps one, if that is possible"
    assert list(cut_windows.documents) == sorted(cut_windows.documents)


def test_all_windows_are_kept_where_they_are_few() -> None:
    cut_windows, marks = windows([17, 7, 24], 8, 10**6)
    assert cut_windows.documents == (0, 0, 2, 2, 2)
    assert cut_windows.starts.tolist() == [0, 8, *(marks[2] + [0, 8, 16])]


def test_thinning_is_even_and_in_proportion() -> None:
    cut_windows, _ = windows([8000, 800, 4000], 8, 8 * 160)
    kept = Counter(cut_windows.documents)
    assert sum(kept.values()) == 160
    for document, whole in enumerate((1000, 100, 500)):
        assert kept[document] == pytest.approx(160 * whole / 1600, abs=1.5)
    first = cut_windows.starts.numpy()[: kept[0]]
    assert set(np.diff(first)) <= {8 * 10, 8 * 9, 8 * 11}, "about every tenth"


def test_inputs_begin_with_the_mark_and_targets_are_the_documents_bytes(
    load: Callable[..., TextSet], books: Path
) -> None:
    text = load(books)
    files = {path.read_bytes() for path in books.rglob("*.txt")}
    tokens = bytes(text.tokens.tolist())
    for part in (text.train, text.val, text.test):
        documents = set()
        for document in set(part.documents):
            starts = [s for s, d in zip(part.starts.tolist(), part.documents, strict=True) if d == document]
            assert tokens[starts[0]] == text.document_mark == 0
            predicted = b"".join(tokens[start + 1 : start + 9] for start in starts)
            [whole] = [file for file in files if file.startswith(predicted)]
            assert len(whole) - len(predicted) < 8
            documents.add(whole)
        files -= documents
    assert not files, "each document is of one part, and all are in one"


def test_about_eval_bytes_are_evaluated(load: Callable[..., TextSet], books: Path) -> None:
    text = load(books, "data.eval_bytes=160")
    assert text.val_n == text.test_n == len(text.train) * 8 == 160
    assert text.val_n == 8 * len(text.val)


def test_the_chance_error_is_that_of_the_most_frequent_target(
    load: Callable[..., TextSet], tmp_path: Path
) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}").write_bytes(b"aaabcdef" * (number + 1))
    assert load(tmp_path).chance_error == pytest.approx(5 / 8)
