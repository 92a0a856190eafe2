"""Cost of single operations: MAC handles for fvcore, corrections for torch's counter.

Nothing here imports fvcore: a handle takes the `torch._C.Value`s of one node of a trace and returns its MACs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import conv_flop_count

aten = torch.ops.aten

Handle = Callable[[Sequence[Any], Sequence[Any]], int]


def _shape(value: Any) -> list[int]:
    return list(value.type().sizes())


def _integers(value: Any) -> list[int]:
    """Return the constants of a list in a trace."""
    return [each.toIValue() for each in value.node().inputs()]


def _matmul_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """(..., m, k) x (..., k, n), broadcast, and the one-dimensional cases: k MACs for each output.

    The same holds of linear and inner, whose second operand is (..., n, k).
    """
    return math.prod(_shape(outputs[0])) * _shape(inputs[0])[-1]


def _inner_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """inner: as matmul; with a number it is elementwise."""
    return _matmul_macs(inputs, outputs) if _shape(inputs[0]) and _shape(inputs[1]) else 0


def _added_matmul_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """addmm, baddbmm and addmv: the product of the second and third argument; the addition is free."""
    return _matmul_macs(inputs[1:], outputs)


def _summed_matmul_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """addbmm: (b, m, k) x (b, k, n), summed over b."""
    return math.prod(_shape(inputs[1])) * _shape(inputs[2])[-1]


def _tensordot_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """tensordot: each output gathers the contracted dimensions; one of length 1 meets the other's sum."""
    left, right = _shape(inputs[0]), _shape(inputs[1])
    pairs = zip(_integers(inputs[2]), _integers(inputs[3]), strict=True)
    return math.prod(_shape(outputs[0])) * math.prod(min(left[i], right[j]) for i, j in pairs)


def _vecdot_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """linalg.vecdot: a product of two vectors; of more dimensions, elementwise products and their sum."""
    vectors = len(_shape(inputs[0])) == len(_shape(inputs[1])) == 1
    return _shape(inputs[0])[0] if vectors else 0


def _chain_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """linalg.multi_dot: the cheapest order of a chain of matrices; a vector may stand at either end."""
    shapes = [_shape(v) for v in inputs[0].node().inputs()]
    first = [1, *shapes[0]] if len(shapes[0]) == 1 else shapes[0]
    return chain_macs([*first, *(shape[1] if len(shape) == 2 else 1 for shape in shapes[1:])])


def chain_macs(sides: Sequence[int]) -> int:
    """Return the least MACs of a product of matrices, sides[0] x sides[1], sides[1] x sides[2] and so on."""
    count = len(sides) - 1
    least = {(i, i): 0 for i in range(count)}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            least[i, j] = min(
                least[i, k] + least[k + 1, j] + sides[i] * sides[k + 1] * sides[j + 1] for k in range(i, j)
            )
    return least[0, count - 1]


def _power_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """linalg.matrix_power by repeated squaring; an inverse, for a negative power, has no formula."""
    power = abs(inputs[1].toIValue())
    products = power.bit_length() + power.bit_count() - 2 if power else 0
    return products * math.prod(_shape(inputs[0])) * _shape(inputs[0])[-1]


def _bag_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """embedding_bag: a weighted sum of rows; without weights it selects and adds, which is free."""
    return math.prod(_shape(inputs[1])) * _shape(inputs[0])[-1] if _is_tensor(inputs[6]) else 0


def _convolution_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """A convolution, its padding a number or a string: each output position uses the whole weight."""
    out = _shape(outputs[0])
    batch = out[0] if len(out) == len(_shape(inputs[1])) else 1
    return batch * math.prod(out[2 - len(_shape(inputs[1])) :]) * math.prod(_shape(inputs[1]))


def _transposed_convolution_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """A transposed convolution: each input position spreads the whole weight."""
    return _convolution_macs(inputs, inputs[:1])


