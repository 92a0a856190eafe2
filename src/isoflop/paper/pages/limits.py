"""The section on parallel limits: a dense and a sparse program on the largest machines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from isoflop.paper.limits import LimitsResult
from isoflop.paper.pages import drawing as paper_drawing
from isoflop.paper.section import PaperSection, SectionTable
from isoflop.parallel import limits
from isoflop.report.figures import canvas, style
from isoflop.report.text.numerals import number, percent

NAME = "limits"
FARTHEST = 1e10
"""Cores up to which the curves are drawn."""


def section(result: LimitsResult, folder: Path) -> PaperSection:
    """Draw figures/limits.* in `folder` and return the section."""
    caption = (
        "Speed-up, in cores at their peak, of HPL (filled) and HPCG (open) on each machine, with Amdahl's "
        "law of the same effective parallel fraction: past the knee more such cores gain nothing."
    )
    drawing = paper_drawing.draw(NAME, "Parallel limits", caption, lambda f: _paint(f, result))
    canvas.write((drawing,), folder)
    least = min(result.ratios, key=lambda pair: pair[1])
    most = max(result.ratios, key=lambda pair: pair[1])
    return PaperSection(
        name=NAME,
        title="Parallel limits: the same machines on a dense and on a sparse program",
        paragraphs=(
            "Vegh (2020) takes the share of peak that a machine of N cores reaches as the efficiency of N "
            "workers: alpha_eff = (E N - 1)/(E (N - 1)), and the limit of the speed-up is 1/(1 - alpha_eff).",
            f"So taken, HPCG's serial fraction is {number(least[1])} ({least[0]}) to {number(most[1])} "
            f"({most[0]}) times HPL's on the same machine: the program limits, not the machine alone.",
            "A share of peak is no speed-up: it also holds what one core fails to reach of its own peak, "
            "and HPCG waits for memory on a single core too. isoflop parallel measures speed-ups of a dense "
            "product, of sparse conjugate gradients and of training, which tell the two apart.",
        ),
        tables=(_table(result), _sources(result)),
        figures=(NAME,),
        found=(),
        captions=(drawing.caption,),
    )


def _table(result: LimitsResult) -> SectionTable:
    columns = (
        "Machine",
        "Program",
        "Cores",
        "E",
        "E claimed [M]",
        "1 - alpha_eff [D]",
        "1/(1 - alpha_eff) [D]",
    )
    rows = tuple(
        (
            each.machine,
            each.program,
            f"{each.cores:,}",
            percent(each.efficiency),
            each.claimed or "–",
            number(each.serial_fraction),
            number(each.limit),
        )
        for each in result.reached
    )
    return SectionTable("Shares of peak, and the parallel fractions that they would be", columns, rows)


def _sources(result: LimitsResult) -> SectionTable:
    rows = tuple(
        (
            f"{each.name}, {each.edition}",
            number(each.peak_tflops / 1e3, 4),
            number(each.hpl_tflops / 1e3, 4),
            number(each.hpcg_tflops / 1e3, 4),
            each.source,
        )
        for each in result.machines
    )
    columns = ("Machine", "Peak, PFLOP/s", "HPL, PFLOP/s", "HPCG, PFLOP/s", "Source")
    return SectionTable("The lists", columns, rows)


def _paint(figure: Figure, result: LimitsResult) -> None:
    axes = figure.add_subplot()
    cores = np.geomspace(1e3, FARTHEST, 200)
    colours = {name: style.OKABE_ITO[i] for i, (name, _) in enumerate(result.ratios)}
    axes.plot(cores, cores, color=style.MUTED, lw=1, ls=(0, (4, 2.5)), label="All of every core")
    for each in result.reached:
        colour = colours[each.machine]
        dense = each.program == "HPL"
        speedup = [limits.amdahl_speedup(each.serial_fraction, n) for n in cores]
        axes.plot(cores, speedup, color=colour, lw=1.5, ls="-" if dense else (0, (2, 1.5)))
        face = colour if dense else "white"
        axes.plot(each.cores, each.speedup, "o", mfc=face, mec=colour, mew=1.5, ms=6.5, zorder=3)
    for name, colour in colours.items():
        axes.plot([], [], color=colour, lw=1.5, label=name)
    axes.plot([], [], "o", mfc=style.MUTED, mec=style.MUTED, label="HPL")
    axes.plot([], [], "o", mfc="white", mec=style.MUTED, mew=1.5, label="HPCG")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(1e3, 3e9)
    axes.set_xlabel("Cores")
    axes.set_ylabel("Speed-up (cores at their peak)")
    axes.grid(True, color=style.GRID, lw=0.7, zorder=0)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
