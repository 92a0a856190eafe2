"""Imports of the fork server before it forks: the slow ones that every run needs, and no torch operation.

Deprecation warnings of fvcore and torchvision are silenced: users of a sweep can do nothing about them.
SIGINT is ignored from here on in the fork server and its children, since Ctrl-C is for the supervisor. The
state of the git checkout is read once, because it is the state of the code that is imported here.
"""

import contextlib
import importlib
import signal
import warnings

signal.signal(signal.SIGINT, signal.SIG_IGN)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for name in (
        "fvcore.nn",
        "torchvision.models",
        "torch._dynamo",
        "isoflop.runner.attempt",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)

with contextlib.suppress(ImportError):
    importlib.import_module("isoflop.runner.provenance").git_state()
