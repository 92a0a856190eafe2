"""Triton kernels of batch normalisation with the addition and the ReLU that follow it.

A tensor [N, C, H, W] is read as rows of channels: row r is pixel r % (H W) of image r // (H W). Where it lies
in memory depends on its layout, channels_last or contiguous, and on nothing else: every kernel takes any N,
C, H and W. A tile holds BLOCK_ROWS rows of BLOCK_CHANNELS channels; what lies outside is masked.

Sums over rows are made in two stages without atomic additions, so that the same input gives the same bits:
each program reduces its share of the rows into one line of a small table, and one more kernel adds its lines.
Everything is computed in ACCUMULATOR, float32, or float64 for float64 inputs (gradient checks).

Variances are merged from means and sums of squared deviations (Chan, Golub & LeVeque 1979), as the difference
of two large sums would lose digits where a channel's mean is large beside its deviation.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _offsets(rows, channels, C, PIXELS, CHANNELS_LAST: tl.constexpr):
    """Return where each (row, channel) lies, in elements."""
    rows = rows.to(tl.int64)[:, None]
    channels = channels[None, :]
    image, pixel = rows // PIXELS, rows % PIXELS
    return rows * C + channels if CHANNELS_LAST else (image * C + channels) * PIXELS + pixel


@triton.jit
def statistics_kernel(
    x, means, deviations, counts, ROWS, C, PIXELS, SHARE,
    CHANNELS_LAST: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Write, for each share of SHARE rows, each channel's mean and sum of squared deviations."""
    share = tl.program_id(0)
    channels = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    inside = channels < C
    mean = tl.zeros((BLOCK_CHANNELS,), ACCUMULATOR)
    deviation = tl.zeros((BLOCK_CHANNELS,), ACCUMULATOR)
    begin = share * SHARE
    end = tl.minimum(begin + SHARE, ROWS)
    for start in range(begin, end, BLOCK_ROWS):
        rows = start + tl.arange(0, BLOCK_ROWS)
        valid = (rows < end)[:, None] & inside[None, :]
        values = tl.load(x + _offsets(rows, channels, C, PIXELS, CHANNELS_LAST), valid, 0.0).to(ACCUMULATOR)
        before = (start - begin).to(ACCUMULATOR)
        number = tl.minimum(end - start, BLOCK_ROWS).to(ACCUMULATOR)
        tile_mean = tl.sum(values, 0) / number
        centred = tl.where(valid, values - tile_mean[None, :], 0.0)
        shift = tile_mean - mean
        both = before + number
        deviation += tl.sum(centred * centred, 0) + shift * shift * (before * number / both)
        mean += shift * (number / both)
    tl.store(means + share * C + channels, mean, inside)
    tl.store(deviations + share * C + channels, deviation, inside)
    if tl.program_id(1) == 0:
        tl.store(counts + share, (end - begin).to(ACCUMULATOR))


