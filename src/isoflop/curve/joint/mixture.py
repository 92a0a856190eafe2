"""One law is of one experiment: columns that say that a table holds several."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import pandas as pd

from isoflop.table import held_out

SETTING = frozenset(
    {
        *("data", "dataset", "data_set", "dataset_name", "data_name", "corpus", "task"),
        *("optimizer", "optim", "optimizer_name", "optim_name", "parametrization", "parameterization"),
    }
)
"""Names of columns whose values are never one experiment."""
FAMILY = frozenset(
    {"family", "model_family", "arch", "architecture", "model_type", "model_name", "model_arch"}
)
"""Names of columns whose values are families of models, or one model each."""
_PREFIX = re.compile(r"^(summary|config|summary_metrics)\.")
MOST_SHOWN = 4


def refuse(table: pd.DataFrame, sizes: Sequence[str], mixed: bool) -> tuple[str, ...]:
    """Refuse rows of several experiments: what differs between them would be taken for an effect of size.

    Args:
        table: one row a run; those held out are not looked at.
        sizes: columns of the size of a model. A family of models has several, a model's own name has one.
        mixed: give a warning instead.

    Returns:
        Warnings.

    Raises:
        ValueError: a column names several data sets, optimizers or families of models.
    """
    rows = table.loc[~held_out.mask(table)]
    warnings = []
    for name in map(str, rows.columns):
        values = _experiments(rows, name, sizes)
        if len(values) < 2:
            continue
        shown = ", ".join(values[:MOST_SHOWN]) + (", ..." if len(values) > MOST_SHOWN else "")
        several = f"{name} has {len(values)} values ({shown})"
        if not mixed:
            raise ValueError(
                f"{several}: one law would take what differs between these experiments for an effect of "
                f"{' and '.join(sizes)}: keep the rows of one with "
                f"--where {shlex.quote(_condition(name, values[0]))}, fit each alone with --by "
                f"{shlex.quote(name)}, or say --mixed"
            )
        warnings.append(f"{several}, all in one fit")
    return tuple(warnings)


def _condition(name: str, value: str) -> str:
    """Return the condition of --where that a column has a value (expression.py)."""
    column = name if name.isidentifier() else f"`{name}`"
    quote = "'" if '"' in value else '"'
    return f"{column} == {quote}{value}{quote}"


def _experiments(rows: pd.DataFrame, name: str, sizes: Sequence[str]) -> list[str]:
    """Return the values of a column that are experiments of their own; none for columns of another kind."""
    plain = _PREFIX.sub("", name).removesuffix(".value").lower()
    plain = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if plain not in SETTING | FAMILY or pd.api.types.is_numeric_dtype(rows[name]):
        return []  # numbers in a column called data are amounts of it
    known = rows.dropna(subset=[name])
    if plain in SETTING:
        return sorted({str(value) for value in known[name]})
    several = known.groupby(name)[list(sizes)].nunique().max(axis=1) > 1
    return [str(value) for value in several.index[several]]
