"""Predict simulated sweeps with simple-scaling-laws, for bench_rivals.py: JSON on stdin, JSON on stdout.

Runs under an interpreter of its own (Python 3.12 or later), which has that package and not isoflop.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any


def predict(sweep: dict[str, list[float]], at: list[float], law: str, draws: int) -> dict[str, Any]:
    """Return median and 95% interval of the mean curve at each x of `at`, or the reason why there is none."""
    import polars
    from simple_scaling_laws import fit

    frame = polars.DataFrame(
        {
            "training_run_id": [f"run{i}" for i in range(len(sweep["x"]))],
            "model_size__flops": sweep["x"],
            "test_loss__error": sweep["y"],
        }
    )
    began = time.process_time()
    try:
        model = fit(frame, law=law, n_draws=draws, seed=0)
        quantiles = model.predict({"model_size__flops": at})
    except (ValueError, ArithmeticError) as error:
        return {"reason": str(error)}
    low, middle, high = (
        quantiles[f"test_loss__error__{part}"].to_list() for part in ("q025", "median", "q975")
    )
    return {"low": low, "middle": middle, "high": high, "seconds": time.process_time() - began}


def main() -> None:
    """Answer one request: {sweeps, at, laws, draws} -> {law: [prediction of each sweep]}."""
    warnings.simplefilter("ignore")
    request = json.load(sys.stdin)
    answer = {
        law: [predict(sweep, request["at"], law, request["draws"]) for sweep in request["sweeps"]]
        for law in request["laws"]
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
