"""What was trained, on what and where: it stands behind the title of every figure of a page."""

from __future__ import annotations

import pandas as pd

_MANY = {"family": "models", "data": "data sets", "device": "devices"}
_MOST = 3
"""More names of one kind than this are counted."""


def setting(rows: pd.DataFrame) -> str:
    """Return what was trained, on what and where: `resnet on cifar10, NVIDIA H200`; empty where unknown."""
    models, data, devices = (_names(rows, column) for column in _MANY)
    of = " on ".join(part for part in (models, data) if part)
    return ", ".join(part for part in (of, devices) if part)


def _names(rows: pd.DataFrame, column: str) -> str:
    """Return the names of a column, how many they are where they are many, nothing where none is known."""
    names = sorted(set(rows[column].dropna().astype(str))) if column in rows else []
    return f"{len(names)} {_MANY[column]}" if len(names) > _MOST else " and ".join(names)
