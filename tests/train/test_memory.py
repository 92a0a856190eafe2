"""A step's memory is not asked of the system anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

COUNT = """
import resource, torch
from isoflop.train import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**24).add(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults(), memory.keep_freed(), faults() and faults())
"""


def test_blocks_of_64_mb_cost_no_page_faults_once_they_are_kept() -> None:
    said = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True).stdout
    without, could, kept = said.split()
    if could != "True":
        pytest.skip("this C library has no mallopt")
    assert int(kept) < 0.01 * int(without), said
