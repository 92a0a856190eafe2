"""The state and the reason that a failure's record has; torch-free, as loops of the user's own may be."""

from __future__ import annotations

import traceback
from pathlib import Path

from isoflop import record as records
from isoflop.record import State, redact


def of(error: BaseException, log: Path) -> tuple[State, str]:
    """Return `oom` or `failed` and the reason, without secrets; a failure's traceback is written to `log`."""
    first = redact.text((str(error).strip() or type(error).__name__).splitlines()[0])
    # Torch has a type for running out of memory on a GPU, and only a message for a CPU.
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if out_of_memory or "can't allocate memory" in str(error):
        return "oom", first
    where = f"traceback in {log}"
    try:
        records.write_bytes(log, redact.text("".join(traceback.format_exception(error))).encode())
    except OSError as unwritable:  # a folder in its place, say: the record must be written all the same
        where = f"no traceback: {log}: {unwritable.strerror}"
    return "failed", f"{type(error).__name__}: {first} ({where})"
