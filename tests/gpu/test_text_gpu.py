"""Text on a GPU: the same batches as on a CPU, and no wait for the device between them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from isoflop.config import Config
from isoflop.train.data.text import load_text, text_batches

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU"),
]


def test_a_gpu_reads_what_a_cpu_reads_and_does_not_wait(
    make_config: Callable[..., Config], tmp_path: Path, no_waiting: Callable[[], None]
) -> None:
    for number in range(40):
        letters = np.random.default_rng(number).integers(1, 256, 1000).astype(np.uint8)
        (tmp_path / f"{number:02}").write_bytes(letters.tobytes())
    overrides = ("model=gpt", "model.head_width=8", "optim.batch_size=4096", "data=text")
    settings = make_config(*overrides, f"data.path={tmp_path}").data
    on_cpu, on_gpu = (load_text(settings, 16, torch.device(name)) for name in ("cpu", "cuda"))
    wanted = list(islice(text_batches(on_cpu, 160, 3), 600))
    next(text_batches(on_gpu, 160, 3))  # CUDA itself starts
    no_waiting()
    read = list(islice(text_batches(on_gpu, 160, 3), 600))
    torch.cuda.set_sync_debug_mode("default")
    for (a, b), (c, d) in zip(wanted, read, strict=True):
        assert torch.equal(a, c.cpu())
        assert torch.equal(b, d.cpu())
