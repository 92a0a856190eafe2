"""What one law may be fitted to: the best of several rates, and one text; pairs on the same windows."""

import math

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.language import law
from isoflop.curve.language.answers import language_answers
from isoflop.curve.language.comparable import comparable
from isoflop.record import window_losses


@pytest.fixture(scope="module")
def rows(language_sweep):
    return language_sweep.language_table().rows.assign(base_lr=0.04)


def _with_bad_rates(rows):
    """The same runs at another rate, worse by validation and better by test, which must not choose."""
    bad = rows.assign(
        base_lr=0.5,
        run_id=rows["run_id"] + "bad",
        config_id=rows["config_id"] + "bad",
        val_bits_per_byte=rows["val_bits_per_byte"] + 0.5,
        test_bits_per_byte=rows["test_bits_per_byte"] - 0.5,
    )
    return pd.concat([bad, rows], ignore_index=True)


def test_the_best_rate_by_validation_is_kept_and_said(rows):
    both = _with_bad_rates(rows)
    answers = language_answers(both, resamples=0)
    assert answers.runs == len(rows)
    assert "48 of 96 runs are left out" in answers.note
    assert answers.sizes[0].law == language_answers(rows, resamples=0).sizes[0].law
    at = rows[list(law.RESOURCES)].to_numpy(float)[:2] * 3
    assert law.predict_new_runs(both, at, resamples=40) == pytest.approx(
        law.predict_new_runs(rows, at, resamples=40)
    )


def test_one_rate_a_length_is_no_choice_of_rates(rows):
    by_length = comparable(rows.assign(base_lr=1 / np.sqrt(rows["examples_seen"])))
    assert len(by_length.rows) == len(rows)
    assert by_length.note is None


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("data", ("books", "python"), "2 texts (data: books, python)"),
        ("split_sha256", ("a" * 64, "b" * 64), "2 splits of the text (split_sha256: aaaaaaaa, bbbbbbbb)"),
        ("context", (64.0, 256.0), "2 context lengths (context: 256, 64)"),
    ],
)
def test_runs_that_are_of_several_texts_are_refused(rows, name, values, words):
    mixed = rows.assign(**{name: [values[i % 2] for i in range(len(rows))]})
    answers = language_answers(mixed, resamples=0)
    assert words in answers.refused
    assert answers.optimal is None
    assert answers.joules == ()
    assert all(each.law is None and each.split is None and each.profiles is None for each in answers.sizes)
    with pytest.raises(ValueError, match="no one law holds"):
        law.predict_new_runs(mixed, np.ones((1, 2)), resamples=40)


def test_pairs_are_compared_on_the_same_windows(rows, tmp_path):
    """What the text itself adds to each window cancels: the error is far below the spread of windows."""
    generator = np.random.default_rng(0)
    text = generator.normal(0, 0.3, 200)
    for run_id, nats in zip(rows["run_id"], rows["test_loss"], strict=True):
        noise = generator.normal(0, 0.01, 200)
        window_losses.write(nats + text - text.mean() + noise - noise.mean(), tmp_path, run_id)
    known = rows.assign(split_sha256="a" * 64)
    pairs = language_answers(known, directory=tmp_path, resamples=0).shapes.pairs
    for pair in pairs:
        assert pair.paired.difference == pytest.approx(pair.difference, abs=1e-5)
        assert pair.paired.standard_error == pytest.approx(0.01 / math.log(2) / math.sqrt(200), rel=0.3)
        assert pair.paired.windows == 200
    unknown = language_answers(rows, directory=tmp_path, resamples=0).shapes.pairs[0]
    assert (unknown.paired, unknown.paired_reason) == (None, "split_sha256 is unknown")
    window_losses.path_of(tmp_path, rows["run_id"][0]).unlink()
    empty = language_answers(known, directory=tmp_path / "none", resamples=0).shapes.pairs[0]
    assert "no losses of single windows" in empty.paired_reason
