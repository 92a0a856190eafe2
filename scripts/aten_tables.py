"""Write the verdict on every aten operation of the installed torch into the package: `make aten-tables`."""

from __future__ import annotations

import isoflop.meter.flops.count  # noqa: F401  (what counting imports may add operations)
from isoflop.meter.flops import operations

if __name__ == "__main__":
    path = operations.write()
    for (verdict, kind), number in operations.summary(operations.read(path)).items():
        print(f"{path.name}: {verdict}, {kind}: {number}")