def _attention_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Queries (..., L, E), keys (..., S, E), output (..., L, V): L S (E + V) per head, masked or not."""
    query, key, out = _shape(inputs[0]), _shape(inputs[1]), _shape(outputs[0])
    return math.prod(out[:-1]) * key[-2] * (query[-1] + out[-1])


def _einsum_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    return einsum_macs(inputs[0].toIValue(), [_shape(v) for v in inputs[1].node().inputs()])


def einsum_macs(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """Return the MACs of torch.einsum, which contracts operands from left to right without opt_einsum.

    A step that contracts no index longer than 1 is an elementwise product and free; an index that occurs in
    one operand only is summed before the product.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    operands: list[set[str]] = []
    hidden = ""
    for term, shape in zip(left.split(","), shapes, strict=True):
        # The dimensions behind "..." get labels of their own, counted from the right as broadcasting aligns
        # them. A term without dots consists of letters alone, so it gets none.
        dots = "".join(chr(0x100 + i) for i in reversed(range(len(shape) - len(term.replace("...", "")))))
        hidden = max(hidden, dots, key=len)
        labels = term.replace("...", dots)
        for label, size in zip(labels, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
        operands.append(set(labels))
    # Without "->" the output has the letters that occur once, and the broadcast dimensions.
    letters = [label for label in left if label.isalpha()]
    output = set(right.replace("...", "")) if arrow else {x for x in letters if letters.count(x) == 1}
    output |= set(hidden) if not arrow or "..." in right else set()
    macs, joined = 0, operands[0]
    for position, operand in enumerate(operands[1:], start=2):
        later = output.union(*operands[position:])  # labels that must survive this step
        if any(sizes[label] > 1 for label in joined & operand - later):
            macs += math.prod(sizes[label] for label in (joined & operand) | ((joined | operand) & later))
        joined = (joined | operand) & later
    return macs


def _recurrent_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """lstm, gru and rnn: each step multiplies each of its matrices (input, hidden, projection) once.

    The first argument is (length, batch, inputs) in either order, or the tokens of a packed sequence; the
    matrices are the two-dimensional tensors in the list of weights.
    """
    lists = [v.node() for v in inputs if v.node().kind() == "prim::ListConstruct"]
    weights = [_shape(w) for node in lists for w in node.inputs() if _is_tensor(w)]
    return math.prod(_shape(inputs[0])[:-1]) * sum(math.prod(w) for w in weights if len(w) == 2)


def _is_tensor(value: Any) -> bool:
    return bool(value.type().isSubtypeOf(torch._C.TensorType.get()))


def _recurrent_cell_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """lstm_cell, gru_cell and the like: (batch, inputs), state, then the two matrices."""
    return _shape(inputs[0])[0] * sum(math.prod(_shape(weight)) for weight in inputs[2:4])


def _no_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    return 0


def _in_real_macs(handle: Handle) -> Handle:
    """Count one complex multiply-accumulate as the four real ones that it is."""

    def counted(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
        dtype = outputs[0].type().dtype() if _is_tensor(outputs[0]) else None
        return handle(inputs, outputs) * (4 if dtype is not None and dtype.is_complex else 1)

    return counted


def _either_convolution_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """aten::convolution, whose seventh argument tells whether it is transposed."""
    return _convolution_macs(inputs, inputs[:1] if inputs[6].toIValue() else outputs)


PARTS_DECIDE = ("aten::linalg_norm", "aten::linalg_matrix_norm", "aten::linalg_cond")
"""Sums or singular values, as an argument says: free here, and torch's counter refuses the latter's parts."""

_MATMULS = ("matmul", "linalg_matmul", "bmm", "mm", "_scaled_mm", "mv", "dot", "vdot", "linear")
_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "_convolution_mode")
_TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_ATTENTION = (
    "scaled_dot_product_attention",
    *("_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu"),
    *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"),
    "_scaled_dot_product_fused_attention_overrideable",
)
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_OWN_HANDLES: dict[str, Handle] = {
    **dict.fromkeys(_MATMULS, _matmul_macs),
    **dict.fromkeys(("addmm", "addmm_", "baddbmm", "baddbmm_", "addmv", "addmv_"), _added_matmul_macs),
    **dict.fromkeys(("addbmm", "addbmm_"), _summed_matmul_macs),
    **dict.fromkeys(("linalg_multi_dot", "chain_matmul"), _chain_macs),
    **dict.fromkeys(("linalg_matrix_power", "matrix_power"), _power_macs),
    "inner": _inner_macs,
    "tensordot": _tensordot_macs,
    "linalg_vecdot": _vecdot_macs,
    "einsum": _einsum_macs,
    **dict.fromkeys(("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only"), _bag_macs),
    "convolution": _either_convolution_macs,
    **dict.fromkeys(_CONVOLUTIONS, _convolution_macs),
    **dict.fromkeys(_TRANSPOSED, _transposed_convolution_macs),
    **dict.fromkeys(_ATTENTION, _attention_macs),
    **dict.fromkeys(_RECURRENT, _recurrent_macs),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _recurrent_cell_macs),
}

