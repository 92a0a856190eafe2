"""Standard output and error that are closed, full, or gone with their reader or terminal.

What a run prints also stands in its record, so a run or a sweep goes on without them. A query whose answer
could not be printed has failed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO


class GuardedStream:
    """A text stream whose first failure to write is kept in `lost`; after it nothing more is written.

    `before_text` is called before text is written, such as to take a bar off the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None
        self.before_text: Callable[[], None] | None = None

    def write(self, text: str) -> int:
        """Write `text`, if that can still be done, and return its length."""
        if self.before_text is not None:
            self.before_text()
        if self.lost is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, if that can still be done."""
        if self.lost is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Note the failure, and let what is still buffered go nowhere when the interpreter ends."""
        self.lost = error
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def guarded() -> Iterator[GuardedStream]:
    """Guard sys.stdout and sys.stderr inside the context; yields the guard of the former."""
    _open_closed_descriptors()
    before = sys.stdout, sys.stderr
    out, err = GuardedStream(sys.stdout), GuardedStream(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _open_closed_descriptors() -> None:
    """Open the null device in the place of each standard stream that was closed (`>&-`).

    The next file that is opened would get its number, and then all that a library or a child process prints.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
