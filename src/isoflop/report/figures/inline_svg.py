"""A drawing inside a page: its SVG, as matplotlib writes it, in an <img> element."""

from __future__ import annotations

import base64

from markupsafe import Markup


def img(svg: str, alt: str) -> Markup:
    """Return an <img> element that holds `svg` as base64, with the alternative text `alt`.

    In an <img> the ids, styles and scripts of an SVG are its own, so that drawings cannot clash with each
    other or with the page.
    """
    encoded = base64.b64encode(svg.encode()).decode("ascii")
    return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(alt, encoded)
