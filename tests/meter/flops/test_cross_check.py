"""When a count is known: what each counter measured, set by hand, and the verdict on both sides of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from isoflop.meter.flops import count as flops
from isoflop.meter.flops.count import FlopCount
from isoflop.meter.flops.dispatch import DispatchCounter


def counter_of(
    macs: float, backward_flops: float = 0, expected: float = 0, uncounted: tuple[str, ...] = ()
) -> DispatchCounter:
    """A counter of these MACs in linear layers, and of a tenth as many in attention."""
    counter = DispatchCounter()
    counter.forward_flops.update({"addmm": 2 * macs, "attention": macs / 5})
    counter.backward_flops, counter.expected_backward_flops = backward_flops, expected  # type: ignore[assignment]
    counter.elements, counter.without_formula = 700, set(uncounted)
    return counter


def checked(**changed: Any) -> FlopCount:
    """The verdict on 110 MACs an example, in a batch of 7 whose gradients cost twice the forward pass."""
    training = counter_of(7 * 100, 7 * 440, 7 * 440)
    good: dict[str, Any] = {
        "closed_form_macs": None,
        "batch_size": 7,
        "forward": counter_of(100),
        "training": training,
        "fvcore_macs": 110.0,
        "norm_activation_flops": 30.0,
    }
    return flops._cross_check(flops._Evidence(**(good | changed)))


def test_a_known_count_is_per_example() -> None:
    assert checked(notes=["draws"]) == FlopCount(
        forward_macs_per_example=110,
        train_flops_per_example=3 * 220,
        backward_flops_per_example=440,
        inference_flops_per_example=220,
        train_to_forward_ratio=3,
        expected_ratio=3,
        fvcore_forward_macs_per_example=110,
        torch_forward_macs_per_example=110,
        closed_form_macs_per_example=None,
        train_elements_per_example=100,
        norm_activation_forward_flops_per_example=30,
        batch_size=7,
        forward_macs_by_op={"addmm": 100, "attention": 10},
        uncounted_ops=(),
        counters_agree=True,
        notes=("draws",),
        reason=None,
    )


def test_an_unknown_count_keeps_its_evidence() -> None:
    result = checked(reasons=["it is random"])
    assert result.reason == "it is random"
    assert (result.forward_macs_per_example, result.train_flops_per_example) == (None, None)
    assert (result.backward_flops_per_example, result.inference_flops_per_example) == (None, None)
    assert (result.train_to_forward_ratio, result.expected_ratio) == (None, 3)
    assert result.torch_forward_macs_per_example == result.fvcore_forward_macs_per_example == 110
    assert (result.train_elements_per_example, result.counters_agree) == (100, True)


@pytest.mark.parametrize(
    ("fvcore", "agree"), [(108.91, True), (108.89, False), (111.11, True), (111.12, False)]
)
def test_counters_agree_within_one_per_cent_of_the_larger(fvcore: float, agree: bool) -> None:
    result = checked(fvcore_macs=fvcore)
    assert result.counters_agree == agree == (result.reason is None)
    if not agree:
        assert result.reason == (f"the counters disagree on the forward MACs: torch 110, fvcore {fvcore:.6g}")


@pytest.mark.parametrize(("closed", "agree"), [(108.91, True), (108.89, False), (111.12, False)])
def test_a_closed_form_is_held_against_both_counters(closed: float, agree: bool) -> None:
    result = checked(closed_form_macs=closed)
    assert (result.counters_agree, result.closed_form_macs_per_example) == (True, closed)
    assert (result.reason is None) == agree
    if not agree:
        form = f"the closed form gives {closed:.6g} forward MACs"
        assert result.reason == f"{form}, torch 110; {form}, fvcore 110"


@pytest.mark.parametrize(
    ("backward", "known"), [(1.941, True), (1.939, False), (2.061, True), (2.062, False)]
)
def test_training_costs_what_its_gradients_should_within_two_per_cent(backward: float, known: bool) -> None:
    """Expected are 3 times the forward pass: 2% of the larger are 0.06 below, and 0.0612 above."""
    result = checked(training=counter_of(700, backward * 7 * 220, 7 * 440))
    assert (result.reason is None) == known
    if not known:
        assert result.reason == f"training is {1 + backward:.3f} times the forward pass, 3.000 was expected"


@pytest.mark.parametrize("nothing", [{"forward": counter_of(0)}, {"training": counter_of(0)}])
def test_nothing_to_count_is_unknown(nothing: dict[str, DispatchCounter]) -> None:
    fvcore = {"fvcore_macs": 0.0} if "forward" in nothing else {}
    result = checked(**nothing, **fvcore)
    assert result.reason == "no convolution, linear layer or attention was found: nothing to count"
    assert (result.train_to_forward_ratio, result.expected_ratio) == (None, None)


def test_each_counter_names_what_it_left_out() -> None:
    """Both passes of torch's counter count as one; free operations are none."""
    result = checked(
        forward=counter_of(100, uncounted=("aten::fft_rfft", "aten::relu")),
        training=counter_of(700, 7 * 440, 7 * 440, uncounted=("aten::cdist",)),
        fvcore_uncounted={"aten::cdist", "aten::cov"},
    )
    assert result.uncounted_ops == ("aten::cdist", "aten::cov", "aten::fft_rfft")
    assert result.reason == (
        "torch's counter does not count aten::cdist, aten::fft_rfft; "
        "fvcore does not count aten::cdist, aten::cov"
    )


