"""Results as JSON: the text that the command line writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from isoflop import record


def payload(value: Any) -> bytes:
    """Return a result as indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def as_json(value: Any, path: str | Path | None) -> str | None:
    """Return a result as JSON, or write it to `path` atomically and return None. Raises OSError."""
    if path is None:
        return payload(value).decode()
    record.write_bytes(Path(path), payload(value))
    return None
