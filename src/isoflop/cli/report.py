"""isoflop report: the figures and the page of a sweep, or of a table of one's own."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import re
import shlex
from pathlib import Path
from typing import Any

from isoflop.cli import check, dialect, fit, output, prices, reach_options

EXAMPLES = """examples:
  isoflop report results/NAME                                     a sweep's folder: the page is written there
  isoflop report models.csv --x flops --y top1_error --y-unit percent   the same page in ./models
  isoflop report results/NAME --format pdf --width 3.3in --latex        and figures and tables for a paper
  isoflop report runs.csv --x compute --x-unit PFLOP --y loss --seed seed -o pages/runs"""
WIDTHS = "such as 3.3in, 84mm or 8.4cm (default 6.75in)"
LENGTH = re.compile(r"\s*[\d.]+\s*(in|mm|cm|pt)\s*")
"""A length as printed, where it stands for no column."""


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("report", _report, "Table and fit to figures and one self-contained page")
    verb.epilog, verb.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    verb.add_argument("directory", metavar="PATH", type=Path, help=dialect.PATH)
    text = "where to write (default: the sweep's folder; of a file, its name without the ending, here)"
    verb.add_argument("-o", "--out", metavar="DIR", type=Path, help=text)
    output.add_json(verb)
    _add_paper(verb)
    verb.add_argument(
        "--unattended", action="store_true", help="too few points for a fit: print why, and exit with 0"
    )
    dialect.add_axes(verb)
    dialect.add_grouping(verb)
    fit.add_method(verb)
    check.add_columns(verb, width=f"width of figures for a paper as printed, {WIDTHS}; or {check.OWN} width")
    reach_options.add_options(verb)


def _add_paper(verb: argparse.ArgumentParser) -> None:
    """Add the options of what a paper needs."""
    text = "figures for a paper, in figures/paper: pdf, svg, png, or several with commas"
    verb.add_argument("--format", action="append", default=[], metavar="KIND", help=text)
    verb.add_argument("--latex", action="store_true", help="tables for LaTeX, in latex: fit, laws and runs")


def _report(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console
    from isoflop.curve.points import NothingToFitError

    if options.json:
        output.check_target(options.json)
    _take_width(options)
    _for_paper(options)  # refuse what is no format or width before anything is computed
    try:
        return _of_folder(options) if options.directory.is_dir() else _of_file(options)
    except NothingToFitError as error:
        if not options.unattended:
            raise
        console.OUT.print(f"no fit yet: {error}", markup=False)
        return output.DONE


def _take_width(options: argparse.Namespace) -> None:
    """Tell the two meanings of --width apart: a length such as 3.3in is that of figures for a paper, and
    anything else a column of a table of one's own; a sweep has no such option."""
    given = options.column_width
    length = given is not None and (options.directory.is_dir() or LENGTH.fullmatch(given) is not None)
    options.paper_width = given if length else None
    options.column_width = None if length else given


def _for_paper(options: argparse.Namespace) -> Any:
    """Return how figures for a paper are to be written, None where none are asked for."""
    if not options.format and options.paper_width is None:
        return None
    from isoflop.report.figures import paper

    return paper.paper(options.format, options.paper_width)


