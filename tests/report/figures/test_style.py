"""Colours: each can be seen, on a light page and on a dark one."""

from __future__ import annotations

import base64
import re

import pytest
from matplotlib.colors import to_rgb

from isoflop.report.figures import inline_svg, style

LAWS = (style.FORECAST, "power_law_ols", "exponential", "power_law", "power_law_floor", "m3", "m4")


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    return float(sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def dark(colour: str) -> str:
    return style.DARK.get(colour.lower(), colour)


@pytest.mark.parametrize("count", [2, 5, 9])
def test_points_show_on_a_dark_page_and_keep_their_order(count: int) -> None:
    tints = list(style.tints(range(count)).values())
    shown = [dark(tint) for tint in tints]
    assert len(set(shown)) == count
    assert all(contrast(colour, style.DARK[style.PAPER]) > 2.5 for colour in shown)
    assert [luminance(c) for c in shown] == sorted(luminance(c) for c in shown)
    assert [luminance(c) for c in tints] == sorted(luminance(c) for c in tints)


def test_laws_and_text_show_on_both_pages() -> None:
    assert len({style.law_colour(law) for law in LAWS}) == len(LAWS)
    for law in LAWS:
        assert contrast(dark(style.law_colour(law)), style.DARK[style.PAPER]) > 3
        assert contrast(style.law_colour(law), style.PAPER) > 2
    for ink in (style.INK, style.MUTED):
        assert contrast(ink, style.PAPER) > 4.5
        assert contrast(dark(ink), style.DARK[style.PAPER]) > 4.5


def test_a_drawing_in_a_page_is_dark_where_the_page_is() -> None:
    svg = f'<svg width="9"><path style="fill: {style.PAPER}; stroke: #0072b2"/><text>{style.INK}</text></svg>'
    themed = inline_svg.themed(svg)
    assert "fill: var(--cffffff); stroke: #0072b2" in themed
    assert f"<text>{style.INK}</text>" in themed, "what is written stays"
    assert f"@media(prefers-color-scheme:dark){{:root{{--cffffff:{style.DARK[style.PAPER]};}}}}" in themed
    encoded = re.search('base64,([^"]+)', inline_svg.img(svg, "a"))
    assert encoded is not None
    assert base64.b64decode(encoded[1]).decode() == themed
