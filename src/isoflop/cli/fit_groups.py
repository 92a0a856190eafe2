"""isoflop fit --by COLUMN: one fit for each value of a column, and what they say side by side."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from isoflop.cli import fit_joint, output, prices, rows
from isoflop.config import ConfigError


def fit(options: argparse.Namespace, *, joint: bool) -> int:
    """Fit the groups, and print them or write them as JSON; nothing else is written."""
    from isoflop.cli.terminal import group_table

    if options.save or options.draws:
        raise ConfigError(
            f"--by does not take {'--save' if options.save else '--draws'}: of one group, say --where"
        )
    result = _of_resources(options) if joint else _of_rows(options)
    if options.json:
        return output.write_json(result, options.json)
    group_table.show(result, full=options.full, all_notes=options.notes)
    return output.DONE


def _of_rows(options: argparse.Namespace) -> Any:
    """Return the fits of each group in one resource."""
    from isoflop.curve import groups
    from isoflop.table import aggregate

    method = rows.method_of(options)
    if options.directory.is_dir():
        every = rows.of_sweep(
            options, aggregate.aggregate(options.directory, prices.chosen(options)), custom=True
        )
    else:
        every = rows.of_file(options)

    def of_group(chosen: Any) -> Any:
        parts = {name: getattr(every, name)[chosen].reset_index(drop=True) for name in ("table", "checked")}
        return rows.fit(
            options, method, dataclasses.replace(every, notes=(), excluded=(), dropped=(), **parts)
        )

    return groups.fit_each(
        *(every.table, options.by, every.groups, of_group),
        notes=every.notes,
        excluded=(*every.dropped, *every.excluded),
    )


def _of_resources(options: argparse.Namespace) -> Any:
    """Return the fits of each group in several resources, or its IsoFLOP profiles."""
    from isoflop.curve import groups

    data = fit_joint.read(options)

    def of_group(chosen: Any) -> Any:
        table = data.table[chosen].reset_index(drop=True)
        part = dataclasses.replace(data, table=table, warnings=(), excluded=())
        return fit_joint.fit_rows(options, part)

    return groups.fit_each(
        *(data.table, options.by, data.groups, of_group), notes=data.warnings, excluded=data.excluded
    )
