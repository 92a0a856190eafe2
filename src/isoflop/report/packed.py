"""Text packed to stand inside a page's script element, plotly's library among it; page.js unpacks it."""

from __future__ import annotations

import functools
import gzip

import numpy as np
from plotly.offline import get_plotlyjs

_ESCAPED = {code: 128 + code for code in (0, 10, 13, 60)}
"""NUL and line ends, which HTML changes, and `<`, which could end a script."""


def pack(text: str) -> str:
    """`text` gzip-compressed, seven bits a character, safe inside a <script> element; page.js unpacks it.

    Base64 would take a sixth more: plotly's library alone would then fill the page's 2 MB.
    """
    bits = np.unpackbits(np.frombuffer(gzip.compress(text.encode(), 9, mtime=0), dtype=np.uint8))
    rows = np.pad(bits, (0, -len(bits) % 7)).reshape(-1, 7)
    return np.packbits(np.pad(rows, ((0, 0), (1, 0))), axis=1).tobytes().decode("ascii").translate(_ESCAPED)


@functools.cache
def library() -> str:
    """plotly.js (MIT licence, its notice included), packed."""
    return pack(get_plotlyjs())
