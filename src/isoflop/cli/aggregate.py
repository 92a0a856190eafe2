"""isoflop aggregate: the records of a sweep as table.csv."""

from __future__ import annotations

import argparse
import dataclasses

from isoflop.cli import output, prices


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    text = "Records to table.csv; every dropped record is named. With --json - nothing is written"
    verb = add_verb("aggregate", _aggregate, text)
    output.add_directory(verb)
    output.add_json(verb)
    prices.add_option(verb)


def _aggregate(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import bill_lines, console
    from isoflop.report import bill
    from isoflop.table import aggregate

    if options.json:
        output.check_target(options.json)
    table = aggregate.aggregate(options.directory, prices.chosen(options))
    if options.json != "-":  # what is printed as JSON is a query, which writes no file
        aggregate.write(table, options.directory)
    if options.json:
        rows = table.rows.astype(object).where(table.rows.notna(), None).to_dict("records")
        dropped = [dataclasses.asdict(each) for each in table.dropped]
        written = {"rows": rows, "dropped": dropped, "bill": bill.bill(table)}
        return output.write_json(written, options.json)
    console.show_table(table.rows)
    console.show_dropped(table)
    bill_lines.show(table)
    path = options.directory / aggregate.TABLE
    console.OUT.print(f"{len(table.rows)} points, {len(table.dropped)} dropped: {path}", markup=False)
    return output.DONE