def test_a_counter_that_failed_is_no_disagreement() -> None:
    result = checked(fvcore_macs=None, reasons=["fvcore cannot trace the model"], closed_form_macs=110.0)
    assert (result.counters_agree, result.reason) == (False, "fvcore cannot trace the model")
    result = checked(forward=None, training=None, reasons=["it cannot run"])
    assert (result.reason, result.forward_macs_by_op) == ("it cannot run", {})
    assert (result.torch_forward_macs_per_example, result.train_elements_per_example) == (None, None)


def test_a_count_is_divided_into_parts_of_an_example() -> None:
    whole = checked()
    byte = whole.divided(5)
    assert (byte.forward_macs_per_example, byte.train_flops_per_example) == (22, 132)
    assert (byte.backward_flops_per_example, byte.inference_flops_per_example) == (88, 44)
    assert (byte.train_elements_per_example, byte.batch_size) == (20, 35)
    assert byte.forward_macs_by_op == {"addmm": 20, "attention": 2}
    assert (byte.train_to_forward_ratio, byte.closed_form_macs_per_example) == (3, None)
    assert whole.divided(1) == whole


# ---- how a model is run


@pytest.mark.parametrize(
    ("error", "summary"),
    [(ValueError("first\nsecond"), "ValueError: first"), (KeyError(), "KeyError: no message")],
)
def test_an_error_is_told_by_its_first_line(error: Exception, summary: str) -> None:
    assert flops._summary(error) == summary


@pytest.mark.parametrize(("shape", "batch"), [((3, 0), 2), ((3, -1), 2), ((3, 4), 0)])
def test_sizes_are_positive(shape: tuple[int, ...], batch: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size {batch} and input_shape"):
        flops.count(nn.Linear(4, 3), shape, batch_size=batch)


def test_the_input_has_the_type_of_the_first_floating_point_parameter() -> None:
    assert flops.floating_dtype(nn.Linear(4, 3).half()) == torch.float16
    assert flops.floating_dtype(nn.ReLU()) == torch.float32
    tokens = nn.ParameterList(
        [
            nn.Parameter(torch.zeros(1, dtype=torch.int64), requires_grad=False),
            nn.Parameter(torch.zeros(1).double()),
        ]
    )
    assert flops.floating_dtype(tokens) == torch.float64


class Seen(nn.Linear):
    """A linear layer that notes the mode and the sizes in which it is called."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        SEEN.append((self.training, tuple(map(int, x.shape)), torch.is_grad_enabled()))
        return super().forward(x)


SEEN: list[tuple[bool, tuple[int, ...], bool]] = []


def test_inference_is_counted_on_one_example_in_eval_mode_and_training_on_a_batch() -> None:
    SEEN.clear()
    result = flops.count(Seen(8, 3), (8,), batch_size=5)
    assert set(SEEN) == {(False, (1, 8), False), (True, (5, 8), True)}
    assert (result.batch_size, result.forward_macs_per_example) == (5, 24)
    assert result.train_flops_per_example == 2 * 2 * 24
    assert flops.count(nn.Linear(8, 3), (8,)).batch_size == 2


class Odd(nn.Module):
    """A model whose forward pass is this function of its layer's output."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(8, 3), function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.layer(x))


def test_a_model_that_reads_its_values_is_told_so_once() -> None:
    reason = str(flops.count(Odd(lambda y: y if y.sum() > 0 else -y), (8,)).reason)
    assert reason.startswith("torch's counter cannot run the model (")
    assert reason.endswith(
        "): the model reads the value of an input, weight or result, but is counted without data; "
        "let shapes and constants alone decide what it computes"
    )


def test_a_model_that_fails_has_its_own_message() -> None:
    def fail(y: torch.Tensor) -> Any:
        raise ValueError("mine")

    result = flops.count(Odd(fail), (8,))
    assert result.reason == (
        "torch's counter cannot run the model (ValueError: mine); "
        "fvcore cannot trace the model (ValueError: mine)"
    )
    assert result.torch_forward_macs_per_example is None


def test_a_model_that_is_traced_on_values_alone_is_traced_in_main_memory() -> None:
    """A draw of its own is data, in both counters."""
    result = flops.count(Odd(lambda y: y * float(torch.rand(()) < 2)), (8,))
    assert result.reason is None
    assert result.forward_macs_per_example == result.fvcore_forward_macs_per_example == 24
    assert result.notes == (
        "inference draws from torch's generator: 32 seeds cost the same",
        "training draws from torch's generator: 32 seeds cost the same",
    )
