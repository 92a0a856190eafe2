#!/usr/bin/env python3
"""Optuna chooses the learning rate and the weight decay; each trial is one `isoflop run`, with its record.

usage: python examples/optuna_study.py [TRIALS] [OVERRIDES...]    (needs pip install 'isoflop[train,optuna]')

The study lies in results/optuna/study.db: the same command again goes on with it. A trial that diverges is
a failed trial; one that was run before is read from its record.
"""

import subprocess
import sys
from pathlib import Path

import optuna

from isoflop import record
from isoflop.config.compose import compose_config

TRIALS, FIXED = int(sys.argv[1]) if sys.argv[1:] else 20, ["out=results/optuna", *sys.argv[2:]]


def val_error(trial: optuna.Trial) -> float:
    """Train one run and return the validation error of its record."""
    lr = trial.suggest_float("optim.lr", 1e-4, 1e-1, log=True)
    decay = trial.suggest_float("optim.weight_decay", 1e-4, 1e-1, log=True)
    overrides = [*FIXED, f"optim.lr={lr}", f"optim.weight_decay={decay}"]
    config = compose_config(overrides, None)
    subprocess.run([sys.executable, "-m", "isoflop", "run", *overrides], check=True)
    finished = record.read(record.path_of(config.directory, config.run_id))
    assert finished.error is not None
    return finished.error.val


if __name__ == "__main__":
    folder = compose_config(FIXED, None).directory
    Path(folder).mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/study.db", study_name="isoflop", load_if_exists=True
    )
    study.optimize(val_error, n_trials=TRIALS, catch=(subprocess.CalledProcessError,))
    print(study.best_value, study.best_params)
