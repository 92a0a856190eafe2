"""Closed form of every handle, on odd and different sizes, for values that have a shape and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from isoflop.meter.flops import handles
from isoflop.meter.flops.norm_activation import NormActivationCounter


class Type:
    """Type of a value in a trace."""

    def __init__(self, sizes: Sequence[int], dtype: torch.dtype, is_tensor: bool) -> None:
        self._sizes, self._dtype, self._is_tensor = sizes, dtype, is_tensor

    def sizes(self) -> Sequence[int]:
        return self._sizes

    def dtype(self) -> torch.dtype:
        return self._dtype

    def isSubtypeOf(self, other: Any) -> bool:
        return self._is_tensor

    def kind(self) -> str:
        return "TensorType" if self._is_tensor else "NoneType"


class Value:
    """A tensor of these sizes, a constant, or a list of values."""

    def __init__(
        self,
        *sizes: int,
        constant: Any = None,
        parts: Sequence[Value] = (),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._type = Type(sizes, dtype, bool(sizes) or (constant is None and not parts))
        self.constant, self.parts = constant, parts

    def type(self) -> Type:
        return self._type

    def toIValue(self) -> Any:
        return self.constant

    def node(self) -> Value:
        return self

    def kind(self) -> str:
        return "prim::ListConstruct" if self.parts else "other"

    def inputs(self) -> Sequence[Value]:
        return self.parts


def tensors(*shapes: tuple[int, ...]) -> list[Value]:
    return [Value(*shape) for shape in shapes]


def listed(*values: Any) -> Value:
    return Value(parts=[value if isinstance(value, Value) else Value(constant=value) for value in values])


NONE = Value(constant=False)
LSTM = [(20, 3), (20, 5), (20,), (20,)]  # four gates of 5 units, on 3 inputs

MACS: dict[str, tuple[list[Value], tuple[int, ...], int]] = {
    "matmul": (tensors((2, 3, 5), (5, 7)), (2, 3, 7), 2 * 3 * 7 * 5),
    "linear": (tensors((3, 5), (7, 5)), (3, 7), 3 * 7 * 5),
    "bmm": (tensors((2, 3, 5), (2, 5, 7)), (2, 3, 7), 2 * 3 * 7 * 5),
    "mv": (tensors((3, 5), (5,)), (3,), 15),
    "dot": (tensors((5,), (5,)), (), 5),
    "inner": (tensors((3, 5), (7, 5)), (3, 7), 3 * 7 * 5),
    "addmm": (tensors((3, 7), (3, 5), (5, 7)), (3, 7), 3 * 7 * 5),
    "baddbmm": (tensors((2, 3, 7), (2, 3, 5), (2, 5, 7)), (2, 3, 7), 2 * 3 * 7 * 5),
    "addmv_": (tensors((3,), (3, 5), (5,)), (3,), 15),
    "addbmm": (tensors((3, 7), (2, 3, 5), (2, 5, 7)), (3, 7), 2 * 3 * 5 * 7),
    "tensordot": ([*tensors((3, 5, 7), (7, 11, 5)), listed(1, 2), listed(2, 0)], (3, 11), 3 * 11 * 5 * 7),
    "linalg_vecdot": (tensors((5,), (5,)), (), 5),
    "linalg_multi_dot": ([listed(*tensors((3, 5), (5, 7), (7, 11)))], (3, 11), 3 * 5 * 7 + 3 * 7 * 11),
    "chain_matmul": (
        [listed(*tensors((5,), (5, 7), (7,)))],
        (),
        5 * 7 + 5,
    ),  # the cheap order ends with 5 products
    "einsum": ([Value(constant="bi,ij->bj"), listed(*tensors((3, 5), (5, 7)))], (3, 7), 3 * 5 * 7),
    "embedding_bag": ([*tensors((11, 5), (7,), (2,)), NONE, NONE, NONE, Value(7)], (2, 5), 7 * 5),
    "conv1d": (tensors((2, 3, 13), (7, 3, 5)), (2, 7, 9), 2 * 9 * 7 * 3 * 5),
    "conv2d": (tensors((2, 3, 13, 11), (7, 3, 5, 3)), (2, 7, 9, 9), 2 * 9 * 9 * 7 * 3 * 5 * 3),
    "conv3d": (tensors((3, 4, 5, 6), (7, 3, 2, 2, 2)), (7, 3, 4, 5), 3 * 4 * 5 * 7 * 3 * 8),  # one image
    "_convolution_mode": (tensors((2, 3, 9), (7, 3, 5)), (2, 7, 9), 2 * 9 * 7 * 3 * 5),
    "conv_transpose1d": (tensors((2, 3, 9), (3, 7, 5)), (2, 7, 13), 2 * 9 * 3 * 7 * 5),
    "scaled_dot_product_attention": (
        tensors((2, 3, 5, 7), (2, 3, 11, 7)),
        (2, 3, 5, 13),
        6 * 5 * 11 * (7 + 13),
    ),
    "lstm": ([Value(7, 2, 3), listed(*tensors(*LSTM))], (7, 2, 5), 7 * 2 * 20 * (3 + 5)),
    "gru": ([Value(7, 2, 3), listed(*tensors((15, 3), (15, 5)))], (7, 2, 5), 7 * 2 * 15 * (3 + 5)),
    "lstm_cell": ([Value(2, 3), listed(), *tensors((20, 3), (20, 5))], (2, 5), 2 * 20 * (3 + 5)),
}


@pytest.mark.parametrize("name", MACS)
def test_multiply_accumulates_by_shape(name: str) -> None:
    inputs, output, macs = MACS[name]
    assert handles.FVCORE_HANDLES[f"aten::{name}"](inputs, [Value(*output)]) == macs
    complex_output = [Value(*output, dtype=torch.complex64)]
    complex_macs = handles.FVCORE_HANDLES[f"aten::{name}"](inputs, complex_output)
    assert complex_macs == 4 * macs, "a complex one is four real ones"


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("inner", tensors((3, 5), ())),
        ("inner", tensors((), (3, 5))),
        ("linalg_vecdot", tensors((3, 5), (3, 5))),
        ("linalg_vecdot", tensors((5,), (3, 5))),
        ("linalg_vecdot", tensors((3, 5), (5,))),
        ("embedding_bag", [*tensors((11, 5), (7,), (2,)), NONE, NONE, NONE, NONE]),
    ],
)
def test_products_of_elements_are_free(name: str, inputs: list[Value]) -> None:
    assert handles.FVCORE_HANDLES[f"aten::{name}"](inputs, [Value(3, 5)]) == 0


@pytest.mark.parametrize(
    ("power", "products"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (7, 4), (8, 3), (-3, 2)]
)
def test_powers_are_squared_and_multiplied(power: int, products: int) -> None:
    """7 = 4 + 2 + 1: two squares, and two products of the three."""
    inputs = [Value(2, 5, 5), Value(constant=power)]
    assert handles.FVCORE_HANDLES["aten::matrix_power"](inputs, [Value(2, 5, 5)]) == products * 2 * 5**3


@pytest.mark.parametrize(("transposed", "macs"), [(False, 2 * 9 * 7 * 3 * 5), (True, 2 * 13 * 7 * 3 * 5)])
def test_a_convolution_says_itself_whether_it_is_transposed(transposed: bool, macs: int) -> None:
    inputs = [*tensors((2, 3, 13), (7, 3, 5)), NONE, NONE, NONE, NONE, Value(constant=transposed)]
    assert handles.FVCORE_HANDLES["aten::convolution"](inputs, [Value(2, 7, 9)]) == macs


def test_a_contracted_dimension_of_length_one_meets_the_others_sum() -> None:
    inputs = [*tensors((3, 1), (7, 11)), listed(1), listed(0)]
    assert handles.FVCORE_HANDLES["aten::tensordot"](inputs, [Value(3, 11)]) == 3 * 11


FREE = (
    *("batch_norm", "group_norm", "layer_norm", "instance_norm", "upsample_nearest2d", "upsample_bilinear2d"),
    *("adaptive_avg_pool2d", "grid_sampler", "linalg_norm", "linalg_matrix_norm", "linalg_cond"),
)


@pytest.mark.parametrize("name", FREE)
def test_normalisation_resampling_and_pooling_are_free(name: str) -> None:
    assert handles.FVCORE_HANDLES[f"aten::{name}"](tensors((2, 3, 5, 7)), [Value(2, 3, 5, 7)]) == 0


# ---- torch's counter

aten = torch.ops.aten
FLOPS: dict[Any, tuple[tuple[Any, ...], int]] = {
    aten.mv: (((3, 5), (5,)), 2 * 15),
    aten.vdot: (((5,), (5,)), 2 * 5),
    aten.addmv: (((3,), (3, 5), (5,)), 2 * 15),
    aten.addmm_: (((3, 7), (3, 5), (5, 7)), 2 * 3 * 5 * 7),
    aten.baddbmm_: (((2, 3, 7), (2, 3, 5), (2, 5, 7)), 2 * 2 * 3 * 5 * 7),
    aten.addbmm: (((3, 7), (2, 3, 5), (2, 5, 7)), 2 * 2 * 3 * 5 * 7),
    aten._embedding_bag_per_sample_weights_backward: (((2, 5), (11, 5), (7,)), 2 * 7 * 5),
}


@pytest.mark.parametrize("operation", FLOPS, ids=str)
def test_floating_point_operations_by_shape(operation: Any) -> None:
    arguments, flops = FLOPS[operation]
    assert handles.TORCH_CORRECTIONS[operation](*arguments, "ignored", out_val=None) == flops


@pytest.mark.parametrize(
    ("mask", "gradients"),
    [((True, True, True), 2), ((False, True, True), 1), ((True, False, False), 1), ((False, False, True), 0)],
)
@pytest.mark.parametrize(("transposed", "sides"), [(False, 9), (True, 13)])
def test_each_gradient_of_a_convolution_costs_a_forward_pass(
    mask: tuple[bool, ...], gradients: int, transposed: bool, sides: int
) -> None:
    """Bias gradients are sums. Of 2 images; a transposed one is counted at its input's positions."""
    settings = (None, [1], [0], [1], transposed, [0], 1, mask)
    weight = (3, 7, 5) if transposed else (7, 3, 5)
    out = (2, 7, 17) if transposed else (2, 7, 9)
    formula = handles.TORCH_CORRECTIONS[aten.convolution_backward]
    assert formula(out, (2, 3, 13), weight, *settings) == gradients * 2 * (2 * sides * 7 * 3 * 5)


