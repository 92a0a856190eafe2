"""A language sweep beside the paper's language benchmarks: exponents of what are not the same quantities.

The paper regresses the metrics of published models (1 - F1, 1 - BLEU) on their hardware burden. Here bits a
byte of models trained alike fall with counted training FLOPs. The exponents stand side by side, and neither
judges the other.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from isoflop.curve.language.answers import BITS, COMPUTE, language_answers
from isoflop.curve.language.law import text_rows
from isoflop.curve.result import Estimate, Excluded, LackOfFit
from isoflop.paper import facts, regression
from isoflop.paper.bending import bending
from isoflop.paper.published import estimate

BENCHMARKS = ("SQuAD 1.1", "CoNLL 2003", "WMT14 En-Fr")
"""The paper's benchmarks of language; names as in facts.HARDWARE_ALPHA."""
METRICS = {
    "SQuAD 1.1": "question answering, 1 - F1",
    "CoNLL 2003": "named entities, 1 - F1",
    "WMT14 En-Fr": "translation, 1 - BLEU",
}
LEAST_CONFIGS = 4
LEAST_RATIO = 2.0
"""Of the most compute to the least: below it there is no exponent to speak of."""


@dataclasses.dataclass(frozen=True)
class BenchmarkAlpha:
    """The paper's alpha of one benchmark over hardware burden; `metric` is what falls."""

    name: str
    metric: str
    alpha: float


@dataclasses.dataclass(frozen=True)
class LanguageResult:
    """What a sweep over text has beside the paper's language benchmarks.

    Attributes:
        source, data, device: the sweep, its text and its devices.
        runs, configs: number of runs and configurations.
        least_gflops, most_gflops: the range of training compute of a run.
        exponent: b of bits a byte ~ C^-b over all runs, as the paper fits it.
        alpha: 1 / b.
        best_exponent: b along the best split of compute by the joint law; None with `best_reason`.
        benchmarks: the paper's.
        excluded: runs that are left out.
        lack_of_fit: of the line over all runs; None where it cannot be tested.
    """

    source: str
    data: str
    device: str
    runs: int
    configs: int
    least_gflops: float
    most_gflops: float
    exponent: Estimate
    alpha: Estimate
    best_exponent: Estimate | None
    best_reason: str | None
    benchmarks: tuple[BenchmarkAlpha, ...]
    excluded: tuple[Excluded, ...]
    resamples: int
    seed: int
    lack_of_fit: LackOfFit | None = None


def analyse(rows: pd.DataFrame, *, source: str, resamples: int = 2000, seed: int = 0) -> LanguageResult:
    """Fit the exponent of bits a byte in training compute; resamples draw configurations with their seeds.

    Raises:
        ValueError: fewer than LEAST_CONFIGS configurations of text, or equal compute in all.
    """
    text = text_rows(rows)
    known = text[(text[[COMPUTE, BITS]] > 0).all(axis=1)] if len(text) else text
    configs = known["config_id"].nunique()
    if configs < LEAST_CONFIGS or known[COMPUTE].max() < LEAST_RATIO * known[COMPUTE].min():
        raise ValueError(
            f"{source}: {configs} configurations of text with bits a byte and training compute. An exponent "
            f"needs {LEAST_CONFIGS} and compute that varies: run isoflop sweep sweep=isoflop_lm"
        )
    log_c, log_bits = (np.log(known[name].to_numpy(float)) for name in (COMPUTE, BITS))
    weights = regression.cluster_weights(list(known["config_id"]), resamples, np.random.default_rng(seed))
    lines = regression.least_squares(log_c, log_bits, weights)
    answers = language_answers(rows)
    assert answers is not None
    split = answers.sizes[0].split
    left_out = text[~text["run_id"].isin(known["run_id"])]
    return LanguageResult(
        source=source,
        data=", ".join(sorted(set(known["data"].astype(str)))),
        device=", ".join(sorted({str(device) for device in known["device"]})),
        runs=len(known),
        configs=configs,
        least_gflops=float(known[COMPUTE].min()),
        most_gflops=float(known[COMPUTE].max()),
        exponent=estimate("b", -lines.slope, configs),
        alpha=estimate("alpha", regression.inverse(-lines.slope), configs),
        best_exponent=None if split is None else split.bits_exponent,
        best_reason=answers.sizes[0].split_reason,
        benchmarks=tuple(
            BenchmarkAlpha(name, METRICS[name], facts.HARDWARE_ALPHA[name]) for name in BENCHMARKS
        ),
        excluded=tuple(
            Excluded(str(run_id), "no bits a byte or no training compute") for run_id in left_out["run_id"]
        ),
        resamples=resamples,
        seed=seed,
        lack_of_fit=bending(log_c, log_bits, list(known["config_id"]), lines, per_group=True),
    )
