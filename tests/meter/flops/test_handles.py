"""Formulas of single operations against counted loops, torch's own formulas, and layers counted by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import sdpa_flop_count

from isoflop.meter.flops import handles
from isoflop.meter.flops.count import count
from isoflop.meter.flops.dispatch import DispatchCounter

aten = torch.ops.aten


# ---- chains of matrices and einsum, against loops


def every_order(sides: Sequence[int]) -> int:
    """The least MACs of a chain, by trying each product that may come last."""
    if len(sides) == 2:
        return 0
    return min(
        every_order(sides[: k + 1]) + every_order(sides[k:]) + sides[0] * sides[k] * sides[-1]
        for k in range(1, len(sides) - 1)
    )


@pytest.mark.parametrize("matrices", [1, 2, 3, 4, 6])
def test_a_chain_costs_what_its_cheapest_order_does(matrices: int) -> None:
    generator = np.random.default_rng(matrices)
    for _ in range(20):
        sides = generator.integers(1, 20, matrices + 1).tolist()
        assert handles.chain_macs(sides) == every_order(sides)


def looped(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """MACs of an einsum of letters with an output, by looping over all indices of each product."""
    left, _, output = equation.partition("->")
    terms = left.split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in zip(term, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    macs, joined = 0, terms[0]
    for position, term in enumerate(terms[1:], start=2):
        later = set(output).union(*terms[position:])
        # What one operand alone has and nothing later needs is summed first.
        labels = sorted({x for x in joined + term if x in later or (x in joined and x in term)})
        products = sum(1 for _ in itertools.product(*(range(sizes[x]) for x in labels)))
        gathered = [x for x in labels if x not in later and sizes[x] > 1]
        macs += products if gathered else 0
        joined = "".join(x for x in labels if x in later)
    return macs


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(3, 5), (5, 4)]),
        ("bij,bjk->bik", [(2, 3, 5), (2, 5, 4)]),
        ("ij,jk,kl->il", [(3, 5), (5, 4), (4, 7)]),
        ("ij,jk,jl->kl", [(3, 5), (5, 4), (5, 7)]),
        ("i,i->", [(6,), (6,)]),
        ("i,j->ij", [(6,), (5,)]),
        ("ij,ij->ij", [(6, 5), (6, 5)]),
        ("ijx,jk->ik", [(3, 5, 9), (5, 4)]),
        ("ij,jkx->ik", [(3, 5), (5, 4, 9)]),
        ("ij,jk->ik", [(3, 1), (1, 4)]),
        ("bi,ij,bj->b", [(2, 3), (3, 5), (2, 5)]),
        ("ij->i", [(3, 5)]),
    ],
)
def test_einsum_against_a_loop(equation: str, shapes: list[tuple[int, ...]]) -> None:
    assert handles.einsum_macs(equation, shapes) == looped(equation, shapes)


@pytest.mark.parametrize(
    ("written", "shapes", "letters"),
    [
        ("ij, jk", [(3, 5), (5, 4)], "ij,jk->ik"),
        ("...ij,...jk->...ik", [(2, 7, 3, 5), (2, 7, 5, 4)], "abij,abjk->abik"),
        ("...ij,jk", [(2, 7, 3, 5), (5, 4)], "abij,jk->abik"),
        ("i...,i...->...", [(3, 5), (3, 5)], "ia,ia->a"),
        ("i...,ij->j", [(3, 5), (3, 4)], "ia,ij->j"),
    ],
)
def test_dots_and_an_output_left_out(written: str, shapes: list[tuple[int, ...]], letters: str) -> None:
    assert handles.einsum_macs(written, shapes) == looped(letters, shapes)


# ---- attention and embedding bags, in torch's counter

ATTENTION = {
    "heads": ((2, 4, 6, 8), (2, 4, 10, 8), (2, 4, 10, 5)),
    "no heads": ((2, 6, 8), (2, 10, 8), (2, 10, 5)),
}
_QUERIES = [op for op in handles.TORCH_CORRECTIONS if "attention" in str(op) and "backward" not in str(op)]
_GRADIENTS = [op for op in handles.TORCH_CORRECTIONS if "attention" in str(op) and "backward" in str(op)]


@pytest.mark.parametrize("shapes", ATTENTION.values(), ids=ATTENTION)
def test_attention_is_two_products_and_its_gradient_twice_that(shapes: tuple[tuple[int, ...], ...]) -> None:
    query, key, value = shapes
    flops = 2 * math.prod(query) * key[-2] + 2 * math.prod(query[:-1]) * key[-2] * value[-1]
    assert len(_QUERIES) == 2
    assert len(_GRADIENTS) == 5
    assert [handles.TORCH_CORRECTIONS[op](query, key, value, 0.0) for op in _QUERIES] == [flops] * 2
    backward = [handles.TORCH_CORRECTIONS[op]((), query, key, value, 0.0) for op in _GRADIENTS]
    assert backward == [2 * flops] * 5
    if len(query) == 4:
        assert sdpa_flop_count(query, key, value) == flops, "torch's formula"


def bag_flops(weighted: bool, sparse: bool) -> tuple[int, int]:
    """FLOPs of 7 indices into rows of 5 values, forward and backward, as the dispatcher sees them."""
    table = nn.Parameter(torch.randn(11, 5))
    weights = nn.Parameter(torch.randn(7)) if weighted else None
    tokens, offsets = torch.arange(7), torch.tensor([0, 3])
    counter = DispatchCounter()
    with counter:
        out = F.embedding_bag(tokens, table, offsets, mode="sum", per_sample_weights=weights, sparse=sparse)
        counter.in_backward = True
        out.sum().backward()
    return sum(counter.forward_flops.values()), counter.backward_flops


def test_an_embedding_bag_multiplies_by_its_weights_only() -> None:
    assert bag_flops(weighted=False, sparse=False) == (0, 0)
    # Backward: a row's gradient is its weight times its bag's, a weight's the product of both rows.
    assert bag_flops(weighted=True, sparse=False) == (2 * 7 * 5, 2 * 2 * 7 * 5)


BAGS: dict[Any, tuple[Any, ...]] = {
    # Arguments up to per_sample_weights, by the schema that the formula's docstring quotes.
    aten._embedding_bag: ((11, 5), (7,), (2,), False, 0, False),
    aten._embedding_bag_forward_only: ((11, 5), (7,), (2,), False, 0, False),
    aten._embedding_bag_backward: ((2, 5), (7,), (2,), (7,), (2,), (2,), 11, False, 0, False),
    aten._embedding_bag_dense_backward: ((2, 5), (7,), (7,), (2,), (2,), 11, False, 0),
}


@pytest.mark.parametrize("operation", BAGS, ids=str)
def test_weights_of_a_bag_where_the_schema_has_them(operation: Any) -> None:
    formula, arguments = handles.TORCH_CORRECTIONS[operation], BAGS[operation]
    assert formula(*arguments) == formula(*arguments, None) == 0
    assert formula(*arguments, (7,)) == formula(*arguments, per_sample_weights=(7,)) == 2 * 7 * 5
    names = [argument.name for argument in operation.default._schema.arguments]
    assert names.index("per_sample_weights") == len(arguments)


# ---- products with a vector, in torch's counter

PRODUCTS: dict[str, tuple[Callable[[], torch.Tensor], int]] = {
    "mv": (lambda: torch.ones(3, 5).mv(torch.ones(5)), 2 * 15),
    "dot": (lambda: torch.ones(5).dot(torch.ones(5)), 2 * 5),
    "vdot": (lambda: torch.vdot(torch.ones(5), torch.ones(5)), 2 * 5),
    "addmv": (lambda: torch.addmv(torch.ones(3), torch.ones(3, 5), torch.ones(5)), 2 * 15),
    "addmv_": (lambda: torch.ones(3).addmv_(torch.ones(3, 5), torch.ones(5)), 2 * 15),
    "addmm_": (lambda: torch.ones(3, 4).addmm_(torch.ones(3, 5), torch.ones(5, 4)), 2 * 60),
    "baddbmm_": (lambda: torch.ones(2, 3, 4).baddbmm_(torch.ones(2, 3, 5), torch.ones(2, 5, 4)), 2 * 120),
    "addbmm": (lambda: torch.addbmm(torch.ones(3, 4), torch.ones(2, 3, 5), torch.ones(2, 5, 4)), 2 * 120),
    "complex dot": (lambda: torch.dot(torch.ones(5) * 1j, torch.ones(5) * 1j), 4 * 2 * 5),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_that_torch_does_not_count_itself(name: str) -> None:
    work, flops = PRODUCTS[name]
    with DispatchCounter() as counter:
        work()
    assert sum(counter.forward_flops.values()) == flops


# ---- layers


class Attention(nn.Module):
    """Cross attention of 6 queries to 10 keys, 4 heads of 8 and values of 5."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(8, 4 * 8, bias=False)
        self.other = nn.Parameter(torch.zeros(4, 10, 13))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query = self.query(x).unflatten(-1, (4, 8)).transpose(1, 2)
        key, value = self.other.expand(len(x), 4, 10, 13).split((8, 5), dim=-1)
        return F.scaled_dot_product_attention(query, key, value)


