"""Check of what else differs between the runs of one fit: code, hardware, data, recipe."""

from __future__ import annotations

import pandas as pd

from isoflop.curve import points
from isoflop.curve.check import finding
from isoflop.curve.check.finding import Finding, Outcome

CHECK = "mixture"
OF_CODE = {"git_commit": "code versions", "isoflop_version": "isoflop versions"}
OF_HARDWARE = {"device": "devices", "power_limit_watts": "power caps"}
OF_RECIPE = {
    "data": "data sets",
    "precision": "precisions",
    "optimizer": "optimizers",
    "batch_size": "batch sizes",
    "parametrization": "parametrizations",
}
LONGEST_VALUE = 40
LONGEST_COMMIT = 10


def check(table: pd.DataFrame) -> Outcome:
    """Return one finding for each setting that differs between runs and is not the size."""
    kinds = OF_CODE | OF_HARDWARE | OF_RECIPE
    rules = points.by_design(table)
    kinds = {name: kind for name, kind in kinds.items() if name not in rules}
    recorded = [name for name in kinds if not finding.known(table, name).empty]
    if not {"git_commit", "isoflop_version", "device"} & set(recorded):
        return finding.needs(CHECK, "git_commit or device")
    findings = [found for name in recorded if (found := _mixed(table, name, kinds[name])) is not None]
    findings += [
        _changed_data(table, name, hashes) for name, hashes in points.versions_of_data(table).items()
    ]
    seen = [kinds[name] for name in (*OF_CODE, *OF_HARDWARE) if name in recorded]
    return finding.outcome(CHECK, findings, f"one value each of {', '.join(seen)}")


def _mixed(table: pd.DataFrame, name: str, kind: str) -> Finding | None:
    longest = LONGEST_COMMIT if name == "git_commit" else LONGEST_VALUE
    known = table[name].dropna()
    values = sorted({_text(value)[:longest] for value in known})
    if len(values) < 2:
        return None
    of_recipe = name in OF_RECIPE
    minority = known.map(_text)
    rest = table.loc[minority.index[minority != minority.mode().iloc[0]]]
    sentence = f"mixed {kind}: {finding.names(values)}, all in one fit"
    what = "fit them apart, or run the fewer again" + ("" if of_recipe else "; --mixed fits them together")
    return Finding(CHECK, "note" if of_recipe else "warning", finding.subjects(rest), sentence, what)


def _changed_data(table: pd.DataFrame, name: str, hashes: pd.Series[str]) -> Finding:
    """Return the finding about data that are others under one name.

    Args:
        table: the rows of the sweep.
        name: of the data set.
        hashes: split_sha256 of its rows.
    """
    rest = table.loc[hashes.index[hashes != hashes.mode().iloc[0]]]
    shown = finding.names(sorted({each[: points.HASH_DIGITS] for each in hashes}))
    sentence = f"mixed data under the name {name}: split_sha256 {shown}, all in one fit"
    return Finding(
        CHECK,
        "warning",
        finding.subjects(rest),
        sentence,
        "train all on the same text, interpreter's source or images, or fit them apart",
    )


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