def _of_folder(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import optimal_lines
    from isoflop.curve.language.answers import language_answers
    from isoflop.plan import far, make
    from isoflop.plan.cost_panel import CostAsk, cost_panel
    from isoflop.report import latex, page

    names = (*dialect.OWN, *check.OF_OPTIONS, *dialect.FROM_FLOPS, "x", "y", "out")
    dialect.refuse_of_folder(options, names)
    table, reaching, checked = fit.fit_sweep(options, beyond=make.BEYOND)
    fits = far.near(reaching)
    fit.save(options.directory, table, fits)
    answers = language_answers(table.rows, directory=options.directory)
    costs = functools.partial(cost_panel, CostAsk(reaching.reports[0], table.rows))
    path = page.write_report(options.directory, table, fits, answers, _for_paper(options), costs, checked)
    if options.latex:
        latex.write(fits, table.rows, options.directory)
    optimal = answers.optimal if answers is not None else None
    if optimal is not None and not options.json:
        optimal_lines.show(optimal)
    return _show(options, path, fits, table)


def _of_file(options: argparse.Namespace) -> int:
    from isoflop.plan import far, make
    from isoflop.plan.cost_panel import CostAsk, cost_panel
    from isoflop.report import folder, latex, page, subject

    out = options.out or dialect.out_of(options.directory)
    folder.check(out)
    reach, chosen = reach_options.chosen(options), prices.chosen(options)
    rate = reach.rate()
    own, reaching, checked = fit.fit_file(
        _before_prices(options),
        check=lambda own: reach.check(own, chosen, options.directory),
        beyond=make.BEYOND,
    )
    fits = dataclasses.replace(far.near(reaching), source=options.directory.name)
    about = subject.of_table(
        *(own.own, own.checked, own.described),
        seed=options.seed,
        command=_command(options),
        prices=chosen,
        rate=rate,
    )
    ask = CostAsk(reaching.reports[0], own.table, reach.target, rate)
    costs = functools.partial(cost_panel, ask)
    with folder.replaced(out) as made:
        fit.save(made, _run_table(own), fits)
        page.write(
            *(about, fits, made),
            costs=costs,
            targets=reach.target,
            for_paper=_for_paper(options),
            checked=checked,
        )
        if options.latex:
            latex.write(about.shown(fits), about.rows, made)
    return _show(options, out / "index.html", fits, about.table)


def _before_prices(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options to read a file by: prices are of columns where x is dollars or CO2; else they follow
    from x too, and the page applies them."""
    from isoflop.api.reach import is_price

    if is_price(options.x):
        return options
    return argparse.Namespace(**{**vars(options), "cost": None})


def _run_table(own: Any) -> Any:
    """Return the rows of a file with those that it leaves out, as a sweep's table has dropped records."""
    from isoflop.table.aggregate import Dropped, RunTable

    return RunTable(own.table, tuple(Dropped(each.run_id, "left out", each.reason) for each in own.excluded))


def _command(options: argparse.Namespace) -> str:
    """Return the command without folders of this machine: what was given of the file, by its name."""
    given = vars(options)
    skipped = (
        *("verb", "action", "parser", "debug", "json", "out", "overrides", "command"),
        *("directory", "unattended"),
    )
    defaults = _defaults(options.directory.name)
    arguments = ["isoflop", "report", options.directory.name]
    for key, value in given.items():
        if key in skipped or value == defaults.get(key):
            continue
        flag = f"--{key.removeprefix('column_').removeprefix('paper_').replace('_', '-')}"
        for each in value if isinstance(value, list) else [value]:
            text = Path(each).name if key == "cost" else str(each)
            arguments += [flag] if each is True else [flag, text]
    return shlex.join(arguments)


def _defaults(name: str) -> dict[str, Any]:
    """Return what the options of this verb are where only the file is given."""
    verb = argparse.ArgumentParser(add_help=False)
    add(lambda *_: verb)
    return vars(verb.parse_args([name]))


def _show(options: argparse.Namespace, path: Path, fits: Any, table: Any) -> int:
    """Print the first screen of a fit and where its page is, or write both as JSON."""
    from isoflop.cli.terminal import bill_lines, console, first_screen
    from isoflop.report import bill

    if options.json:
        return output.write_json({"page": str(path), "fit": fits, "bill": bill.bill(table)}, options.json)
    first_screen.show(dataclasses.replace(fits, reports=fits.reports[:1]))
    bill_lines.show(table)
    console.OUT.print(f"page: {path}", markup=False)
    for made, asked in (("figures/paper", options.format or options.paper_width), ("latex", options.latex)):
        if asked:
            console.OUT.print(f"for a paper: {path.parent / made}", markup=False)
    return output.DONE
