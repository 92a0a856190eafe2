"""Imported by the fork server before it forks: the slow imports every cell needs, and no torch operation.

fvcore and torchvision tell of their own deprecations when imported; a sweep's user can do nothing about them.
Ctrl-C is the supervisor's: from here on neither the fork server nor its children take it. The state of the
checkout is asked for once: it is that of the code imported here.
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
        "sklearn.datasets",
        "torchvision.models",
        "torch._dynamo",
        "isoflop.runner.attempt",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)

with contextlib.suppress(ImportError):
    importlib.import_module("isoflop.runner.provenance").git_state()
