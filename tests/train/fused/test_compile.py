"""The kernels compile for a GPU that is not here, as Triton's compiler needs none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

SCRIPT = """
import inspect, itertools
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.language import float32
from isoflop.train.fused import kernels

TABLES = {"means", "deviations", "counts", "mean", "scale", "mean_out", "scale_out", "running_mean",
          "running_var", "weight", "bias", "sums", "products", "sum_out", "product_out"}
IMAGES = {"x", "y", "dy", "dx", "dstream", "stream"}
FLAGS = ("TRAINING", "ADDED", "RELU", "AFFINE", "TRACKED", "CHANNELS_LAST")
FIXED = {"BLOCK_ROWS": 64, "BLOCK_CHANNELS": 16, "BLOCK_SHARES": 32, "ACCUMULATOR": float32}

def compiled(kernel, images, on):
    names = kernel.arg_names
    known = {name: FIXED.get(name, on) for name in names if name in FIXED or name in FLAGS}
    kinds = {}
    for name in names:
        if name in known:
            kinds[name] = "constexpr"
        elif name in IMAGES:
            kinds[name] = "*" + images
        elif name in TABLES:
            kinds[name] = "*fp32"
        else:
            kinds[name] = "fp32" if name in ("ALPHA", "EPSILON", "MOMENTUM") else "i32"
    return triton.compile(ASTSource(kernel, kinds, known), target=GPUTarget("cuda", 90, 32))

number = 0
for name, kernel in inspect.getmembers(kernels):
    if name.endswith("_kernel"):
        for images, on in itertools.product(("bf16", "fp32"), (True, False)):
            assert len(compiled(kernel, images, on).asm["cubin"]) > 1000, name
            number += 1
print(number)
"""


@pytest.mark.slow
def test_every_kernel_compiles_for_an_h200(tmp_path) -> None:
    """In a process of its own, as this one's kernels are the interpreter's."""
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) == 4 * 6
