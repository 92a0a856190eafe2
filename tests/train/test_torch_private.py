"""Undocumented names of torch: each still does the arithmetic that the updates rely on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

from isoflop.train import torch_private

PACKAGE = Path(torch_private.__file__).parent
UNDOCUMENTED = ("_foreach", "_fused", "_dynamo", "_C", "_get_default_store", "_enabled", "_optimizer_step")


def values(*numbers: float) -> list[torch.Tensor]:
    return [torch.tensor([number], dtype=torch.float64) for number in numbers]


@pytest.mark.parametrize("nesterov", [True, False])
def test_fused_sgd_is_momentum_with_decay_by_hand(nesterov: bool) -> None:
    """Sutskever et al. 2013 in torch's form: v <- m v + g, then w <- w - lr (g + m v) or w - lr v."""
    parameters, grads, buffers = values(2.0, -1.0), values(0.5, 0.25), values(0.1, 0.0)
    torch_private.fused_sgd(
        parameters,
        grads,
        buffers,
        weight_decay=0.1,
        momentum=0.9,
        lr=0.01,
        dampening=0.0,
        nesterov=nesterov,
        maximize=False,
        is_first_step=False,
    )
    for got, buffer, start, grad, velocity in zip(
        parameters, buffers, (2.0, -1.0), (0.5, 0.25), (0.1, 0.0), strict=True
    ):
        decayed = grad + 0.1 * start
        expected = 0.9 * velocity + decayed
        assert buffer.item() == pytest.approx(expected, rel=1e-12)
        moved = decayed + 0.9 * expected if nesterov else expected
        assert got.item() == pytest.approx(start - 0.01 * moved, rel=1e-12)


def test_fused_adamw_reads_a_counter_that_is_an_element_of_a_tensor() -> None:
    """Loshchilov and Hutter 2019, algorithm 2, third step; the counters are views of one tensor."""
    parameters, grads, first, second = (
        values(2.0, -1.0),
        values(0.5, 0.25),
        values(0.1, 0.0),
        values(0.2, 0.01),
    )
    counter = torch.full((2,), 2.0)
    counts = list(counter)
    counter.add_(1)
    torch_private.fused_adamw(
        parameters,
        grads,
        first,
        second,
        [],
        counts,
        lr=0.01,
        beta1=0.8,
        beta2=0.95,
        weight_decay=0.1,
        eps=1e-3,
        amsgrad=False,
        maximize=False,
    )
    for got, start, grad, m, v in zip(
        parameters, (2.0, -1.0), (0.5, 0.25), (0.1, 0.0), (0.2, 0.01), strict=True
    ):
        mean, square = 0.8 * m + 0.2 * grad, 0.95 * v + 0.05 * grad**2
        corrected = (square / (1 - 0.95**3)) ** 0.5 + 1e-3
        expected = start * (1 - 0.01 * 0.1) - 0.01 * mean / (1 - 0.8**3) / corrected
        assert got.item() == pytest.approx(expected, rel=1e-7)
    assert counter.tolist() == [3.0, 3.0]


def test_no_other_file_of_the_package_calls_an_undocumented_name() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name == "torch_private.py":
            continue
        names = {
            node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
        }
        assert not [name for name in names if name.startswith(UNDOCUMENTED)], path
