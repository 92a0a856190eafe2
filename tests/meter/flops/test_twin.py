"""What counting leaves behind, and what a twin's tensors hold."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from isoflop.meter.flops import twin


class Failed(Exception):
    """A model's own error."""


@pytest.mark.parametrize("fails", [False, True])
def test_counting_leaves_every_generator_and_setting_as_it_was(fails: bool) -> None:
    legacy: Any = np.random
    before = random.getstate(), legacy.get_state(), torch.get_rng_state()
    fused, planner = torch.backends.mha.get_fastpath_enabled(), torch.backends.opt_einsum.enabled
    try:
        with torch.inference_mode(), twin.isolated_torch_state():
            assert not torch.is_inference_mode_enabled()
            assert not torch.backends.mha.get_fastpath_enabled()
            assert not torch.is_autocast_enabled("cpu")
            assert not torch.backends.opt_einsum.enabled
            random.random(), legacy.rand(3), torch.rand(3)
            if fails:
                raise Failed
    except Failed:
        pass
    assert random.getstate() == before[0]
    after = legacy.get_state()
    assert (after[2], after[1].tolist()) == (before[1][2], before[1][1].tolist())
    assert torch.equal(torch.get_rng_state(), before[2])
    assert torch.backends.mha.get_fastpath_enabled() is fused
    assert torch.backends.opt_einsum.enabled == planner


def test_a_copy_in_main_memory_has_the_values_or_zeros_where_there_are_none() -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    copied = twin.to_cpu(values)
    assert torch.equal(copied, values)
    copied[0, 0] = 7
    assert values[0, 0] == 1, "a copy"
    dataless = twin.to_cpu(twin.to_meta(values.half()))
    assert (dataless.device.type, dataless.dtype) == ("cpu", torch.float16)
    assert torch.equal(dataless, torch.zeros(2, 2, dtype=torch.float16))
