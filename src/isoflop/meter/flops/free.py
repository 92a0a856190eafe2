"""Operations that are free by convention: work on single elements, and what moves, selects or draws them.

The convention is docs/flops.md's: no multiply-accumulates. What is neither free nor counted must be reported
by name. `operations.py` lists the verdict on every operation of the installed torch.
"""

from __future__ import annotations

import functools
import re

import torch

_NO_DATA = frozenset(
    (
        *("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"),
        *("_unsafe_view", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "set_", "resize_"),
    )
)

_FREE = {
    "arithmetic on scalars, questions, checks": (
        r"Bool|Float|FloatImplicit|Int|IntImplicit|ScalarImplicit|and|or|xor|iand|ior|irshift|item|len|dim|numel",
        r"local_scalar_dense|size|stride|sym_\w+|is_\w+|can_cast|dense_dim|result_type|promote_types|get_device|output_nr",
        r"storage_offset|version|shape_as_tensor|assert_\w+|functional_assert_\w+|functional_sym_constrain_range\w*",
        r"print|linalg_check_errors|has_\w+|data|set|set_data|shallow_copy_data|requires_grad|retains?_grad",
        r"record_stream|pin_memory|use_cudnn_\w+|use_miopen_\w+|fused_sdp_choice",
    ),
    "arithmetic on elements": (
        r"absolute|conj_physical|arc\w+|divide|floor_divide|multiply|negative|subtract|greater|greater_equal|less|less_equal",
        r"not_equal|fix|special_\w+|isclose|allclose|isreal|isin|complex|polar|cross|linalg_cross|diff|gradient",
        r"outer|ger|kron|add_relu|fake_quantize\w*|fused_moving_avg_obs_\w+|cumulative_trapezoid|trapezoid|trapz",
    ),
    "activations": (
        r"elu|leaky_relu|glu|hardswish|logsigmoid|log_sigmoid\w*|prelu|prelu_kernel|rrelu\w*|softsign|tanhshrink|square",
        r"softmax|softmin|log_softmax|safe_softmax|masked_softmax|infinitely_differentiable_gelu",
    ),
    "reductions, orders, searches": (
        r"logsumexp|all|any|amax|amin|aminmax|arg\w+|max|min|mean|median|nanmedian|mode|nanmean|nansum|sum|prod",
        r"std|std_mean|var|var_mean|norm|native_norm|frobenius_norm|linalg_vector_norm|linalg__powsum|powsum|dist",
        r"cummax|cummin|cummaxmin|cummax_helper|cummin_helper|cumprod|cumsum|logcumsumexp|trace|sum_to_size",
        r"segment_reduce|hash_tensor|count_nonzero|kthvalue|sort|msort|topk|searchsorted|bucketize|quantile",
        r"nanquantile|unique|unique2|unique_consecutive|unique_dim\w*|histc|histogram|histogramdd\w*|bincount",
        r"linalg_vander|vander",
    ),
    "normalisation": (
        r"\w*batch_norm\w*|\w*(group|instance|layer|rms)_norm|norm_except_dim|weight_norm\w*|normalize|renorm",
        r"embedding_renorm|cosine_similarity|pairwise_distance",
    ),
    "losses": (
        r"nll_loss\w*|cross_entropy_loss|binary_cross_entropy(_with_logits)?|\w*(l1|mse|huber|margin|margin_ranking|embedding)_loss",
        r"multilabel_margin_loss_forward|kl_div|poisson_nll_loss|(cudnn_|miopen_)?ctc_loss",
    ),
    "pooling and resampling": (
        r"(adaptive_|fractional_)?(avg|max)_(un)?pool\dd(_with_indices)?|upsample_\w+|grid_sampler\w*",
        r"(cudnn_)?affine_grid_generator",
    ),
    "random numbers": (
        r"bernoulli|multinomial|normal\w*|uniform|rand|rand_like|randint\w*|randn\w*|random|randperm|\w*dropout",
        r"cauchy|exponential|geometric|log_normal|poisson|binomial|standard_gamma(_grad)?|sample_dirichlet",
        r"dirichlet_grad|philox_\w+|cudnn_init_dropout_state",
    ),
    "factories": (
        r"arange|empty|empty_\w+|eye|fill|full|full_like|linspace|logspace|range|new_\w+|ones|ones_like|scalar_tensor",
        r"tri[lu]|tri[lu]_indices|zero|zeros|zeros_like|efficientzerotensor|dim_arange|from_file",
        r"(bartlett|blackman|hamming|hann|kaiser)_window|fft_r?fftfreq",
    ),
    "elements moved, selected or padded": (
        r"cat|chunk_cat|concat|concatenate|stack|[dhv]stack|row_stack|column_stack|block_diag|broadcast_tensors",
        r"meshgrid|tile|repeat\w*|one_hot|atleast_\dd|cartesian_prod|combinations|(un)?flatten_dense_tensors",
        r"(constant|reflection|replication)_pad\w+|pad|pad_circular|pad_enum|flip|fliplr|flipud|roll|rot90",
        r"\w*channel_shuffle|pixel_(un)?shuffle|fft_i?fftshift|pack_padded_sequence|pad_packed_sequence",
        r"pad_sequence|(use_)?cudnn_rnn_flatten_weight|im2col|col2im|fold|unfold|embedding|embedding_dense|gather",
        r"index|index_\w+|take|take_along_dim|put|nonzero|nonzero_static|nonzero_numpy|scatter|scatter_\w+",
        r"(as_strided|diagonal|select|slice|masked)_scatter|masked_(fill|select|scale)",
        r"diag|diag_embed|diagflat|diagonal\w*|fill_diagonal|unsafe_(view|chunk|split|split_with_sizes)",
        r"unsafe_(index|masked_index)\w*|value_selecting_reduction|(add|remove)_batch_dim",
        r"clone|copy|to|to_copy|to_cpu|cast_\w+|chalf|type_as|view_copy|lift|lift_fresh_copy|resize\w*|reshape_as",
        r"reshape_from_tensor",
    ),
}
"""Free beside what torch tags as pointwise or as a view: patterns of names without leading and trailing _."""

