"""MACs of single operations and of unusual ways to write a model, counted by hand."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from isoflop.meter.flops.count import FlopCount, count


class Function(nn.Module):
    """A linear layer from 8 to 8 values, 64 MACs a row, and a function of its output."""

    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.linear(x))


def known(model: nn.Module, *sizes: int, dtype: torch.dtype | None = None) -> FlopCount:
    result = count(model, sizes, input_dtype=dtype)
    assert result.reason is None, result.reason
    assert result.counters_agree
    assert result.fvcore_forward_macs_per_example == result.forward_macs_per_example
    return result


PRODUCTS: dict[str, tuple[Callable[[torch.Tensor], Any], int]] = {
    # x is (1, 6, 8), the output of the linear layer.
    "tensordot": (lambda x: torch.tensordot(x, x.new_zeros(8, 12), dims=([2], [0])), 6 * 12 * 8),
    "tensordot of two dimensions": (lambda x: torch.tensordot(x, x.new_zeros(6, 8, 3), 2), 6 * 8 * 3),
    "inner": (lambda x: torch.inner(x, x.new_zeros(5, 8)), 6 * 5 * 8),
    "inner with a number": (lambda x: torch.inner(x, x.new_zeros(())), 0),  # elementwise
    "a number's inner": (lambda x: torch.inner(x.new_zeros(()), x), 0),
    "addbmm": (lambda x: torch.addbmm(x.new_zeros(6, 3), x, x.new_zeros(len(x), 8, 3)), 6 * 8 * 3),
    "addmm in place": (lambda x: x.new_zeros(6, 3).addmm_(x[0], x.new_zeros(8, 3)), 6 * 8 * 3),
    "baddbmm in place": (lambda x: x.new_zeros(len(x), 6, 3).baddbmm_(x, x.new_zeros(len(x), 8, 3)), 144),
    "multi_dot": (
        # The cheap order: (8 x 2) (2 x 9) last. 6*8*2 + 6*2*9, not 8*2*9 + 6*8*9.
        lambda x: torch.linalg.multi_dot([x[0], x.new_zeros(8, 2), x.new_zeros(2, 9)]),
        6 * 8 * 2 + 6 * 2 * 9,
    ),
    "multi_dot of four": (
        # (6x8)(8x2) = 96, (2x9)(9x1) = 18, then (6x2)(2x1) = 12.
        lambda x: torch.linalg.multi_dot([x[0], x.new_zeros(8, 2), x.new_zeros(2, 9), x.new_zeros(9)]),
        8 * 2 + 6 * 8 + 2 * 9,
    ),
    "multi_dot from a vector": (
        # (1x8)(8x2) and (1x2)(2x9): from the left, as 8*2*9 first would be dear.
        lambda x: torch.linalg.multi_dot([x[0, 0], x.new_zeros(8, 2), x.new_zeros(2, 9)]),
        8 * 2 + 2 * 9,
    ),
    "vecdot": (lambda x: torch.linalg.vecdot(x[0, 0], x[0, 1]), 8),
    "vecdot of rows": (lambda x: torch.linalg.vecdot(x, x), 0),  # elementwise, and a sum
    "vecdot with rows": (lambda x: torch.linalg.vecdot(x[0, 0], x), 0),
    "matmul of linalg": (lambda x: torch.linalg.matmul(x, x.new_zeros(8, 3)), 6 * 8 * 3),
    "matrix_power": (lambda x: torch.linalg.matrix_power(x[:, :, :6], 5), 3 * 6**3),
    "einsum": (lambda x: torch.einsum("btd,de->bte", x, x.new_zeros(8, 3)), 6 * 8 * 3),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    function, macs = PRODUCTS[name]
    assert known(Function(function), 6, 8).forward_macs_per_example == 6 * 64 + macs


def test_the_gradient_of_an_outer_product_is_elementwise() -> None:
    class Head(nn.Module):
        """A matrix times a vector: its vector's gradient is such a product too, its matrix's is none."""

        def __init__(self) -> None:
            super().__init__()
            self.vector = nn.Parameter(torch.zeros(8))
            self.rows = nn.Parameter(torch.zeros(6, 8))

        def forward(self, x: torch.Tensor) -> Any:
            return self.rows.mv(self.vector) + torch.dot(self.vector, self.rows[0])

    result = count(Head(), (3,), batch_size=1)
    assert result.reason is None, result.reason
    assert result.forward_macs_per_example == 6 * 8 + 8
    assert result.backward_flops_per_example == 2 * 6 * 8


FREE: dict[str, Callable[[torch.Tensor], Any]] = {
    "outer": lambda x: torch.outer(x[0, 0], x[0, 1]),
    "kron": lambda x: torch.kron(x[0], x[0]),
    "polar": lambda x: torch.view_as_real(torch.polar(x, x)),
    "complex": lambda x: torch.view_as_real(torch.complex(x, x)),
    "cross": lambda x: torch.cross(x[..., :3], x[..., 3:6], dim=-1),
    "trapezoid": lambda x: torch.trapezoid(x, dx=0.5),
    "cumulative_trapezoid": lambda x: torch.cumulative_trapezoid(x),
    "diff": lambda x: torch.diff(x),
    "renorm": lambda x: torch.renorm(x, 2, 0, 1.0),
    "bucketize": lambda x: x * torch.bucketize(x, torch.zeros(5, device=x.device)),
    "quantile": lambda x: torch.quantile(x, 0.5, dim=-1),
    "nanmedian": lambda x: torch.nanmedian(x, dim=-1)[0],
    "affine_grid": lambda x: F.affine_grid(x[:, :2, :3], [len(x), 1, 4, 4], align_corners=False),
    "prelu": lambda x: F.prelu(x, x.new_zeros(6)),
    "leaky_relu": lambda x: F.leaky_relu(x),
    "mse_loss": lambda x: F.mse_loss(x, torch.zeros_like(x)),
    "huber_loss": lambda x: F.huber_loss(x, torch.zeros_like(x)),
    "l1_loss": lambda x: F.l1_loss(x, torch.zeros_like(x)),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy_with_logits(x, torch.zeros_like(x)),
    "margin_ranking_loss": lambda x: F.margin_ranking_loss(x, x + 1, torch.ones_like(x)),
    "triplet_margin_loss": lambda x: F.triplet_margin_loss(x, x + 1, x - 1),
    "kl_div": lambda x: F.kl_div(x, torch.zeros_like(x), reduction="batchmean"),
    "pad_sequence": lambda x: nn.utils.rnn.pad_sequence([x[0], x[0, :3]]),
    "exponential": lambda x: x * torch.empty_like(x).exponential_(),
    "matrix norm": lambda x: torch.linalg.norm(x, dim=(1, 2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FREE)
def test_free_operations(name: str) -> None:
    assert known(Function(FREE[name]), 6, 8).forward_macs_per_example == 6 * 64


REFUSED: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "nuclear norm": (lambda x: torch.linalg.norm(x, ord="nuc", dim=(1, 2)), "aten::_linalg_svd"),
    "inverse": (lambda x: torch.linalg.inv(x[:, :, :6]), "aten::linalg_inv"),
    "inverse by a power": (lambda x: torch.linalg.matrix_power(x[:, :, :6], -2), "aten::linalg_inv_ex"),
    "cdist": (lambda x: torch.cdist(x, x), "aten::cdist"),
    "bilinear": (lambda x: F.bilinear(x, x, x.new_zeros(3, 8, 8)), "aten::_trilinear"),
    "addr": (lambda x: torch.addr(x[0, :, :6], x[0, 0, :6], x[0, 1, :6]), "aten::addr"),
    "stft": (lambda x: torch.fft.rfft(x), "aten::fft_rfft"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_operations_that_multiply_and_have_no_formula_are_named(name: str) -> None:
    function, operation = REFUSED[name]
    result = count(Function(function), (6, 8))
    assert result.forward_macs_per_example is None
    assert operation in str(result.reason)


@pytest.mark.parametrize("weighted", [False, True])
def test_embedding_bag_multiplies_only_by_weights(weighted: bool) -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.EmbeddingBag(50, 32, mode="sum")
            self.head = nn.Linear(32, 5)
            self.weights = nn.Parameter(torch.ones(10)) if weighted else None

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            weights = None if self.weights is None else self.weights.expand(len(tokens), 10)
            out: torch.Tensor = self.head(self.table(tokens, per_sample_weights=weights))
            return out

    result = known(Bag(), 10, dtype=torch.int64)
    bag = 10 * 32 if weighted else 0
    assert result.forward_macs_per_example == bag + 32 * 5
    assert result.backward_flops_per_example == 2 * 2 * (bag + 32 * 5)


def test_packed_sequences() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.LSTM(8, 8, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, [16] * len(x), batch_first=True)
            out: torch.Tensor = nn.utils.rnn.pad_packed_sequence(self.network(packed)[0])[0]
            return out

    assert known(Packed(), 16, 8).forward_macs_per_example == 16 * 4 * 8 * (8 + 8)


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    more: dict[str, Any]


class Slotted:
    __slots__ = ("logits",)

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: Output(y[..., :4], {"hidden": [y[..., 4:]], "name": "x"}),
        lambda y: torch.distributions.Normal(y, 1.0, validate_args=False),
        lambda y: types.SimpleNamespace(logits=y),
        Slotted,
    ],
    ids=["dataclass", "distribution", "namespace", "slots"],
)
def test_outputs_that_are_objects(wrap: Callable[[torch.Tensor], Any]) -> None:
    result = known(Function(wrap), 8)
    assert result.forward_macs_per_example == 64
    assert result.train_to_forward_ratio == 2.0


@pytest.mark.slow
def test_a_model_called_with_other_weights() -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 16, bias=False)

        def forward(self, x: torch.Tensor) -> Any:
            weights = {"weight": self.layer.weight * 2}
            return torch.func.functional_call(self.layer, weights, (x,))

    model = Doubled()
    assert known(model, 8).forward_macs_per_example == 8 * 16
    assert torch.nn.utils.stateless._functional_call.__module__ == "torch.nn.utils.stateless", "put back"


TABLE = torch.ones(8)


@pytest.mark.slow
def test_tensors_outside_the_modules_attributes() -> None:
    closure = torch.ones(8)
    assert known(Function(lambda x: x * TABLE + closure), 8).forward_macs_per_example == 64

    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.tables = nn.Linear(8, 4), [torch.ones(4), {"shift": torch.ones(4)}]

        def forward(self, x: torch.Tensor) -> Any:
            scale: Any = self.tables
            return self.layer(x) * scale[0] + scale[1]["shift"]

    model = Listed()
    assert known(model, 8).forward_macs_per_example == 8 * 4
    held: Any = model.tables
    assert not held[0].is_meta


@pytest.mark.slow
def test_lazy_layers_take_one_example_on_a_copy() -> None:
    calls: list[int] = []
    model = nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5), nn.LazyLinear(3)
    )
    model[0].register_forward_hook(lambda *_: calls.append(1))
    result = known(model, 2, 6, 6)
    assert result.forward_macs_per_example == 4 * 4 * 4 * 2 * 9 + 64 * 5 + 5 * 3
    assert isinstance(model[4], nn.LazyLinear)
    assert calls == []
    model(torch.zeros(2, 2, 6, 6))
    assert known(model, 2, 6, 6) == result
    assert "lazy layers cannot take such an input" in str(count(nn.LazyConv2d(4, 3), (8,)).reason)


def compiled(function: Any) -> Any:
    return torch.compile(function)


@pytest.mark.slow
def test_compiled_parts_count_as_what_they_wrap() -> None:
    @compiled
    def outside(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x)

    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 4)
            self.scale = compiled(lambda x: x * 2)
            self.listed = nn.ModuleList([compiled(nn.Linear(4, 3))])
            self.third = nn.Linear(3, 2)
            self.third.compile()

        @compiled
        def forward(self, x: torch.Tensor) -> Any:
            return self.third(self.listed[0](self.second(outside(self.scale(self.first(x))))))

    result = known(Parts(), 8)
    assert result.forward_macs_per_example == 8 * 16 + 16 * 4 + 4 * 3 + 3 * 2
    assert not torch.fx._symbolic_trace.is_fx_symbolic_tracing()


@pytest.mark.slow
def test_einsum_counts_as_written_whatever_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Planner(types.ModuleType):
        def contract_path(self, equation: str, *operands: Any, **settings: Any) -> Any:
            asked.append(equation)
            return [(1, 2), (0, 1)], None  # from the right: 2 * 64 * 64 MACs

    backend: Any = torch.backends.opt_einsum
    module = backend.m  # torch keeps the module behind an object that guards its flags
    model = Function(lambda x: torch.einsum("ij,jk,bk->bi", x.new_zeros(8, 8), x.new_zeros(8, 8), x))
    from_left = 64 + 8**3 + 8 * 8
    assert known(model, 8).forward_macs_per_example == from_left
    monkeypatch.setattr(module, "_opt_einsum", Planner("opt_einsum"))
    monkeypatch.setattr(module, "is_available", lambda: True)
    with backend.flags(enabled=True, strategy="auto"):
        torch.einsum("ij,jk,bk->bi", *[torch.zeros(8, 8)] * 3)
        assert len(asked) == 1, "the planner is installed"
        assert known(model, 8).forward_macs_per_example == from_left
        assert len(asked) == 1
        assert backend.enabled
