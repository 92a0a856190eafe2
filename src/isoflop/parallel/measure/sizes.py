"""How a payload grows with the workers, and what memory it takes. Torch-free."""

from __future__ import annotations

from isoflop.record.parallel import Payload

POINT_BYTES = 800.0
"""Of one point of the grid while its matrix is made: 27 columns and marks, then values, indices, vectors."""
PARAMETER_BYTES = 16.0
"""Of one parameter in training: itself, its gradient and two moments, in fp32; activations come on top."""


def weak(payload: Payload, base: int, workers: int) -> int:
    """Return the amount at which every worker has the work that one has of `base`.

    Work grows in proportion to the examples of a batch and to the planes of a grid, and with the third power
    of the rows of a matrix.
    """
    return round(base * workers ** (1 / 3)) if payload == "matmul" else base * workers


def matrix_bytes(rows: int, workers: int, element_bytes: int) -> float:
    """Return the bytes of one worker: its rows of A, B and C, and a block of B on its way."""
    return (4.0 if workers > 1 else 3.0) * rows * rows / workers * element_bytes


def grid_bytes(side: int, planes: int, workers: int) -> float:
    """Return the bytes of one worker of a grid of side x side x planes points."""
    return POINT_BYTES * side * side * planes / workers
