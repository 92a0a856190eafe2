"""Text compressed to stand inside the page's <script> elements, plotly's library among it."""

from __future__ import annotations

import base64
import functools
import gzip

from plotly.offline import get_plotlyjs


def pack(text: str) -> str:
    """Return `text` compressed by gzip, in base64; page.js unpacks it.

    The highest level takes half as long again, for a fifth of a per cent of plotly.
    """
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


@functools.cache
def plotly_source() -> str:
    """Return the text of plotly.js (MIT licence, its notice included)."""
    return str(get_plotlyjs())


@functools.cache
def plotly_library() -> str:
    """Return plotly.js, packed."""
    return pack(plotly_source())