# ---- which operands have gradients that cost as much


@pytest.mark.parametrize(
    ("name", "count", "positions"),
    [
        ("aten::mm", 2, (0, 1)),
        ("aten::addmm", 3, (1, 2)),
        ("aten::baddbmm_", 3, (1, 2)),
        ("aten::convolution", 3, (0, 1)),
        ("aten::_scaled_dot_product_flash_attention", 4, (0, 1, 2)),
        ("aten::dot", 2, ()),
        ("aten::mv", 2, (1,)),
        ("aten::addmv_", 3, (2,)),
    ],
)
def test_the_operands_that_are_multiplied(name: str, count: int, positions: tuple[int, ...]) -> None:
    arguments = [torch.full((), float(i)) for i in range(count)]
    found = handles.multiplicands(name, [*arguments, None, 3])
    assert [int(each) for each in found] == list(positions)


def test_indices_of_an_embedding_bag_have_no_gradient() -> None:
    table, indices, weights = torch.zeros(3), torch.arange(3), torch.ones(3)
    found = handles.multiplicands("aten::_embedding_bag", [table, indices, weights])
    assert [each.dtype for each in found] == [torch.float32, torch.float32]
    assert found[1] is weights


# ---- normalisation and activations


def test_an_element_of_a_norm_is_five_or_four_and_of_an_activation_one() -> None:
    counter = NormActivationCounter()
    found = counter.handles()
    assert counter.flops == 0
    out = [Value(2, 3, 5)]
    for name, position in {
        "batch_norm": 1,
        "instance_norm": 1,
        "layer_norm": 2,
        "group_norm": 2,
        "rms_norm": 2,
    }.items():
        for weight, each in ((Value(3), 5), (NONE, 4)):
            inputs = [NONE] * 4
            inputs[position] = weight
            before = counter.flops
            assert found[f"aten::{name}"](inputs, out) == 0, "no multiply-accumulates"
            assert counter.flops - before == each * 30
    for name in ("relu", "relu_", "gelu", "silu_", "softmax", "tanh"):
        before = counter.flops
        assert found[f"aten::{name}"]([], out) == 0
        assert counter.flops - before == 30
