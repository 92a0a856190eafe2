"""Stubs of SLURM's commands that accept every job."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

SbatchCalls = Callable[[], list[list[str]]]

SBATCH = """#!/bin/sh
[ -e "{folder}/refuse-$(cat "{folder}/calls" | wc -l)" ] && {{ echo "sbatch: error: {refusal}" >&2; exit 1; }}
env | grep -c ^SLURM_ > "{folder}/slurm-variables"
echo x >> "{folder}/calls"
(for word in "$@"; do printf '%s\\0' "$word"; done; printf '\\n\\0') >> "{folder}/arguments"
echo "$(wc -l < "{folder}/calls");cluster"
"""


@pytest.fixture
def sbatch_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SbatchCalls:
    """Install stubs of SLURM's commands that accept every job; sbatch_calls() returns their arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "calls").touch()
    scripts = {
        "sbatch": SBATCH.format(folder=folder, refusal="Invalid account or account/partition combination"),
        "squeue": "#!/bin/sh\n",
        "scontrol": "#!/bin/sh\necho 'MaxArraySize            = 3'\n",
    }
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def calls() -> list[list[str]]:
        parts = (folder / "arguments").read_text().split("\n\0")[:-1]
        return [part.split("\0")[:-1] for part in parts]

    return calls
