"""Imported by the fork server before it forks: the slow imports every cell needs, and no torch operation.

fvcore and torchvision tell of their own deprecations when imported; a sweep's user can do nothing about them.
"""

import contextlib
import importlib
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for name in ("fvcore.nn", "sklearn.datasets", "torchvision.models", "isoflop.run"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
