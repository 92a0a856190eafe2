"""Columns of a table from elsewhere under the names of a sweep's table: one check serves both."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from isoflop.table import columns, derived
from isoflop.table.external import COUNTED, ExternalRuns

ALIASES: dict[str, tuple[str, ...]] = {
    "train_loss": ("train_loss", "training_loss", "loss_train", "train/loss", "loss/train"),
    "val_loss": ("val_loss", "validation_loss", "val/loss", "loss/val", "eval/loss"),
    "val_error": ("val_error", "val/error", "error/val"),
    "width": ("width", "model.width", "hidden_size", "d_model"),
    "depth": ("depth", "model.depth", "layers", "n_layers", "num_layers", "n_layer"),
    "parameters": ("parameters", "params", "n_params", "num_params", "n_parameters", "N"),
    "examples_seen": ("examples_seen", "samples_seen", "tokens_seen", "tokens", "D"),
    "train_n": ("train_n", "data.train_n", "train_size"),
    "lr": ("lr", "learning_rate", "optim.lr"),
    "lr_interior": ("lr_interior",),
    "seed": ("seed",),
    "family": ("family", "model.family"),
    "architecture": ("architecture", "arch"),
    "data": ("data", "data.name", "dataset"),
    "batch_size": ("batch_size", "optim.batch_size"),
    "optimizer": ("optimizer", "optim.name"),
    "parametrization": ("parametrization", "model.parametrization"),
    "precision": ("precision", "dtype"),
    "device": ("device", "gpu", "gpu_type"),
    "power_limit_watts": ("power_limit_watts",),
    "git_commit": ("git_commit", "commit"),
    "isoflop_version": ("isoflop_version",),
    "started_at": ("started_at", "created_at", "createdAt"),
    "energy_joules": ("energy_joules", "joules"),
    "train_seconds": ("train_seconds", "seconds"),
    "label": ("label",),
}
"""Column of a sweep's table -> names under which other tables hold it, the first that is there counts. W&B's
prefixes (config., summary.) are looked through."""

_NUMBERS = (
    *(
        "train_loss",
        "val_loss",
        "val_error",
        "width",
        "depth",
        "parameters",
        "examples_seen",
        "train_n",
        "lr",
    ),
    *("lr_interior", "batch_size", "power_limit_watts", "energy_joules", "train_seconds"),
)


def canonical(runs: ExternalRuns, named: Mapping[str, str | None]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the table with the columns of ALIASES that it holds under their names in a sweep's table.

    x becomes train_gflops, in its own unit, and an error y test_error. A shape without a label is called by
    its width and depth, else by its configuration. A column that is called as numbers are and holds other
    text is not used, which a note says that is returned too.

    Args:
        runs: the rows (external.read_runs).
        named: column of a sweep's table -> the column that the user named for it, or an expression, None for
            the aliases.

    Raises:
        ValueError: a column that was named is missing or holds text for numbers.
    """
    table, added = runs.table, {"train_gflops": runs.table[runs.x]}
    notes: list[str] = []
    if runs.y == COUNTED or columns.is_share(runs.y):
        added[COUNTED] = runs.table[runs.y]
    for name, aliases in ALIASES.items():
        given = named.get(name)
        if given is None:
            source = _first(table, aliases)
        else:
            table, source = derived.resolve(table, given, name.replace("_", "-"))
        if source is None:
            continue
        values = table[source]
        if name in _NUMBERS:
            try:
                numbers = columns.numbers(values.set_axis(pd.Index(runs.rows)))
                values = pd.Series(numbers, table.index)
            except ValueError as error:
                if given is not None:
                    raise ValueError(f"{runs.source}: {error}") from error
                notes.append(f"{columns.holds_text(table, source)} and is not used as {name}")
                continue
        added[name] = values
    result = table.assign(**added)
    return result if "label" in result else result.assign(label=_labels(result)), tuple(notes)


def _first(table: pd.DataFrame, aliases: tuple[str, ...]) -> str | None:
    """Return the first of the aliases that is a column, with or without a prefix of W&B, or None."""
    for alias in aliases:
        try:
            return columns.find(table, alias, "")
        except ValueError:
            continue
    return None


def _labels(table: pd.DataFrame) -> pd.Series[str]:
    """Return `w64 d3` for each row, or the configuration where neither is known."""
    parts = [
        table[name].map(lambda value, initial=name[0]: "" if pd.isna(value) else f"{initial}{value:g}")
        for name in ("width", "depth")
        if name in table
    ]
    own = table["config_id"].astype(str)
    if not parts:
        return own
    text = parts[0] if len(parts) == 1 else (parts[0] + " " + parts[1]).str.strip()
    return text.where(text != "", own)