class Unrolled(nn.Module):
    """A recurrent cell over the steps of a sequence."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor) -> Any:
        state = None
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return state


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2), (4, 9), 4 * 6 * 4 * 3),
    "conv2d": (nn.Conv2d(4, 6, (3, 5), padding=1), (4, 8, 9), 8 * 7 * 6 * 4 * 15),
    "conv3d": (nn.Conv3d(2, 3, 2), (2, 3, 4, 5), 2 * 3 * 4 * 3 * 2 * 8),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (4, 8, 8), 6 * 6 * 6 * 2 * 9),
    "dilated": (nn.Conv2d(4, 6, 3, dilation=2), (4, 8, 8), 4 * 4 * 6 * 4 * 9),
    "padding by name": (nn.Conv2d(4, 6, 3, padding="same"), (4, 8, 8), 8 * 8 * 6 * 4 * 9),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2), (4, 5, 5), 5 * 5 * 4 * 6 * 9),
    "linear": (nn.Linear(7, 3), (5, 7), 5 * 7 * 3),
    "attention": (Attention(), (6, 8), 6 * 8 * 32 + 4 * 6 * 10 * (8 + 5)),
    "lstm": (nn.LSTM(8, 5, 2, batch_first=True), (7, 8), 7 * 4 * 5 * ((8 + 5) + (5 + 5))),
    "lstm with projection": (
        nn.LSTM(8, 5, proj_size=3, batch_first=True),
        (7, 8),
        7 * (4 * 5 * (8 + 3) + 3 * 5),
    ),
    "gru, both ways": (nn.GRU(8, 5, bidirectional=True, batch_first=True), (7, 8), 2 * 7 * 3 * 5 * (8 + 5)),
    "rnn": (nn.RNN(8, 5, batch_first=True), (7, 8), 7 * 5 * (8 + 5)),
    "lstm cell": (nn.LSTMCell(8, 5), (8,), 4 * 5 * (8 + 5)),
    "gru cells": (Unrolled(nn.GRUCell(8, 5)), (3, 8), 3 * 3 * 5 * (8 + 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    layer, sizes, macs = LAYERS[name]
    result = count(layer, sizes)
    assert result.reason is None, result.reason
    assert result.forward_macs_per_example == result.fvcore_forward_macs_per_example == macs
