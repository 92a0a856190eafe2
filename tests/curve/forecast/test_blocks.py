"""Blocks of neighbours: their means, and the scatter inside them."""

import numpy as np
import pytest

from isoflop.curve.forecast.blocks import blocks


def test_blocks_are_means_by_inverse_variance():
    log_x, log_y = np.linspace(-8, 0, 400), np.sin(np.arange(400))
    noise = np.where(np.arange(400) % 2, 2.0, 1.0)
    made = blocks(log_x, log_y, noise, 200)
    np.testing.assert_allclose(made.log_x, 0.8 * log_x[::2] + 0.2 * log_x[1::2])
    np.testing.assert_allclose(made.log_y, 0.8 * log_y[::2] + 0.2 * log_y[1::2])
    np.testing.assert_allclose(made.noise, np.sqrt(0.8))
    few = blocks(log_x[:200], log_y[:200], noise[:200], 200)
    np.testing.assert_array_equal(few.log_x, log_x[:200])
    assert (few.freedom, few.squares) == (0, 0.0)


def test_the_scatter_inside_blocks_is_that_of_the_noise_and_not_of_the_trend():
    generator = np.random.default_rng(0)
    log_x = np.sort(generator.uniform(-11, 0, 2000))
    noise = np.where(np.arange(2000) % 3, 1.0, 2.0)
    log_y = np.log(0.05 + 0.6 * np.exp(-0.3 * (log_x + 11))) + 0.05 * noise * generator.standard_normal(2000)
    made = blocks(log_x, log_y, noise, 100)
    assert made.freedom == 1900
    assert np.sqrt(made.squares / made.freedom) == pytest.approx(0.05, rel=0.04)
    log_y[::200] += 3.0
    wild = blocks(log_x, log_y, noise, 100)
    assert np.sqrt(wild.squares / wild.freedom) < 0.07, "ten wild points would make it 0.2"
