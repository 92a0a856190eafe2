"""A drawing inside a page: matplotlib's SVG in an <img> element, light or dark as the page is."""

from __future__ import annotations

import base64
import re

from markupsafe import Markup

from isoflop.report.figures import style

_COLOUR = re.compile(r"(?<=[:\s])#[0-9a-fA-F]{6}\b")
_OPENED = re.compile(r"<svg\b[^>]*>")


def img(svg: str, alt: str) -> Markup:
    """Return an <img> element that holds `svg` as base64, with the alternative text `alt`.

    In an <img> the ids, styles and scripts of an SVG are its own, so that drawings cannot clash with each
    other or with the page.
    """
    encoded = base64.b64encode(themed(svg).encode()).decode("ascii")
    return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(alt, encoded)


def themed(svg: str) -> str:
    """Return an SVG whose colours change where the reader's system is dark (style.DARK).

    matplotlib writes colours into style attributes, where they give way to variables of CSS.
    """
    used: dict[str, str] = {}

    def variable(found: re.Match[str]) -> str:
        colour = found[0].lower()
        if colour not in style.DARK:
            return found[0]
        used[colour] = style.DARK[colour]
        return f"var(--c{colour[1:]})"

    body = re.sub(r'style="[^"]*"', lambda attribute: _COLOUR.sub(variable, attribute[0]), svg)
    light, dark = (
        "".join(f"--c{colour[1:]}:{shown};" for colour, shown in each)
        for each in (zip(used, used, strict=True), used.items())
    )
    rules = f"<style>:root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    return _OPENED.sub(lambda opened: opened[0] + rules, body, count=1)
