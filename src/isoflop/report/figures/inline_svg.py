"""A drawing's SVG made fit to stand inside the page: small, with ids of its own, and with words for it."""

from __future__ import annotations

import html
import re

_SHORTER = (
    (r"<\?xml.*?(?=<svg)", ""),
    (r"<metadata>.*?</metadata>", ""),
    (r"<!--.*?-->", ""),
    (r' transform="rotate\(-?0 [^"]*\)"', ""),
    (r'(<use [^>]*?) style="[^"]*stroke-width: 0\.[68]"', r"\1"),
    (r"\s*\n\s*", " "),
    (r"> <", "><"),
    (r"(?<=[a-z]): (?=[^<>]*\")", ":"),
    (r"; (?=[a-z-]+:)", ";"),
    (r"xlink:href", "href"),
)
_TAG = re.compile(r"<[^>]*>")
_DIGITS = re.compile(r"(?<!opacity: )(\d\.\d)\d+(?=[\s\"])")
"""Of coordinates; opacities stay, since 0.09 would be none, and numbers between tags, for the reader."""
_JOINS = ".still svg *{stroke-linejoin:round;stroke-linecap:butt}"
_LONELY = re.compile(r"<g>(<(?:use|path)\b[^>]*/>|)</g>")


def inline(svg: str, prefix: str, alt: str) -> str:
    """The drawing as an <svg> element; its ids start with `prefix`, since ids must be unique in a page."""
    svg = _TAG.sub(lambda tag: _DIGITS.sub(r"\1", tag[0]), svg)
    for pattern, replacement in _SHORTER:
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    used = dict.fromkeys(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    short = {name: f"{prefix}{i}" for i, name in enumerate(used)}
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{short[m[1]]}"' if m[1] in short else "", svg)
    svg = re.sub(r'(url\(#|href="#)([^)"]+)', lambda m: m[1] + short[m[2]], svg)
    styles = dict.fromkeys(re.findall(r' style="([^"]*)"', svg))
    classes = {style: f"{prefix}s{i}" for i, style in enumerate(styles)}
    svg = re.sub(r' style="([^"]*)"', lambda m: f' class="{classes[m[1]]}"', svg)
    rules = "".join(f".{name}{{{html.unescape(style)}}}" for style, name in classes.items())
    svg = re.sub(r"<style[^>]*>.*?</style>", lambda _: f"<style>{_JOINS}{rules}</style>", svg, count=1)
    while _LONELY.search(svg):
        svg = _LONELY.sub(r"\1", svg)
    head = f'<svg role="img" aria-label="{html.escape(alt)}" '
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', lambda m: head + m[1], svg, count=1)
