"""FLOPs: published and hand-counted MACs, what the two counters get wrong, and leaving no trace."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import random
import runpy
import sys
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from isoflop.meter.flops import count as flops
from isoflop.meter.flops import free, handles
from isoflop.meter.flops.count import FlopCount, count


class Function(nn.Module):
    """A model written as a function of its input and its layers."""

    def __init__(self, function: Callable[..., Any], *layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x, *self.layers)


def torchvision_count(name: str, size: int = 224, **options: bool) -> FlopCount:
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(weights=None, **options)
    return count(model, (3, size, size))


def known(counted: FlopCount) -> FlopCount:
    assert counted.reason is None, counted.reason
    assert counted.counters_agree
    assert counted.uncounted_ops == ()
    assert counted.train_to_forward_ratio == pytest.approx(counted.expected_ratio, rel=0.02)
    assert counted.inference_flops_per_example == 2 * counted.forward_macs_per_example
    assert counted.backward_flops_per_example == pytest.approx(
        counted.train_flops_per_example * (1 - 1 / counted.train_to_forward_ratio)
    )
    return counted


def unknown(counted: FlopCount) -> str:
    assert counted.forward_macs_per_example is None
    assert counted.train_flops_per_example is None
    assert counted.backward_flops_per_example is None
    assert counted.inference_flops_per_example is None
    assert counted.train_to_forward_ratio is None
    assert counted.reason is not None
    return counted.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "forward_gmacs", "ratio"),
    [
        ("resnet50", 4.089, 2.97),
        ("vit_b_16", 17.564, 2.99),
        ("mobilenet_v2", 0.301, 2.96),
        ("convnext_tiny", 4.456, 3.00),
        ("resnext50_32x4d", 4.230, 2.97),
    ],
)
def test_golden_macs_and_ratios_to_the_printed_digits(name: str, forward_gmacs: float, ratio: float) -> None:
    counted = known(torchvision_count(name))
    assert round(counted.forward_macs_per_example * 1e-9, 3) == forward_gmacs
    assert round(counted.fvcore_forward_macs_per_example * 1e-9, 3) == forward_gmacs
    assert round(counted.train_to_forward_ratio, 2) == ratio
    assert sum(counted.forward_macs_by_op.values()) == counted.forward_macs_per_example
    if name == "vit_b_16":
        blocks, heads, tokens, head_width = 12, 12, 197, 64
        attention_macs = blocks * heads * tokens * tokens * head_width * 2
        assert counted.forward_macs_by_op["attention"] == attention_macs
    else:
        assert "attention" not in counted.forward_macs_by_op
    assert "bmm" not in counted.forward_macs_by_op


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t"])
def test_other_torchvision_families_are_known(name: str) -> None:
    known(torchvision_count(name, size=64))


@pytest.mark.slow
def test_auxiliary_heads_count_in_training_and_not_in_inference() -> None:
    with_heads = known(torchvision_count("googlenet", init_weights=False))
    without = known(torchvision_count("googlenet", init_weights=False, aux_logits=False))
    first, second = ((channels * 128) * 4 * 4 + 2048 * 1024 + 1024 * 1000 for channels in (512, 528))
    assert with_heads.forward_macs_per_example == without.forward_macs_per_example
    extra_flops = with_heads.train_flops_per_example - without.train_flops_per_example
    assert extra_flops == 2 * 3 * (first + second)


def test_mlp_by_hand() -> None:
    inputs, hidden, outputs = 784, 50, 10
    model = nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    counted = known(count(model, (1, 28, 28)))
    first, second = inputs * hidden, hidden * outputs
    assert counted.forward_macs_per_example == first + second
    assert counted.train_flops_per_example == 2 * (2 * first + 3 * second)
    assert counted.train_to_forward_ratio == pytest.approx(3 - first / (first + second))


def test_single_linear_layer_trains_at_exactly_twice_its_forward() -> None:
    assert known(count(nn.Linear(5, 3), (5,))).train_to_forward_ratio == 2.0


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_grouped_convolution_backward_costs_two_forwards_whatever_the_groups(groups: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 16, 3, groups=groups, dilation=2, bias=False))
    counted = known(count(model, (3, 9, 9)))
    first, second = 9 * 9 * 3 * 8, 5 * 5 * 16 * (8 // groups) * 9
    assert counted.forward_macs_per_example == first + second
    assert counted.train_flops_per_example == 2 * (2 * first + 3 * second)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_transposed_convolution_by_hand(groups: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 8, 3, stride=2, groups=groups))
    counted = known(count(model, (3, 7, 7)))
    first, second = 5 * 5 * 3 * 4 * 9, 5 * 5 * 4 * (8 // groups) * 9
    assert counted.forward_macs_per_example == first + second
    assert counted.train_flops_per_example == 2 * (2 * first + 3 * second)


@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_padding_given_as_a_string_is_counted(padding: str | int) -> None:
    counted = known(count(nn.Conv2d(4, 6, 3, padding=padding), (4, 8, 8)))
    side = 6 if padding == "valid" else 8
    assert counted.forward_macs_per_example == side * side * 4 * 6 * 9


@pytest.mark.parametrize("need_weights", [True, False])
def test_multihead_attention_by_hand(need_weights: bool) -> None:
    tokens, width = 6, 16
    attention = nn.MultiheadAttention(width, 4, batch_first=True)
    model = Function(lambda x, a: a(x, x, x, need_weights=need_weights)[0], attention)
    counted = known(count(model, (tokens, width)))
    assert counted.forward_macs_by_op["attention"] == 2 * tokens * tokens * width
    assert counted.forward_macs_per_example == 4 * tokens * width**2 + 2 * tokens * tokens * width


@pytest.mark.parametrize("frozen", [False, True])
def test_encoder_is_counted_despite_its_fused_path(frozen: bool) -> None:
    tokens, width, hidden = 6, 16, 32
    layer = nn.TransformerEncoderLayer(width, 4, hidden, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval().requires_grad_(not frozen)
    counted = known(count(model, (tokens, width)))
    one = 4 * tokens * width**2 + 2 * tokens * tokens * width + 2 * tokens * width * hidden
    assert counted.forward_macs_per_example == 2 * one
    assert (counted.train_to_forward_ratio == 1.0) == frozen
    assert torch.backends.mha.get_fastpath_enabled()


def test_fused_attention_backward_is_twice_the_forward_without_recomputation() -> None:
    query = torch.zeros(2, 3, 8, 4, requires_grad=True)
    with FlopCounterMode(display=False, custom_mapping=handles.TORCH_CORRECTIONS) as counter:
        F.scaled_dot_product_attention(query, query, query).sum().backward()
    named = {str(op): flop_count for op, flop_count in counter.get_flop_counts()["Global"].items()}
    assert any("flash" in name for name in named)
    assert counter.get_total_flops() == 3 * (2 * 2 * 3 * 8 * 8 * (4 + 4))


@pytest.mark.parametrize(
    ("frozen", "expected"), [((), 8 / 3), ((0,), 2.0), ((1,), 7 / 3), ((0, 1), 4 / 3), ((0, 1, 2), 1.0)]
)
def test_frozen_layers_train_for_less(frozen: tuple[int, ...], expected: float) -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))
    for index in frozen:
        model[index].requires_grad_(False)
    assert known(count(model, (8,))).train_to_forward_ratio == pytest.approx(expected)


@pytest.mark.parametrize(
    "equation",
    [
        *(
            "bij,bjk->bik",
            "bij,bkj->bik",
            "bij,bjk",
            "bij,bjk->bk",
            "bij, bij -> bi",
            "bij,bij->b",
            "bij,bjk->ijk",
        ),
        *(
            "bij,bkl->bijkl",
            "bij,bij->bij",
            "...ij,...jk->...ik",
            "...i,...i->...",
            "bij,bjk,bkl->bil",
            "bij->b",
        ),
    ],
)
def test_einsum_costs_what_torch_really_multiplies(equation: str) -> None:
    operands = [torch.zeros(5, 6, 6, device="meta") for _ in equation.partition("->")[0].split(",")]
    with FlopCounterMode(display=False) as counter:
        torch.einsum(equation, *operands)
    assert 2 * handles.einsum_macs(equation, [o.shape for o in operands]) == counter.get_total_flops()


def test_einsum_and_bmm_models_are_known() -> None:
    model = Function(lambda x, a: torch.bmm(torch.einsum("bij,bkj->bik", a(x), x), x), nn.Linear(6, 6))
    counted = known(count(model, (4, 6)))
    assert counted.forward_macs_per_example == 4 * 6 * 6 + 2 * 4 * 4 * 6


def test_checkpointing_is_left_out_of_model_flops() -> None:
    layers = [nn.Linear(8, 8) for _ in range(3)]
    plain = Function(lambda x, a, b, c: c(b(a(x))), *layers)
    saving = Function(lambda x, a, b, c: c(checkpoint(b, a(x), use_reentrant=False)), *layers)
    assert known(count(saving, (8,))) == known(count(plain, (8,)))


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (
            Function(lambda x, a: torch.fft.fft(a(x)).abs(), nn.Linear(8, 8)),
            ("aten::fft_fft", "aten::_fft_r2c"),
        ),
        (
            Function(lambda x, a: torch.cdist(a(x), x), nn.Linear(8, 8)),
            ("aten::cdist", "aten::_cdist_forward"),
        ),
        (
            Function(lambda x, a, b: a(b(x, x)), nn.Linear(8, 8), nn.Bilinear(8, 8, 8)),
            ("aten::bilinear", "aten::_trilinear"),
        ),
    ],
    ids=["fft", "cdist", "bilinear"],
)
def test_operation_without_formula_makes_the_work_unknown_and_is_named(
    model: nn.Module, named: tuple[str, ...]
) -> None:
    counted = count(model, (6, 8))
    reason = unknown(counted)
    for name in named:
        assert name in counted.uncounted_ops
        assert name in reason


@pytest.mark.parametrize(
    "name",
    [
        *("aten::mm", "aten::baddbmm", "aten::convolution", "aten::linear", "aten::einsum", "aten::addbmm"),
        *("aten::scaled_dot_product_attention", "aten::_native_multi_head_attention", "aten::addr"),
        *("aten::_transformer_encoder_layer_fwd", "aten::_thnn_fused_lstm_cell", "aten::embedding_bag"),
        *("aten::_trilinear", "aten::cov"),
        *("aten::linalg_solve", "aten::inner", "torchvision::deform_conv2d", "prim::PythonOp.MyFunction"),
    ],
)
def test_no_product_counts_as_free(name: str) -> None:
    assert not free.is_free(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "aten::add_",
            "aten::relu_",
            "aten::gelu_backward",
            "aten::_softmax",
            "aten::_softmax_backward_data",
        ),
        *(
            "aten::view",
            "aten::unsqueeze_",
            "aten::select_backward",
            "aten::native_dropout",
            "prim::Constant",
        ),
        *("aten::native_batch_norm_backward", "aten::max_pool2d_with_indices_backward", "aten::__and__"),
    ],
)
def test_elementwise_shape_normalisation_and_pooling_are_free(name: str) -> None:
    assert free.is_free(name)


def test_disagreement_is_reported_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = "aten::scaled_dot_product_attention"
    monkeypatch.setitem(handles.FVCORE_HANDLES, attention, lambda inputs, outputs: 0)
    model = Function(lambda x, a: a(F.scaled_dot_product_attention(x, x, x)), nn.Linear(16, 16))
    counted = count(model, (6, 16))
    assert not counted.counters_agree
    assert "torch 2688, fvcore 1536" in unknown(counted)


def test_without_its_handle_attention_makes_the_work_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = "aten::scaled_dot_product_attention"
    monkeypatch.delitem(handles.FVCORE_HANDLES, attention)
    model = Function(lambda x, a: a(F.scaled_dot_product_attention(x, x, x)), nn.Linear(16, 16))
    assert f"fvcore does not count {attention}" in unknown(count(model, (6, 16)))


def test_backward_that_misses_a_branch_is_reported() -> None:
    model = Function(lambda x, a, b: (a(x), b(a(x)).detach()), nn.Linear(8, 8), nn.Linear(8, 8))
    assert "training is 1.333 times the forward pass, 2.333 was expected" in unknown(count(model, (8,)))


def test_uncorrected_torch_formula_would_fail_the_ratio_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(handles.TORCH_CORRECTIONS, torch.ops.aten.convolution_backward)
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8))
    assert "was expected" in unknown(count(model, (3, 9, 9)))


def test_a_model_that_cannot_run_or_has_nothing_to_count_is_unknown() -> None:
    assert "shapes cannot be multiplied" in unknown(count(nn.Linear(3, 4), (8,)))
    assert "nothing to count" in unknown(count(nn.ReLU(), (8,)))


def test_tokens_are_counted_when_the_input_type_is_given() -> None:
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11))
    macs = 6 * 8 * 11
    assert known(count(model, (6,), input_dtype=torch.int64)).forward_macs_per_example == macs
    # Some versions of torch let an embedding without data take floats: then the figure must be right.
    as_floats = count(model, (6,))
    assert as_floats.reason or as_floats.forward_macs_per_example == macs


@pytest.mark.parametrize("sizes", [((3, 0, 8), 2), ((3, 8, 8), 0)])
def test_sizes_must_be_positive(sizes: tuple[tuple[int, ...], int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        count(nn.Conv2d(3, 4, 3), sizes[0], batch_size=sizes[1])


@pytest.mark.slow
def test_count_depends_on_neither_batch_nor_mode_nor_device_nor_precision() -> None:
    def model() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Flatten(), nn.Linear(288, 5)
        )

    plain = known(count(model(), (3, 8, 8)))
    larger = count(model().eval(), (3, 8, 8), batch_size=7)
    moved = {name: getattr(plain, name) for name in ("batch_size", "train_elements_per_example")}
    assert dataclasses.replace(larger, **moved) == plain
    assert larger.train_elements_per_example < plain.train_elements_per_example
    assert count(model().to("meta"), (3, 8, 8)) == plain
    # What a normalisation moves depends on its type and on the version of torch.
    half = count(model().bfloat16().to(memory_format=torch.channels_last), (3, 8, 8))
    same: dict[str, Any] = {"train_elements_per_example": plain.train_elements_per_example}
    assert dataclasses.replace(half, **same) == plain
    with torch.autocast("cpu"), torch.inference_mode():
        assert count(model(), (3, 8, 8)) == plain


def train(counting: bool, kind: str) -> tuple[list[torch.Tensor], list[Any]]:
    """Four steps of a small net with batch norm and dropout, counting between them or not."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    tail = [nn.Flatten(), nn.Linear(16 * 8, 5)]
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Flatten(2), nn.Linear(36, 8), attention, *tail
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    stepped = model
    if kind == "compiled":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch 2.11 warns of its own use of torch.jit
            stepped = cast(nn.Sequential, torch.compile(model, backend="aot_eager"))
            stepped(torch.zeros(8, 3, 8, 8)).sum().backward()
    for _ in range(4):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"):
            loss = F.cross_entropy(stepped(torch.randn(8, 3, 8, 8)), torch.randint(5, (8,)))
            if counting:
                known(count(stepped, (3, 8, 8)))
        loss.backward()
        if counting:
            known(count(stepped, (3, 8, 8)))
        optimizer.step()
    gradients = [p.grad for p in model.parameters()]
    state = [*model.state_dict().values(), *gradients, loss.detach(), torch.random.get_rng_state()]
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    return state, [random.getstate(), numpy_state[1].tolist(), numpy_state[2], model.training]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["eager", "autocast", "compiled"])
def test_training_with_and_without_counting_is_bit_identical(kind: str) -> None:
    (tensors, others), (counted_tensors, counted_others) = train(False, kind), train(True, kind)
    assert others == counted_others
    for plain, counted in zip(tensors, counted_tensors, strict=True):
        assert torch.equal(plain, counted)


