"""The names of torch that are not documented and that this package calls, each with what it is worth.

A name stands here only if the smallest step would take at least 2% longer without it: mlp of width 8 and
depth 1 on digits, batch 32, one CPU thread, as measured by scripts/bench_loop_parts.py. Another release of torch
may change them without notice; tests/train/test_torch_private.py then fails.
"""

from __future__ import annotations

import torch

fused_adamw = torch._fused_adamw_
"""AdamW's update of a list of parameters in one kernel. The step without it, by AdamW.step(), takes
WORTH_ADAMW times as long."""

fused_sgd = torch._fused_sgd_
"""SGD's update of a list of parameters in one kernel. The step without it, by SGD.step(), takes WORTH_SGD times
as long."""
