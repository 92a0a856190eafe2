"""Records of timings with a known serial fraction and communication term."""

from __future__ import annotations

import numpy as np

from isoflop.record import Provenance
from isoflop.record.parallel import PARALLEL_SCHEMA, ParallelRecord, Scaling, SplitTiming

SERIAL, SHARED = 0.02, 0.98
"""s and p: seconds of a step that are serial and shared, 1 on one worker."""
FIXED, PER_WORKER = 0.004, 0.001
"""a and b of communication."""
STEPS = 10


def record(
    workers: int,
    scaling: Scaling = "strong",
    *,
    repeats: int = 7,
    noise: float = 0.01,
    communicates: bool = True,
    rng: np.random.Generator,
) -> ParallelRecord:
    """Return a record of T(N) = s + p/N + a + bN, or of s + p + a + bN of weak scaling, with noise."""
    communication = FIXED + PER_WORKER * workers if workers > 1 and communicates else 0.0
    compute = SERIAL + SHARED / (workers if scaling == "strong" else 1)

    def noisy(seconds: float) -> float:
        return seconds * STEPS * float(np.exp(noise * rng.standard_normal()))

    split = []
    for _ in range(repeats):
        parts = noisy(compute), noisy(communication), 0.0
        split.append(SplitTiming(sum(parts), *parts))
    return ParallelRecord(
        schema=PARALLEL_SCHEMA,
        group_id="0123456789ab",
        payload="matmul",
        scaling=scaling,
        workers=workers,
        nodes=1,
        backend="gloo" if workers > 1 else "none",
        size="64 x 64",
        settings={"rows": 64},
        steps=STEPS,
        flops_per_step=1e9 * (workers if scaling == "weak" else 1),
        flops_per_step_reason=None,
        exchanges_per_step=2.0 if workers > 1 else 0.0,
        exchanged_bytes_per_step=4096.0 if workers > 1 else 0.0,
        wall_seconds=tuple(noisy(compute + communication) for _ in range(repeats)),
        split=tuple(split),
        barrier_seconds=1e-4 if workers > 1 else None,
        barrier_seconds_reason=None if workers > 1 else "one worker waits for nobody",
        residual=1e-7,
        residual_reason=None,
        peak=None,
        peak_reason="simulated",
        energy=None,
        energy_reason="simulated",
        provenance=PROVENANCE,
    )


def records(
    *workers: int, seed: int = 0, weak: bool = True, communicates: bool = True, noise: float = 0.01
) -> tuple[ParallelRecord, ...]:
    """Return records of strong scaling, and of weak scaling from two workers on."""
    rng = np.random.default_rng(seed)
    strong = [record(n, rng=rng, communicates=communicates, noise=noise) for n in workers]
    scaled = workers[1:] if weak else ()
    return (*strong, *(record(n, "weak", rng=rng, communicates=communicates, noise=noise) for n in scaled))


PROVENANCE = Provenance(
    isoflop_version="0",
    git_commit=None,
    git_commit_reason="simulated",
    dirty=None,
    dirty_reason="simulated",
    command="simulated",
    versions={},
    host="host",
    cpu="simulated processor",
    device="simulated processor",
    precision="fp32",
    threads=1,
    deterministic=False,
    started_at="2026-11-27T00:00:00+00:00",
    gpu=None,
    gpu_reason="simulated",
    slurm=None,
    slurm_reason="not run under SLURM",
)
