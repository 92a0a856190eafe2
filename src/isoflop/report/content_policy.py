"""Content security policy of a page: what its browser may run and load, whatever text came into it.

A page is one file that asks for nothing. The policy states that to the browser, so that text of a record
which slipped through the template's escaping could neither run nor send anything away.
"""

from __future__ import annotations

import base64
import hashlib


def content_policy(*scripts: str) -> str:
    """Return the policy of a page that runs these scripts alone, each named by the hash of its text.

    Drawings are data: images (blob: where the reader saves a chart), and styles stand in the page: plotly
    sets them as attributes too, which no hash can name.
    """
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{each}'" for each in hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
