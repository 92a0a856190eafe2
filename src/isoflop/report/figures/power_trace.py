"""The power of one run over time, drawn from the polls that its meter kept."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from isoflop.report.figures import canvas, style
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.numerals import number, seconds
from isoflop.table.power_rows import power_rows

NAME = "power_trace"
TALL_INCHES = 3.2
SECONDS = "power/seconds"


def draw(directory: Path, rows: pd.DataFrame) -> Drawing | None:
    """The watts of each device during the run of most joules whose polls lie in DIR/power; None without any.

    `rows` is the table of `aggregate`: run_id, label, seed, energy_joules, energy_grade.
    """
    for _, run in (
        rows.dropna(subset="energy_joules").sort_values("energy_joules", ascending=False).iterrows()
    ):
        trace = pd.DataFrame(power_rows(directory / "power" / f"{run['run_id']}.jsonl"))
        if len(trace) > 1:
            return _drawing(run, trace)
    return None


def _drawing(run: pd.Series, trace: pd.DataFrame) -> Drawing:
    with matplotlib.rc_context(canvas.RC):
        images = canvas.render(chart(trace))
    watts = trace.drop(columns=SECONDS)
    name = f"{run['label']}, seed {run['seed']:.0f}"
    span = seconds(float(trace[SECONDS].iloc[-1] - trace[SECONDS].iloc[0]))
    alt = (
        f"Watts of {watts.shape[1]} device{'s' * (watts.shape[1] > 1)} over {span} of {name}: "
        f"{number(float(watts.min().min()))} to {number(float(watts.max().max()))}."
    )
    stretch = float(trace[SECONDS].iloc[-1] - trace[SECONDS].iloc[0]) / (len(trace) - 1)
    caption = (
        f"{name}, of the runs whose polls were kept the one of most joules: "
        f"{number(run['energy_joules'])} J in its training window, grade {run['energy_grade']}. All polls "
        "are drawn, so that idle power, compilation, evaluation and a replay of the window show beside "
        f"training. Each point is the mean of {seconds(stretch)}."
    )
    return Drawing(NAME, "Power during one run", alt, caption, *images)


def chart(trace: pd.DataFrame) -> Figure:
    """Columns `power/seconds` and `power/device_N_watts` as lines from 0 watts up."""
    figure = canvas.blank(tall=TALL_INCHES)
    axes = figure.subplots()
    devices = [column for column in trace.columns if column != SECONDS]
    for i, column in enumerate(devices):
        shown = trace[column].notna()
        colour = style.OKABE_ITO[i % len(style.OKABE_ITO)]
        label = f"Device {column.split('_')[1]}"
        axes.plot(trace.loc[shown, SECONDS], trace.loc[shown, column], color=colour, lw=1.3, label=label)
    axes.set_xlim(0, float(trace[SECONDS].max()))
    axes.set_ylim(0, 1.08 * float(np.nanmax(trace[devices].to_numpy())))
    axes.set_xlabel("Seconds since the first poll")
    axes.set_ylabel("Power in watts")
    if len(devices) > 1:
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(devices), fontsize=8.5)
    canvas.ruled(axes)
    return figure
