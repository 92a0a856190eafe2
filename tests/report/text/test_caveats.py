"""Caveats with numbers: the grain of the test set, leaving out one width, the calibration of intervals."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.result import Calibration, HeldOut
from isoflop.report.text import caveats, measured, trust
from isoflop.report.text.numerals import number
from isoflop.table import target


def test_the_grain_of_the_test_set_is_that_of_the_best_run():
    rows = pd.DataFrame({"test_n": [1000.0, 400.0, 50.0], "test_error": [0.2, 0.1, np.nan]})
    text = caveats._test_images(rows)
    # 0.1 of 400: Wilson 7.43 to 13.3%, and 1.96 sqrt(2 x 0.1 x 0.9 / 400) = 4.16 points.
    assert text.startswith("Test set: 400 images, so one image is 0.25%. The least error, 10.0%, ")
    assert "7.43% to 13.3%" in text
    assert "differ by 4.2 points" in text
    assert caveats._test_images(rows.iloc[2:]) is None


def test_no_error_at_all_is_as_uncertain_as_one():
    rows = pd.DataFrame({"test_n": [100.0], "test_error": [0.0]})
    # 1.96 sqrt(2 x 0.01 / 100) = 2.8 points
    assert "differ by 2.8 points" in caveats._test_images(rows)


def test_the_standard_error_of_a_text_is_that_of_the_best_run():
    rows = pd.DataFrame(
        {
            target.TEST_BITS.column: [2.5, 2.25, 1.0, np.nan],
            caveats.STANDARD_ERROR: [0.05, 0.0123, np.nan, 0.9],
        }
    )
    text = caveats._test_text(rows)
    assert text.startswith("Test text: the least loss, 2.250 bits a byte, has a standard error of 0.012")
    assert caveats._test_text(rows.iloc[2:]) is None
    assert caveats._test_text(rows[[target.TEST_BITS.column]]) is None


def test_leaving_out_a_width_moves_the_exponent_to_what_the_others_say(make_table):
    rows = make_table(widths=(8, 16, 32, 64), depths=(1,), seeds=1, exponent=0.2, noise=0.0).rows
    text = caveats._sensitivity(rows, "test_error")
    assert "moves the exponent b between 0.200 (without" in text
    bent = rows.assign(test_error=rows["test_error"].where(rows["width"] != 64, 2 * rows["test_error"]))
    text = caveats._sensitivity(bent, "test_error")
    assert text.endswith("and 0.200 (without width 64).")
    assert caveats._sensitivity(bent[bent["width"] > 8], "test_error") is None, (
        "two scales left give no slope"
    )
    kept = caveats._sensitivity(pd.concat([bent, bent.assign(test_error=0.0, width=99.0)]), "test_error")
    assert kept == text, "an error of 0 has no logarithm"


def test_the_range_is_in_decades(make_table, make_fits):
    report = dataclasses.replace(make_fits(make_table()).reports[0], x_min=2.0, x_max=200.0)
    assert caveats._fit_notes(report)[0] == "Range: 2.0 decades of training compute, 2.00 to 200 GFLOPs."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "all runs are fitted, as in the paper"),
        ({"of": "frontier"}, "only the runs on the efficient frontier"),
        ({"quantile": 0.1}, "follow the 10% quantile of test_error"),
        ({"y": "test_bits_per_byte"}, "IsoFLOP profiles tell them apart"),
    ],
)
def test_what_was_fitted_is_said(make_table, make_fits, changes, said):
    report = dataclasses.replace(make_fits(make_table()).reports[0], **changes)
    assert said in caveats._fitted(report)


def calibrated(report, *judged):
    ahead = dataclasses.replace(report.forecast, calibration=judged)
    return trust.calibrated(dataclasses.replace(report, forecast=ahead))


def test_the_widest_interval_is_judged_where_there_are_twenty_predictions(make_table, make_fits):
    report = make_fits(make_table()).reports[0]
    text = calibrated(report, Calibration(0.95, 0.9, 20), Calibration(0.5, 0.1, 40))
    assert text.startswith("Calibration: of 20 predictions of larger runs by smaller ones, 18 fell")
    assert text.endswith("hold 95%.")
    assert calibrated(report, Calibration(0.95, 0.9, 19)).endswith("under 20, too few to judge it.")
    assert calibrated(report) is None
    assert trust.calibrated(dataclasses.replace(report, forecast=None)) is None


def test_laws_part_at_the_shortest_end_of_their_bands(make_table, make_fits):
    report = make_fits(make_table()).reports[0]
    low, high = (
        dataclasses.replace(
            report.fits[i], band=dataclasses.replace(report.fits[i].band, x=(1.0, end), y=(0.5, level))
        )
        for i, end, level in ((0, 10.0, 0.1), (1, 20.0, 0.4))
    )
    two = dataclasses.replace(report, fits=(low, high), x_max=5.0)
    text = trust.disagreement(two)
    assert text.startswith("Laws: at 2.0 times the largest compute they part, from 10.0% (")
    assert trust.disagreement(dataclasses.replace(report, fits=(low,))) is None


def test_how_far_the_forecast_was_tested(make_table, make_fits):
    report = make_fits(make_table()).reports[0]
    end = number(4 * report.x_max)
    text = trust.trust(report)
    assert "tested up to 4 times their largest compute" in text
    assert "off by ×1.11 at 2 times, ×1.22 at 4 times." in text
    assert text.endswith(f"Beyond {end} GFLOPs the forecast is untested.")
    other = trust.trust(dataclasses.replace(report, x="energy_joules"))
    assert other.endswith(f"Beyond {end} J the forecast is untested.")
    assert trust.reach(report) == "tested to 4×"


def test_the_forecast_has_one_limit_where_it_was_tested_further_than_it_goes(make_table, make_fits):
    report = make_fits(make_table(), tested_ratio=15.8).reports[0]
    assert trust.tested_ratio(report) == pytest.approx(10)
    assert trust.reach(report) == "tested that far"
    assert "15.8" not in trust.trust(report)
    assert trust.trust(report).endswith(f"Beyond {number(10 * report.x_max)} GFLOPs nothing is forecast.")


@pytest.mark.parametrize(("runs", "verb"), [(1, "was 1 run"), (3, "were 3 runs")])
def test_held_out_runs_are_counted_and_their_miss_is_a_factor(make_table, make_fits, runs, verb):
    held = HeldOut(
        expression="width >= 64",
        runs=runs,
        log_rmse=np.log(1.25),
        inside_new_run_interval=1,
        largest_ratio=8.0,
        rows=(),
    )
    report = dataclasses.replace(make_fits(make_table()).reports[0], held_out=held)
    text = measured.held_out(report)
    assert text.startswith(f"Held out {verb} (width >= 64), up to 8.0 times the largest run that was fitted")
    assert "the forecast, made without them, missed by ×1.25, and 1 of" in text
    law = measured.held_out(dataclasses.replace(report, held_out=dataclasses.replace(held, law="chinchilla")))
    assert "the joint law, fitted without them, missed by ×1.250" in law
    assert measured.held_out(dataclasses.replace(report, held_out=None)) == ""


def test_error_is_told_in_per_cent_and_loss_in_bits(make_table, make_fits):
    report = make_fits(make_table()).reports[0]
    note = next(n for n in caveats._fit_notes(report) if n.startswith("Floor: not identified"))
    assert "per cent" in note
    of_text = dataclasses.replace(report, y=target.TEST_BITS.column)
    note = next(n for n in caveats._fit_notes(of_text) if n.startswith("Floor: not identified"))
    assert "bits a byte" in note
