"""Deadlines as people write them."""

from __future__ import annotations

import pytest

from isoflop.config import ConfigError
from isoflop.plan import deadline


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2592000), ("12h", 43200), ("45min", 2700), ("2 weeks", 1209600)]
)
def test_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert deadline.parse(text) == deadline.Deadline(text, seconds)


@pytest.mark.parametrize("text", ["30", "d", "0d", "-3d", "3 months", "1e400d", ""])
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="--deadline") as refused:
        deadline.parse(text)
    assert "\n" not in str(refused.value)
