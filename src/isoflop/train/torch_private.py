"""The names of torch that are not documented and that this package calls, each with what it is worth.

A name stands here only if the smallest step would take at least 2% longer without it: mlp of width 8 and
depth 1 on digits, batch 32 for AdamW and 128 for SGD, one CPU thread. The ratios below are medians, with
quartiles, of n = 25 turns of 200 steps with and without the name, timed as benchmarks/bench_loop_parts.py
does (torch 2.15.0, 2 shared cores). Another release of torch may change these names without notice;
tests/train/test_torch_private.py then fails.
"""

from __future__ import annotations

import torch

fused_adamw = torch._fused_adamw_
"""AdamW's update of a list of parameters in one kernel. With AdamW.step() in its place the
whole training step takes 1.58 times as long (1.39 to 1.82)."""

fused_sgd = torch._fused_sgd_
"""SGD's update of a list of parameters in one kernel. With SGD.step() in its place the whole
training step takes 1.37 times as long (1.25 to 1.51)."""

foreach_norm = torch._foreach_norm
"""The norm of each tensor of a list. With torch.nn.utils.clip_grad_norm_ in the place of this and the next, a
whole training step that clips takes 1.26 times as long (1.18 to 1.30)."""

foreach_div = torch._foreach_div_
"""All tensors of a list divided by a scalar on the device, in place."""
