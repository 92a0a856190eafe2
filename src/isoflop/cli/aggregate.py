"""isoflop aggregate: the records of a sweep as table.csv."""

from __future__ import annotations

import argparse
import dataclasses

from isoflop.cli import output


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    text = "Records to table.csv; every dropped record is named. With --json - nothing is written"
    verb = add_verb("aggregate", _aggregate, text)
    output.add_directory(verb)
    output.add_json(verb)


def _aggregate(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console
    from isoflop.table import aggregate

    if options.json:
        output.check_target(options.json)
    table = aggregate.aggregate(options.directory)
    if options.json != "-":  # what is printed as JSON is a query, which writes no file
        aggregate.write(table, options.directory)
    if options.json:
        rows = table.rows.astype(object).where(table.rows.notna(), None).to_dict("records")
        dropped = [dataclasses.asdict(each) for each in table.dropped]
        return output.write_json({"rows": rows, "dropped": dropped}, options.json)
    console.show_table(table.rows)
    console.show_dropped(table)
    path = options.directory / aggregate.TABLE
    console.OUT.print(f"{len(table.rows)} points, {len(table.dropped)} dropped: {path}", markup=False)
    return output.DONE