@triton.jit
def combine_kernel(
    means, deviations, counts, mean_out, scale_out, running_mean, running_var,
    SHARES, ROWS, C, EPSILON, MOMENTUM,
    TRACKED: tl.constexpr, BLOCK_SHARES: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Merge the shares into each channel's mean and 1 / sqrt(variance + EPSILON), and update what is tracked:
    the running variance takes the unbiased one."""
    channels = tl.program_id(0) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    inside = channels < C
    total = ROWS * 1.0  # works for a constant too, as which Triton passes a 1
    mean = tl.zeros((BLOCK_CHANNELS,), ACCUMULATOR)
    for start in range(0, SHARES, BLOCK_SHARES):
        shares = start + tl.arange(0, BLOCK_SHARES)
        valid = (shares < SHARES)[:, None] & inside[None, :]
        at = shares[:, None] * C + channels[None, :]
        number = tl.load(counts + shares, shares < SHARES, 0.0)[:, None]
        mean += tl.sum(tl.load(means + at, valid, 0.0) * (number / total), 0)
    deviation = tl.zeros((BLOCK_CHANNELS,), ACCUMULATOR)
    for start in range(0, SHARES, BLOCK_SHARES):
        shares = start + tl.arange(0, BLOCK_SHARES)
        valid = (shares < SHARES)[:, None] & inside[None, :]
        at = shares[:, None] * C + channels[None, :]
        number = tl.load(counts + shares, shares < SHARES, 0.0)[:, None]
        shift = tl.where(valid, tl.load(means + at, valid, 0.0) - mean[None, :], 0.0)
        deviation += tl.sum(tl.load(deviations + at, valid, 0.0) + shift * shift * number, 0)
    variance = deviation / total
    tl.store(mean_out + channels, mean, inside)
    tl.store(scale_out + channels, 1.0 / tl.sqrt(variance + EPSILON), inside)
    if TRACKED:
        old_mean = tl.load(running_mean + channels, inside, 0.0).to(ACCUMULATOR)
        old_var = tl.load(running_var + channels, inside, 0.0).to(ACCUMULATOR)
        unbiased = deviation / (total - 1.0)
        tl.store(running_mean + channels, old_mean + MOMENTUM * (mean - old_mean), inside)
        tl.store(running_var + channels, old_var + MOMENTUM * (unbiased - old_var), inside)


@triton.jit
def apply_kernel(
    x, stream, y, mean, scale, weight, bias, ROWS, C, PIXELS, ALPHA,
    ADDED: tl.constexpr, RELU: tl.constexpr, AFFINE: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Write y = relu(stream + ALPHA x (weight (x - mean) scale + bias)), each part where it is wanted."""
    rows = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    channels = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    inside = channels < C
    valid = (rows < ROWS)[:, None] & inside[None, :]
    at = _offsets(rows, channels, C, PIXELS, CHANNELS_LAST)
    centre = tl.load(mean + channels, inside, 0.0).to(ACCUMULATOR)
    gain = tl.load(scale + channels, inside, 0.0).to(ACCUMULATOR)
    value = (tl.load(x + at, valid, 0.0).to(ACCUMULATOR) - centre[None, :]) * gain[None, :]
    if AFFINE:
        gamma = tl.load(weight + channels, inside, 0.0).to(ACCUMULATOR)
        beta = tl.load(bias + channels, inside, 0.0).to(ACCUMULATOR)
        value = value * gamma[None, :] + beta[None, :]
    if ADDED:
        value = tl.load(stream + at, valid, 0.0).to(ACCUMULATOR) + ALPHA * value
    if RELU:
        # Not maximum(value, 0), which may drop a NaN; torch's ReLU keeps it.
        value = tl.where(value <= 0.0, 0.0, value)
    tl.store(y + at, value, valid)


@triton.jit
def gradient_sums_kernel(
    x, y, dy, sums, products, mean, scale, ROWS, C, PIXELS, SHARE, ALPHA,
    RELU: tl.constexpr, CHANNELS_LAST: tl.constexpr, BLOCK_ROWS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr, ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Write, for each share of the rows, each channel's sum of g and of g (x - mean) scale, with g the
    gradient of the normalised branch."""
    share = tl.program_id(0)
    channels = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    inside = channels < C
    centre = tl.load(mean + channels, inside, 0.0).to(ACCUMULATOR)
    gain = tl.load(scale + channels, inside, 0.0).to(ACCUMULATOR)
    added = tl.zeros((BLOCK_CHANNELS,), ACCUMULATOR)
    multiplied = tl.zeros((BLOCK_CHANNELS,), ACCUMULATOR)
    begin = share * SHARE
    end = tl.minimum(begin + SHARE, ROWS)
    for start in range(begin, end, BLOCK_ROWS):
        rows = start + tl.arange(0, BLOCK_ROWS)
        valid = (rows < end)[:, None] & inside[None, :]
        at = _offsets(rows, channels, C, PIXELS, CHANNELS_LAST)
        g = ALPHA * tl.load(dy + at, valid, 0.0).to(ACCUMULATOR)
        if RELU:
            # As torch: no gradient where the output is 0 or below, NaN passes.
            g = tl.where(tl.load(y + at, valid, 0.0) <= 0.0, 0.0, g)
        normed = (tl.load(x + at, valid, 0.0).to(ACCUMULATOR) - centre[None, :]) * gain[None, :]
        added += tl.sum(g, 0)
        multiplied += tl.sum(tl.where(valid, g * normed, 0.0), 0)
    tl.store(sums + share * C + channels, added, inside)
    tl.store(products + share * C + channels, multiplied, inside)


@triton.jit
def add_shares_kernel(
    sums, products, sum_out, product_out, SHARES, C,
    BLOCK_SHARES: tl.constexpr, BLOCK_CHANNELS: tl.constexpr, ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Add the lines of both tables: the gradients of bias and weight."""
    channels = tl.program_id(0) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    inside = channels < C
    added = tl.zeros((BLOCK_CHANNELS,), ACCUMULATOR)
    multiplied = tl.zeros((BLOCK_CHANNELS,), ACCUMULATOR)
    for start in range(0, SHARES, BLOCK_SHARES):
        shares = start + tl.arange(0, BLOCK_SHARES)
        valid = (shares < SHARES)[:, None] & inside[None, :]
        at = shares[:, None] * C + channels[None, :]
        added += tl.sum(tl.load(sums + at, valid, 0.0), 0)
        multiplied += tl.sum(tl.load(products + at, valid, 0.0), 0)
    tl.store(sum_out + channels, added, inside)
    tl.store(product_out + channels, multiplied, inside)


@triton.jit
def gradient_kernel(
    x, y, dy, dx, dstream, mean, scale, weight, sums, products, ROWS, C, PIXELS, ALPHA,
    TRAINING: tl.constexpr, ADDED: tl.constexpr, RELU: tl.constexpr, AFFINE: tl.constexpr,
    CHANNELS_LAST: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """Write the gradients of x and of the stream.

    With n rows: dx = weight scale (g - sum(g) / n - (x - mean) scale sum(g (x - mean) scale) / n) in training
    (Ioffe & Szegedy 2015, section 3), weight scale g in evaluation.
    """
    rows = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    channels = tl.program_id(1) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    inside = channels < C
    valid = (rows < ROWS)[:, None] & inside[None, :]
    at = _offsets(rows, channels, C, PIXELS, CHANNELS_LAST)
    upper = tl.load(dy + at, valid, 0.0).to(ACCUMULATOR)
    if RELU:
        upper = tl.where(tl.load(y + at, valid, 0.0) <= 0.0, 0.0, upper)
    if ADDED:
        tl.store(dstream + at, upper, valid)
    g = ALPHA * upper
    factor = tl.load(scale + channels, inside, 0.0).to(ACCUMULATOR)
    if TRAINING:
        number = ROWS * 1.0
        centre = tl.load(mean + channels, inside, 0.0).to(ACCUMULATOR)
        normed = (tl.load(x + at, valid, 0.0).to(ACCUMULATOR) - centre[None, :]) * factor[None, :]
        mean_g = tl.load(sums + channels, inside, 0.0) / number
        mean_product = tl.load(products + channels, inside, 0.0) / number
        g = g - mean_g[None, :] - normed * mean_product[None, :]
    if AFFINE:
        factor = factor * tl.load(weight + channels, inside, 0.0).to(ACCUMULATOR)
    tl.store(dx + at, g * factor[None, :], valid)