_FREE_NAME = re.compile("|".join(pattern for patterns in _FREE.values() for pattern in patterns))

_DERIVED = re.compile(r"_backward\w*|^_foreach_|_copy_?$")
"""Parts of a name that leave an operation free: a gradient, a list of tensors, a view that is copied."""


def writes_only(name: str) -> bool:
    """Return whether an operation such as `aten::zeros_like` writes a result without reading its operand."""
    return name.startswith("aten::new_") or name.endswith("_like")


def touches_no_elements(name: str) -> bool:
    """Return whether an operation such as `aten::empty` or `aten::_unsafe_view` moves no elements."""
    return name.removeprefix("aten::") in _NO_DATA


def is_free(name: str) -> bool:
    """Return whether an operation such as `aten::add_` is left out of the count by convention.

    The gradient of a free operation is free. Everything else that has no formula must be reported by name.
    """
    return why_free(name) is not None


@functools.cache
def why_free(name: str) -> str | None:
    """Return the kind of work that makes an operation free, None if it is not.

    Args:
        name: as torch spells it, with its namespace, such as `aten::add_`.
    """
    namespace, _, operation = name.partition("::")
    if namespace != "aten":
        # prim:: operations are the interpreter's own; a PythonOp is a user's autograd function and may hide
        # any work. The exception is what torch.utils.checkpoint adds.
        checkpointing = operation == "PythonOp._NoopSaveInputs"
        hidden = operation.startswith(("PythonOp", "CallFunction")) and not checkpointing
        return "the interpreter's own" if namespace == "prim" and not hidden else None
    if _FREE_NAME.fullmatch(operation.strip("_")):
        return _kind(operation.strip("_"))
    base = _DERIVED.sub("", operation)
    if _FREE_NAME.fullmatch(base.strip("_")):
        return _kind(base.strip("_"))
    # Not in the list: free if torch itself tags the operation, or the one it is derived from (in place or
    # not), as pointwise or as a view.
    spellings = (operation, base, base.rstrip("_"))
    packets = (getattr(torch.ops.aten, spelling, None) for spelling in spellings if spelling)
    overloads = [getattr(packet, o) for packet in packets if packet for o in packet.overloads()]
    if any(torch.Tag.pointwise in overload.tags for overload in overloads):
        return "arithmetic on elements"
    return "a view" if any(overload.is_view for overload in overloads) else None


def _kind(name: str) -> str:
    """Return the kind of work under which the list has a name."""
    return next(kind for kind, patterns in _FREE.items() if re.fullmatch("|".join(patterns), name))
