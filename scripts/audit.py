"""Known holes in the pinned versions of constraints.txt, asked of a package index by pip-audit.

    python scripts/audit.py     (make audit; under a minute)

Exit code 1 and a line for each hole; a line and exit code 0 where no index answers, as behind a firewall,
since then nothing is known. pip-audit alone says "No known vulnerabilities found" there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
TIMEOUT_SECONDS = 300


def ask(constraints: Path) -> dict[str, Any] | None:
    """Return pip-audit's report of the versions that a file pins; None if it could not make one."""
    command = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--timeout=10", "--format=json"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *command, "--requirement", constraints],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        return dict(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, ValueError):
        return None


def lines(report: dict[str, Any] | None) -> tuple[list[str], int]:
    """Return the lines to print and the exit code: 1 with a hole, else 0."""
    pinned = report["dependencies"] if report else []
    known = [each for each in pinned if "skip_reason" not in each]
    if not known:
        return ["audit: no package index answered: nothing was checked"], 0
    holes = [
        f"{each['name']} {each['version']}: {hole['id']}, "
        f"fixed in {', '.join(hole['fix_versions']) or 'no version'}"
        for each in known
        for hole in each["vulns"]
    ]
    skipped = [each["name"] for each in pinned if "skip_reason" in each]
    rest = f"; the index does not know {', '.join(skipped)}" if skipped else ""
    return [*holes, f"audit: {len(known)} versions checked, {len(holes)} known holes{rest}"], int(bool(holes))


def main() -> int:
    """Print what the index knows and return the exit code."""
    printed, code = lines(ask(CONSTRAINTS))
    print("\n".join(printed))
    return code


if __name__ == "__main__":
    sys.exit(main())
