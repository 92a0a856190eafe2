#!/usr/bin/env python3
"""One command that measures a curve on a lent GPU, and its rehearsal: isoflop.sweep.campaign.

usage: python scripts/campaign.py --minutes 8 --out DIR   on the GPU: neither network nor figures are needed
       python scripts/campaign.py --report DIR            fits and pages from the records, on any machine
       python scripts/campaign.py --rehearse --out DIR    the same at toy size, in seconds on a CPU

How to prepare a machine without network: docs/campaign.md.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SOURCE = str(Path(__file__).resolve().parents[1] / "src")


if __name__ == "__main__":  # each worker process imports this file again, under another name
    if SOURCE not in sys.path:
        sys.path.insert(0, SOURCE)  # runs from a checkout, installed or not
        os.environ["PYTHONPATH"] = os.pathsep.join([SOURCE, *filter(None, [os.environ.get("PYTHONPATH")])])
    from isoflop.sweep.campaign import command

    sys.exit(command.main())