def test_hooks_modes_and_switches_of_the_model_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[1].eval()
    calls: list[int] = []
    model[0].register_forward_hook(lambda *_: calls.append(1))
    model[0].get_parameter("weight").register_hook(lambda gradient: calls.append(2))
    before = copy.deepcopy(model.state_dict())
    modules = {name: (module.training, dict(vars(module))) for name, module in model.named_modules()}
    known(count(model, (4,)))
    assert calls == []
    assert modules == {name: (module.training, dict(vars(module))) for name, module in model.named_modules()}
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert len(model[0]._forward_hooks) == 1
    assert torch.is_grad_enabled()
    model(torch.zeros(3, 4)).sum().backward()
    assert calls == [1, 2]


def test_hooks_that_compute_weights_are_kept_on_the_twin() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 8)), nn.Linear(8, 8))
    new = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), nn.Linear(8, 8))
    assert known(count(old, (8,))).train_to_forward_ratio == 2.5
    assert known(count(new, (8,))).train_to_forward_ratio == 2.5


@pytest.mark.slow
def test_a_compiled_model_counts_as_what_it_wraps() -> None:
    model = nn.Linear(8, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.11 warns of its own use of torch.jit
        compiled = cast(nn.Module, torch.compile(model))
    assert count(compiled, (8,)) == known(count(model, (8,)))


@pytest.mark.slow
def test_a_model_with_a_compiled_part_counts_as_what_it_wraps() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    plain = known(count(model, (8,)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model[1] = cast(nn.Module, torch.compile(model[1]))
    assert count(model, (8,)) == plain


def test_a_closed_form_is_cross_checked() -> None:
    model = nn.Linear(8, 4)
    assert known(count(model, (8,), closed_form_macs=32)).closed_form_macs_per_example == 32
    other = count(model, (8,), closed_form_macs=33)
    assert other.counters_agree
    assert "the closed form gives 33 forward MACs, torch 32" in unknown(other)


def test_elements_moved_by_a_linear_layer_by_hand() -> None:
    batch, inputs, outputs = 5, 7, 3
    read_and_written = batch * inputs + inputs * outputs + batch * outputs
    forward = read_and_written + outputs  # the bias
    backward = read_and_written + (batch * outputs + outputs)  # weight, and bias by a sum
    counted = known(count(nn.Linear(inputs, outputs), (inputs,), batch_size=batch))
    assert counted.train_elements_per_example == (forward + backward) / batch


def test_views_move_nothing_and_expanded_tensors_are_stored_once() -> None:
    def elements(function: Callable[..., Any]) -> float:
        return count(Function(function, nn.Linear(4, 4)), (4, 4), batch_size=1).train_elements_per_example

    plain = elements(lambda x, a: a(x))
    assert elements(lambda x, a: a(x.transpose(1, 2).transpose(1, 2)).unsqueeze(0).flatten(0, 1)) == plain
    one_row = elements(lambda x, a: a(x) + x.new_zeros(1).expand(4, 4))
    assert one_row == plain + (16 + 1 + 16) + 1  # the sum, and the zero that was written


def test_any_structure_of_outputs_is_accepted() -> None:
    model = Function(
        lambda x, a, b: {"logits": a(x), "more": [b(x), 3, None]}, nn.Linear(8, 2), nn.Linear(8, 6)
    )
    assert known(count(model, (8,))).forward_macs_per_example == 8 * 2 + 8 * 6


def test_fvcore_is_not_needed_to_import_and_its_absence_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "fvcore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fvcore", None)
    fresh = runpy.run_path(flops.__file__, run_name="isoflop_meter_flops_without_fvcore")
    counted = fresh["count"](nn.Linear(8, 4), (8,))
    assert not counted.counters_agree
    assert "the second counter needs fvcore, which is not installed" in unknown(counted)
    assert counted.torch_forward_macs_per_example == 32


def test_nothing_is_logged_or_printed(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for model, shape in itertools.product(
        [nn.LSTM(8, 4), nn.Bilinear(8, 8, 4), nn.Linear(8, 8)], [(8,), (4, 8)]
    ):
        count(model, shape)
    assert caplog.records == []
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
