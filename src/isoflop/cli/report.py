"""isoflop report: the figures and the page of a sweep."""

from __future__ import annotations

import argparse
import dataclasses

from isoflop.cli import fit, output


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("report", _report, "Table and fit to figures and one self-contained page")
    output.add_directory(verb)
    output.add_json(verb)
    verb.add_argument(
        "--unattended", action="store_true", help="too few points for a fit: print why, and exit with 0"
    )
    fit.add_method(verb)


def _report(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console
    from isoflop.curve.points import NothingToFitError

    try:
        return _write_report(options)
    except NothingToFitError as error:
        if not options.unattended:
            raise
        console.OUT.print(f"no fit yet: {error}", markup=False)
        return output.DONE


def _write_report(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import bill_lines, console, first_screen, optimal_lines
    from isoflop.curve.language.answers import language_answers
    from isoflop.report import bill, page

    if options.json:
        output.check_target(options.json)
    table, fits = fit.fit_sweep(options)
    fit.save(options.directory, table, fits)
    answers = language_answers(table.rows, directory=options.directory)
    path = page.write_report(options.directory, table, fits, answers)
    if options.json:
        return output.write_json({"page": str(path), "fit": fits, "bill": bill.bill(table)}, options.json)
    if answers is not None and answers.optimal is not None:
        optimal_lines.show(answers.optimal)
    first_screen.show(dataclasses.replace(fits, reports=fits.reports[:1]))
    bill_lines.show(table)
    console.OUT.print(f"page: {path}", markup=False)
    return output.DONE