FVCORE_HANDLES: dict[str, Handle] = {
    **{f"aten::{name}": _in_real_macs(handle) for name, handle in _OWN_HANDLES.items()},
    **dict.fromkeys(PARTS_DECIDE, _no_macs),
    **dict.fromkeys(
        (
            *("aten::batch_norm", "aten::group_norm", "aten::layer_norm", "aten::instance_norm"),
            *("aten::upsample_nearest2d", "aten::upsample_bilinear2d"),
            *("aten::adaptive_avg_pool2d", "aten::grid_sampler"),
        ),
        _no_macs,
    ),
}
"""Replace and extend fvcore's own handles, whose unit is the MAC and which leave `aten::_convolution` to
fvcore. Its counts of normalisation, resampling and pooling are 0, as this work is free by convention."""


def _convolution_backward_flops(grad_out: Any, x: Any, weight: Any, *rest: Any, **kwargs: Any) -> int:
    """Each requested gradient (of input and weight) costs as much as the forward pass, for any `groups`."""
    # Schema: (grad_output, input, weight, bias_sizes, stride, padding, dilation, transposed, output_padding,
    # groups, output_mask), shapes in place of tensors.
    transposed, output_mask = rest[4], rest[7]
    return conv_flop_count(x, weight, grad_out, transposed) * (int(output_mask[0]) + int(output_mask[1]))


