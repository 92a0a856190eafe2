from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from isoflop.train.data import order
from isoflop.train.data.text import TextSet, text_batches

Load = Callable[..., TextSet]
BATCH = 40
"""Bytes: 5 windows of 8."""


@pytest.fixture
def text(load: Load, books: Path) -> TextSet:
    return load(books)


def per_pass(text: TextSet) -> int:
    return text.train_windows // (BATCH // text.context)


def same(one: Iterator[tuple[Tensor, Tensor]], other: Iterator[tuple[Tensor, Tensor]], steps: int) -> bool:
    pairs = list(zip(islice(one, steps), islice(other, steps), strict=True))
    assert len(pairs) == steps
    return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in pairs)


def positions(text: TextSet) -> TextSet:
    """The same text whose tokens are their own positions, so that batches tell what they read."""
    places = torch.arange(len(text.tokens), dtype=torch.int32)
    return TextSet(**{**vars(text), "tokens": places})


def test_targets_are_the_inputs_one_token_later(text: TextSet) -> None:
    inputs, targets = next(text_batches(text, BATCH, 3))
    assert inputs.shape == targets.shape == (5, 8)
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.is_contiguous()
    assert targets.is_contiguous()
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    every = bytes(text.tokens[: text.train_tokens].tolist())
    for row_in, row_out in zip(inputs, targets, strict=True):
        assert bytes([*row_in.tolist(), int(row_out[-1])]) in every


def test_a_pass_predicts_no_token_twice_and_none_of_the_other_parts(text: TextSet) -> None:
    batches = text_batches(positions(text), BATCH, 3)
    passes = [[targets for _, targets in islice(batches, per_pass(text))] for _ in range(30)]
    phases = set()
    for batch_targets in passes:
        seen = torch.cat(batch_targets).flatten()
        assert len(torch.unique(seen)) == len(seen) == per_pass(text) * BATCH
        assert seen.min() >= 1
        assert seen.max() < text.train_tokens
        starts = {int(row[0] - 1) % text.context for targets in batch_targets for row in targets}
        assert len(starts) == 1, "the windows of a pass do not overlap: they have one phase"
        phases |= starts
    assert phases == set(range(text.context)), "each phase comes up in 30 passes"


def test_many_passes_read_every_token_but_the_first(text: TextSet) -> None:
    steps = 40 * per_pass(text)
    counts = Counter(
        int(target)
        for _, targets in islice(text_batches(positions(text), BATCH, 0), steps)
        for target in targets.flatten()
    )
    assert set(range(text.context, text.train_tokens - text.context)) <= set(counts)
    assert max(counts.values()) <= 40


def test_passes_and_seeds_differ(text: TextSet) -> None:
    n = per_pass(text)
    batches = text_batches(text, BATCH, 3)
    first, second = list(islice(batches, n)), list(islice(batches, n))
    assert not torch.equal(torch.cat([b for _, b in first]), torch.cat([b for _, b in second]))
    assert same(text_batches(text, BATCH, 3), iter(first), n)
    assert not same(text_batches(text, BATCH, 4), iter(first), n)


@pytest.mark.parametrize("into_pass", [-1, 0, 1])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_seeking_gives_what_iterating_that_far_gives(text: TextSet, number: int, into_pass: int) -> None:
    start = max(1, number * per_pass(text) + into_pass)
    walked = islice(text_batches(text, BATCH, 5), start, None)
    assert same(text_batches(text, BATCH, 5, start_step=start), walked, 2 * per_pass(text))


@pytest.mark.parametrize("chunk", [1, 2000, 10**9])
def test_chunks_do_not_change_the_stream(text: TextSet, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(islice(text_batches(text, BATCH, 0), 3 * per_pass(text)))
    monkeypatch.setitem(order.CHUNK_BYTES, "cpu", chunk)
    assert same(text_batches(text, BATCH, 0), iter(whole), len(whole))


def test_ranks_share_every_batch(text: TextSet) -> None:
    steps = 2 * per_pass(text) + 1
    whole = islice(text_batches(text, BATCH, 1), steps)
    shares = [islice(text_batches(text, BATCH, 1, share=(rank, 5)), steps) for rank in range(5)]
    for (inputs, targets), *parts in zip(whole, *shares, strict=True):
        assert torch.equal(inputs, torch.cat([part[0] for part in parts]))
        assert torch.equal(targets, torch.cat([part[1] for part in parts]))


def test_drawing_batches_leaves_the_ambient_generator_alone(text: TextSet) -> None:
    before = torch.get_rng_state()
    next(text_batches(text, BATCH, 0))
    assert torch.equal(before, torch.get_rng_state())


def test_a_text_of_all_bytes_has_257_tokens(load: Load, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}").write_bytes(bytes(range(number, 256)) + bytes(range(256)))
    text = load(tmp_path)
    assert text.tokens.dtype == torch.int16
    assert text.classes == 257
    assert text.document_mark == 256
    documents = text.sources.train_documents + text.sources.val_documents + text.sources.test_documents
    assert int((text.tokens == 256).sum()) == documents == 40
    assert text.tokens.min() == 0
    inputs, _ = next(text_batches(text, BATCH, 0))
    assert inputs.dtype == torch.int64
    assert inputs.min() >= 0
