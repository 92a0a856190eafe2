"""A network of 8-bit integers for an x86 CPU, by torchao's PT2E: export, calibrate, convert, lower.

The converted graph rounds to integers and multiplies in floating point, which shows the error and is slower
than the network it came from. Lowering replaces the products by oneDNN's integer kernels. torchao's own
function for it, torchao.quantization.pt2e.lowering, fixes the batch size; `_lowered` is that function with a
batch of any size, and it calls undocumented parts of torch as it does (tests/train/levers/test_int8.py fails
if another release changes them).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from isoflop.train.models.resnet import Pointwise

aten = torch.ops.aten


def quantise(model: nn.Module, batches: Sequence[Tensor]) -> nn.Module:
    """Return a network of integers, for batches of any size.

    Args:
        model: in evaluation mode, on the CPU; it is changed.
        batches: inputs whose activations give the ranges; the first has at least two examples.
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )
    from torchao.utils import should_reduce_range

    # Without VNNI the kernels add pairs of products in 16 bits, which 8-bit ranges overflow.
    reduced = should_reduce_range(torch.device("cpu"))
    config = get_default_x86_inductor_quantization_config(reduce_range=reduced)
    _rewrite(model)
    observed = prepare_pt2e(exported(model, batches[0]), X86InductorQuantizer().set_global(config))
    _unfold_norms(observed)
    for batch in batches:
        observed(batch)
    lowered = _lowered(convert_pt2e(observed), batches[0])
    assert any(held.dtype == torch.int8 for held in lowered.buffers()), "nothing was quantised"
    return lowered


def exported(model: nn.Module, example: Tensor) -> fx.GraphModule:
    """Return the graph of a network in evaluation mode, whose first dimension may have any size.

    Strict: torch 2.11 notes in no other mode which layer a product is of, which the quantiser looks for.
    """
    program = torch.export.export(model, (example,), dynamic_shapes=(_any_batch(),), strict=True)
    module = program.module(check_guards=False)
    assert isinstance(module, fx.GraphModule)
    return module


def _any_batch() -> dict[int, object]:
    return {0: torch.export.Dim("batch", min=1)}


class FlatLinear(nn.Module):
    """A linear layer as a product of two matrices: the integer kernel takes no further dimensions."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs] -> [B, outputs], or [B, T, inputs] -> [B, T, outputs]."""
        y: Tensor = self.layer(x.flatten(0, -2))
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], -1)


def _rewrite(model: nn.Module) -> None:
    """Put layers in the forms that the integer kernels are made for, in place; the function stays."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, FlatLinear(child))
            elif isinstance(
                child, Pointwise
            ):  # which reads every second pixel itself, for its gradient's sake
                setattr(module, name, _strided(child))


def _strided(layer: Pointwise) -> nn.Conv2d:
    down, across = layer.stride
    made = nn.Conv2d(layer.in_channels, layer.out_channels, 1, (down, across), bias=False)
    made.weight = layer.weight
    return made.eval()


def _unfold_norms(graph_module: fx.GraphModule) -> None:
    """Replace the batch norms that no convolution could absorb by their gain and shift, in place.

    torchao would look for patterns of quantisation-aware training around each, half a minute of it.
    """
    graph = graph_module.graph
    for node in list(graph.nodes):
        if node.target is not aten.batch_norm.default:
            continue
        weight, bias, mean, variance = (_value(graph_module, each) for each in node.args[1:5])
        gain = weight * (variance + node.args[7]).rsqrt()
        shift = bias - mean * gain
        with graph.inserting_before(node):
            product = _constant(graph_module, aten.mul.Tensor, node.args[0], gain, f"{node.name}_gain")
            total = _constant(graph_module, aten.add.Tensor, product, shift, f"{node.name}_shift")
        node.replace_all_uses_with(total)
        graph.erase_node(node)
    graph.eliminate_dead_code()
    graph_module.recompile()


def _value(graph_module: fx.GraphModule, node: fx.Node) -> Tensor:
    value: Tensor = operator.attrgetter(str(node.target))(graph_module)
    return value


def _constant(graph_module: fx.GraphModule, function: object, x: object, value: Tensor, name: str) -> fx.Node:
    """Add `function(x, value)` to the graph, `value` having one entry for each channel of an image."""
    graph_module.register_buffer(name, value.reshape(-1, 1, 1))
    constant = graph_module.graph.get_attr(name)
    return graph_module.graph.call_function(function, (x, constant))  # type: ignore[arg-type]


def _lowered(converted: fx.GraphModule, example: Tensor) -> fx.GraphModule:
    """Return the converted graph with oneDNN's integer kernels in the place of its products."""
    from torch._export.utils import _is_cia_op
    from torch._inductor.constant_folding import constant_fold
    from torch._inductor.fx_passes.freezing_patterns import freezing_passes

    table = torch.export.default_decompositions()
    for each in list(table):
        if not _is_cia_op(each):
            del table[each]
    program = torch.export.export(converted, (example,), dynamic_shapes=(_any_batch(),))
    lowered = program.run_decompositions(table).module(check_guards=False)
    assert isinstance(lowered, fx.GraphModule)
    _permute(lowered)
    freezing_passes(lowered, (example,))
    constant_fold(lowered)
    # The passes leave the example's sizes in the graph, for this check alone.
    lowered._forward_pre_hooks.clear()
    lowered._forward_pre_hooks_with_kwargs.clear()
    _drop_unused(lowered)
    return lowered


def _drop_unused(graph_module: fx.GraphModule) -> None:
    """Delete the weights in floating point, which the graph reads no more."""
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    used = {str(node.target) for node in graph_module.graph.nodes if node.op == "get_attr"}
    held = [
        name
        for tensors in (graph_module.named_parameters(), graph_module.named_buffers())
        for name, _ in tensors
    ]
    for name in set(held) - used:
        owner, _, own = name.rpartition(".")
        delattr(graph_module.get_submodule(owner), own)


def _permute(graph_module: fx.GraphModule) -> None:
    """Write transpositions as permutations, as the passes expect them."""
    graph = graph_module.graph
    for node in list(graph.nodes):
        if node.target is aten.t.default:
            with graph.inserting_before(node):
                permuted = graph.call_function(aten.permute.default, (node.args[0], [1, 0]))
            permuted.meta = dict(node.meta)
            node.replace_all_uses_with(permuted)
            graph.erase_node(node)
    graph.lint()
    graph_module.recompile()