def _attention_flops(query: Any, key: Any, value: Any, *rest: Any, **kwargs: Any) -> int:
    return int(2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _attention_backward_flops(grad_out: Any, *arguments: Any, **kwargs: Any) -> int:
    """Twice the forward pass: scores that a fused kernel recomputes are hardware FLOPs, not model FLOPs."""
    return 2 * _attention_flops(*arguments)


def _vector_flops(left: Any, *rest: Any, **kwargs: Any) -> int:
    return int(2 * math.prod(left))


def _added_vector_flops(added: Any, left: Any, *rest: Any, **kwargs: Any) -> int:
    return int(2 * math.prod(left))


def _added_product_flops(added: Any, left: Any, right: Any, *rest: Any, **kwargs: Any) -> int:
    """addmm_, baddbmm_ and addbmm: every element of the left operand meets a row of the right one."""
    return int(2 * math.prod(left) * right[-1])


def _bag_flops(weight: Any, indices: Any, *rest: Any, **kwargs: Any) -> int:
    """A weighted sum of rows. Schema: (weight, indices, offsets, scale_grad_by_freq, mode, sparse,
    per_sample_weights, ...)."""
    weighted = kwargs.get("per_sample_weights", rest[4] if len(rest) > 4 else None)
    return int(2 * math.prod(indices) * weight[-1]) if weighted is not None else 0


def _bag_backward_flops(grad: Any, indices: Any, *rest: Any, **kwargs: Any) -> int:
    """Each row's gradient is its bag's times its weight. Schema: (grad, indices, offsets, offset2bag,
    bag_size, maximum_indices, num_weights, scale_grad_by_freq, mode, sparse, per_sample_weights, ...)."""
    weighted = kwargs.get("per_sample_weights", rest[8] if len(rest) > 8 else None)
    return int(2 * math.prod(indices) * grad[-1]) if weighted is not None else 0


def _bag_dense_backward_flops(grad: Any, indices: Any, *rest: Any, **kwargs: Any) -> int:
    """The same. Schema: (grad, indices, offset2bag, bag_size, maximum_indices, num_weights,
    scale_grad_by_freq, mode, per_sample_weights, ...)."""
    weighted = kwargs.get("per_sample_weights", rest[6] if len(rest) > 6 else None)
    return int(2 * math.prod(indices) * grad[-1]) if weighted is not None else 0


def _bag_weights_backward_flops(grad: Any, weight: Any, indices: Any, *rest: Any, **kwargs: Any) -> int:
    """Each weight's gradient is a product of its row with its bag's gradient."""
    return int(2 * math.prod(indices) * grad[-1])


TORCH_CORRECTIONS: dict[Any, Callable[..., int]] = {
    aten.convolution_backward: _convolution_backward_flops,
    aten.mv: _vector_flops,
    aten.dot: _vector_flops,
    aten.vdot: _vector_flops,
    aten.addmv: _added_vector_flops,
    aten.addmv_: _added_vector_flops,
    **dict.fromkeys((aten.addmm_, aten.baddbmm_, aten.addbmm, aten.addbmm_), _added_product_flops),
    **dict.fromkeys((aten._embedding_bag, aten._embedding_bag_forward_only), _bag_flops),
    aten._embedding_bag_backward: _bag_backward_flops,
    aten._embedding_bag_dense_backward: _bag_dense_backward_flops,
    aten._embedding_bag_per_sample_weights_backward: _bag_weights_backward_flops,
    aten._scaled_dot_product_fused_attention_overrideable: _attention_flops,
    aten._scaled_dot_product_fused_attention_overrideable_backward: _attention_backward_flops,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
    aten._scaled_dot_product_flash_attention_backward: _attention_backward_flops,
    aten._scaled_dot_product_efficient_attention_backward: _attention_backward_flops,
    aten._scaled_dot_product_cudnn_attention_backward: _attention_backward_flops,
}
"""FLOPs (2 a MAC) that replace or extend torch's own formulas, as `custom_mapping` of FlopCounterMode: its
convolution_backward counts a grouped gradient `groups` times, its fused attention counts recomputation in the
backward pass, and products with a vector are missing. On the meta device attention decomposes into bmm."""


_ADDED = ("aten::addmm", "aten::baddbmm", "aten::addbmm")
_WITH_A_VECTOR = {"aten::dot": (), "aten::vdot": (), "aten::mv": (1,), "aten::addmv": (2,)}
"""Products with a vector -> positions of the operands whose gradient is such a product as well. The other
operand's is an outer product or a multiple, which is elementwise."""


def multiplicands(name: str, arguments: Sequence[Any]) -> list[torch.Tensor]:
    """Return the operands of a counted operation such as `aten::addmm` whose gradients cost as much as it."""
    # The first argument of addmm, baddbmm and addbmm is added, not multiplied; so is a convolution's bias,
    # its third. Between the table and the weights of an embedding bag stand indices.
    tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
    name = name.rstrip("_")
    if "attention" in name:
        return tensors[:3]
    if "embedding_bag" in name:
        return [tensor for tensor in tensors if tensor.is_floating_point()]
    if name in _WITH_A_VECTOR:
        return [tensors[position] for position in _WITH_A_VECTOR[name]]
    return tensors[1:3] if name in _ADDED else tensors[:2]
