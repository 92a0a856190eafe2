"""What a recorder refuses."""

from __future__ import annotations


class RecorderError(ValueError):
    """A recorder was given something it cannot use, or was used out of order; the message says what to do."""


class NotFiniteError(RecorderError):
    """A logged error or loss is NaN or infinite: the training has diverged, and its record says so."""
