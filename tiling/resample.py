"""Enlarges and shrinks pictures with exact half-pixel geometry.

Pixel i covers [i, i + 1), its centre is i + 0.5. One filter serves both directions: a triangle as wide as an
output pixel, never narrower than two input pixels. That is bilinear interpolation when growing, an antialiased
average when shrinking, and it never overshoots. Both passes are banded matrix products on interleaved rows, so
no channel is ever transposed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
_FloatRows = npt.NDArray[np.float32]
_BLOCK = 16  # output pixels per matrix product: wide enough for BLAS, narrow enough to stay banded
_STRIPE = 512  # output rows that are floats at once; whole blocks


def axis_weights(
    start_px: float, length_px: float, n_out: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Filter taps of one axis.

    Args:
        start_px, length_px: the interval to resample, in input pixels; it may leave the input.
        n_out: number of output pixels the interval is cut into.

    Returns:
        first: (n_out,) input index of the first tap, not clipped to the input; weights: (n_out,
            n_taps), rows sum to 1.
    """
    step = length_px / n_out
    radius = max(1.0, step)
    centers = start_px + (np.arange(n_out) + 0.5) * step
    n_taps = int(np.ceil(2.0 * radius)) + 1
    first = np.floor(centers - radius).astype(np.int64)
    taps = first[:, None] + np.arange(n_taps)
    weights = np.maximum(0.0, 1.0 - np.abs(taps + 0.5 - centers[:, None]) / radius)
    weights /= weights.sum(axis=1, keepdims=True)
    return first, weights.astype(np.float32)


def tap_range(start_px: float, length_px: float, n_out: int, n_in: int) -> tuple[int, int]:
    """Input pixels [low, high) inside [0, n_in) that `axis_weights` can read; never empty."""
    step = length_px / n_out
    radius = max(1.0, step)
    low = int(np.floor(start_px + 0.5 * step - radius))
    high = (
        int(np.floor(start_px + length_px - 0.5 * step - radius)) + int(np.ceil(2.0 * radius)) + 1
    )
    return min(max(low, 0), n_in - 1), min(max(high, 1), n_in)


def resample(
    pixels: Pixels, x: float, y: float, w: float, h: float, out_w: int, out_h: int
) -> Pixels:
    """Resamples a fractional region of an array; outside the array the nearest pixel is repeated.

    Args:
        pixels: (rows, columns, channels) uint8.
        x, y, w, h: the region in pixels of the array, origin at its top-left corner.

    Returns:
        (out_h, out_w, channels) uint8, rounded to nearest.
    """
    rows, columns, channels = pixels.shape
    flat = pixels.reshape(rows, columns * channels)
    first, weights = axis_weights(y, h, out_h)
    across = axis_weights(x, w, out_w)
    result = np.empty((out_h, out_w * channels), np.uint8)
    for top in range(0, out_h, _STRIPE):
        part = slice(top, top + _STRIPE)
        low, high = np.clip([first[part][0], first[part][-1] + weights.shape[1]], 0, rows)
        low = min(low, rows - 1)
        high = max(high, low + 1)
        stripe = _banded_product(
            first[part] - low, weights[part], flat[low:high].astype(np.float32)
        )
        stripe = _banded_product_right(*across, stripe, channels)
        stripe += 0.5
        result[part] = stripe
    return result.reshape(out_h, out_w, channels)


def _bands(first: npt.NDArray[np.int64], weights: _FloatRows, n_in: int) -> Any:
    """Yields (output slice, input slice, dense block of the band matrix)."""
    n_out, n_taps = weights.shape
    index = np.clip(first[:, None] + np.arange(n_taps), 0, n_in - 1)
    for begin in range(0, n_out, _BLOCK):
        end = min(begin + _BLOCK, n_out)
        low, high = int(index[begin, 0]), int(index[end - 1, -1]) + 1
        block = np.zeros((end - begin, high - low), dtype=np.float32)
        rows = np.broadcast_to(np.arange(end - begin)[:, None], (end - begin, n_taps))
        np.add.at(block, (rows, index[begin:end] - low), weights[begin:end])
        yield slice(begin, end), slice(low, high), block


def _banded_product(
    first: npt.NDArray[np.int64], weights: _FloatRows, values: _FloatRows
) -> _FloatRows:
    """(n_in, m) -> (n_out, m)."""
    result = np.empty((len(weights), values.shape[1]), dtype=np.float32)
    for out, into, block in _bands(first, weights, len(values)):
        np.matmul(block, values[into], out=result[out])
    return result


def _banded_product_right(
    first: npt.NDArray[np.int64], weights: _FloatRows, values: _FloatRows, channels: int
) -> _FloatRows:
    """(m, n_in * channels) -> (m, n_out * channels), channels interleaved."""
    n_in = values.shape[1] // channels
    result = np.empty((len(values), len(weights) * channels), dtype=np.float32)
    eye = np.eye(channels, dtype=np.float32)
    for out, into, block in _bands(first, weights, n_in):
        columns = slice(into.start * channels, into.stop * channels)
        result[:, out.start * channels : out.stop * channels] = (
            values[:, columns] @ np.kron(block, eye).T
        )
    return result
