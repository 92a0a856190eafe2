"""Cost of single operations: MAC handles for fvcore, corrections for torch's counter, the free operations.

Nothing here imports fvcore: a handle takes the `torch._C.Value`s of one node of a trace and returns its MACs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import conv_flop_count

aten = torch.ops.aten


def _shape(value: Any) -> list[int]:
    return list(value.type().sizes())


def _matmul_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """(..., m, k) x (..., k, n), broadcast, and the one-dimensional cases: k MACs for each output."""
    return math.prod(_shape(outputs[0])) * _shape(inputs[0])[-1]


def _added_matmul_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """baddbmm and addmv: the product of the second and third argument; the addition is free."""
    return _matmul_macs(inputs[1:3], outputs)


def _padded_convolution_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """A convolution with padding given as a string ("same"): each output position uses the whole weight."""
    out = _shape(outputs[0])
    return out[0] * math.prod(out[2:]) * math.prod(_shape(inputs[1]))


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


FVCORE_HANDLES: dict[str, Callable[[Sequence[Any], Sequence[Any]], int]] = {
    "aten::matmul": _matmul_macs,
    "aten::bmm": _matmul_macs,
    "aten::mm": _matmul_macs,
    "aten::mv": _matmul_macs,
    "aten::dot": _matmul_macs,
    "aten::vdot": _matmul_macs,
    "aten::baddbmm": _added_matmul_macs,
    "aten::addmv": _added_matmul_macs,
    "aten::einsum": _einsum_macs,
    "aten::_convolution_mode": _padded_convolution_macs,
    "aten::scaled_dot_product_attention": _attention_macs,
    **dict.fromkeys(("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"), _recurrent_macs),
    **dict.fromkeys(
        ("aten::lstm_cell", "aten::gru_cell", "aten::rnn_tanh_cell", "aten::rnn_relu_cell"),
        _recurrent_cell_macs,
    ),
} | dict.fromkeys(
    (
        *("aten::batch_norm", "aten::group_norm", "aten::layer_norm", "aten::instance_norm"),
        *("aten::upsample_nearest2d", "aten::upsample_bilinear2d"),
        *("aten::adaptive_avg_pool2d", "aten::grid_sampler"),
    ),
    _no_macs,
)
"""Added to fvcore's own handles for convolution, linear and addmm, whose unit is the MAC. fvcore's counts of
normalisation, resampling and pooling are set to 0, as this work is free by convention."""


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


TORCH_CORRECTIONS: dict[Any, Callable[..., int]] = {
    aten.convolution_backward: _convolution_backward_flops,
    aten.mv: _vector_flops,
    aten.dot: _vector_flops,
    aten.vdot: _vector_flops,
    aten.addmv: _added_vector_flops,
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


def multiplicands(name: str, arguments: Sequence[Any]) -> list[torch.Tensor]:
    """Return the tensors that a counted forward operation such as `aten::addmm` multiplies together."""
    # The first argument of addmm, baddbmm and addmv is added, not multiplied; so is a convolution's bias, its
    # third.
    tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
    if "attention" in name:
        return tensors[:3]
    return tensors[1:3] if name in ("aten::addmm", "aten::baddbmm", "aten::addmv") else tensors[:2]


def writes_only(name: str) -> bool:
    """Return whether an operation such as `aten::zeros_like` writes a result without reading its operand."""
    return name.startswith("aten::new_") or name.endswith("_like")


def touches_no_elements(name: str) -> bool:
    """Return whether an operation such as `aten::empty` or `aten::_unsafe_view` moves no elements."""
    return name.removeprefix("aten::") in _NO_DATA


_NO_DATA = frozenset(
    (
        *("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"),
        *("_unsafe_view", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "set_", "resize_"),
    )
)

_FREE = re.compile(
    "|".join(
        (
            r"Bool|Float|FloatImplicit|Int|IntImplicit|ScalarImplicit|and|or|xor|is_nonzero|item|len",
            r"local_scalar_dense|dim|numel|size|stride|sym_size",
            r"elu|glu|hardswish|logsigmoid|log_sigmoid\w*|prelu|rrelu\w*|softsign|tanhshrink|square",
            r"softmax|softmin|log_softmax|safe_softmax|logsumexp|all|any|amax|amin|aminmax|arg\w+|max|min|mean|median",
            r"mode|nanmean|nansum|sum|prod|std|std_mean|var|var_mean|norm|linalg_vector_norm|cum\w+|logcumsumexp",
            r"count_nonzero|kthvalue|sort|topk|searchsorted",
            r"\w*batch_norm\w*|\w*(group|instance|layer|rms)_norm|norm_except_dim|weight_norm\w*|normalize",
            r"nll_loss\w*|cross_entropy_loss|cosine_similarity|pairwise_distance",
            r"(adaptive_|fractional_)?(avg|max)_(un)?pool\dd(_with_indices)?|upsample_\w+|grid_sampler\w*",
            r"bernoulli|multinomial|normal\w*|uniform|rand\w*|\w*dropout",
            r"arange|empty\w*|eye|fill|full\w*|linspace|logspace|new_\w+|ones\w*|scalar_tensor|tri[lu]\w*|zeros?\w*",
            r"cat|concat|stack|[dhv]stack|column_stack|block_diag|broadcast_tensors|meshgrid|tile|repeat\w*|one_hot",
            r"(constant|reflection|replication)_pad\w+|pad|flip\w*|roll|rot90|\w*channel_shuffle|pixel_(un)?shuffle",
            r"im2col|col2im|fold|unfold|embedding|embedding_dense|gather|index\w*|take\w*|nonzero|scatter\w*",
            r"\w+_scatter|masked_\w+|diag\w*|fill_diagonal|unsafe_\w+|value_selecting_reduction",
            r"clone|copy|to|to_copy|type_as|view_copy|lift_fresh_copy|resize\w*|reshape_as",
        )
    )
)
"""Free by convention, beside what torch tags as pointwise or as a view: arithmetic on scalars, activations,
reductions, normalisation and losses, pooling and resampling, random numbers, factories, and operations that
only move, select or pad elements."""


def is_free(name: str) -> bool:
    """Return whether an operation such as `aten::add_` is left out of the count by convention.

    The gradient of a free operation is free. Everything else that has no formula must be reported by name.
    """
    namespace, _, operation = name.partition("::")
    if namespace != "aten":
        # prim:: operations are the interpreter's own; a PythonOp is a user's autograd function and may hide
        # any work. The exception is what torch.utils.checkpoint adds.
        checkpointing = operation == "PythonOp._NoopSaveInputs"
        return namespace == "prim" and (
            checkpointing or not operation.startswith(("PythonOp", "CallFunction"))
        )
    forward = re.sub(r"_backward\w*", "", operation)
    if _FREE.fullmatch(forward.strip("_")):
        return True
    # Not in the list: free if torch itself tags the operation, or its forward operation (in place or not), as
    # pointwise or as a view.
    packets = (getattr(aten, spelling, None) for spelling in (operation, forward, forward.rstrip("_")))
    overloads = [getattr(packet, o) for packet in packets if packet for o in packet.overloads()]
    return any(torch.Tag.pointwise in overload.tags or overload.is_view for overload in overloads)
