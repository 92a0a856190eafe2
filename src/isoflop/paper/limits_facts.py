"""Published rates of supercomputers on a dense and on a sparse program, each with its source."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine on a list of TOP500.

    Attributes:
        name, edition: of the machine and the list.
        cores: as the list counts them: those of GPUs are their multiprocessors.
        peak_tflops: theoretical peak, fp64 (Rpeak).
        hpl_tflops: on HPL, a dense system of equations (Rmax).
        hpcg_tflops: on HPCG, sparse conjugate gradients.
        source: of these.
        claimed_hpl, claimed_hpcg: shares of peak as Vegh gives them, with the digits that he gives [M]; None
            of machines that came later.
    """

    name: str
    edition: str
    cores: int
    peak_tflops: float
    hpl_tflops: float
    hpcg_tflops: float
    source: str
    claimed_hpl: str | None = None
    claimed_hpcg: str | None = None


_2020 = "top500.org/lists/hpcg/hpcg-november-2020; Rpeak as others quote the list"
_2025 = "top500.org/lists/top500/2025/06/highs; Rpeak as others quote the list"

MACHINES = (
    Machine(
        *("Fugaku", "November 2020", 7_630_848, 537_212.0, 442_010.0, 16_004.50, _2020),
        *("0.823", "0.030"),
    ),
    Machine(
        *("Summit", "November 2020", 2_414_592, 200_794.9, 148_600.0, 2_925.75, _2020),
        *("0.740", "0.0146"),
    ),
    Machine(
        *("Sierra", "November 2020", 1_572_480, 125_712.0, 94_640.0, 1_795.67, _2020),
        *("0.753", "0.0143"),
    ),
    Machine("El Capitan", "June 2025", 11_039_616, 2_746_380.0, 1_742_000.0, 17_410.0, _2025),
)
"""The three of Vegh (arXiv 2005.00872), and the first of both lists of June 2025."""
