"""How far the largest machines parallelise a dense and a sparse program: Vegh's figures, and newer ones.

Of N cores with a peak P each, a program that runs at R uses the share E = R/(N P). Taken as the efficiency of
N workers it gives the effective parallel fraction (isoflop.parallel.limits), and with it the rate that no
number of such cores would exceed. A share of peak also holds what a single core fails to reach of its own
peak, which is no matter of parallelism: most of what HPCG loses may be that, as it waits for memory on one
core too. Measured speed-ups of the same program, as `isoflop parallel` takes them, tell the two apart.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Literal

from isoflop.curve.judge.answer import Ruling
from isoflop.paper.limits_facts import MACHINES, Machine
from isoflop.parallel import limits

Program = Literal["HPL", "HPCG"]


@dataclasses.dataclass(frozen=True)
class Reached:
    """One program on one machine.

    Attributes:
        machine, edition, program: of which list.
        cores: N.
        efficiency: E, the share of peak.
        claimed: E as Vegh gives it [M]; None of later machines.
        speedup: E N, in cores at their peak.
        serial_fraction: 1 - alpha_eff.
        limit: 1/(1 - alpha_eff), the speed-up that no number of such cores exceeds.
    """

    machine: str
    edition: str
    program: Program
    cores: int
    efficiency: float
    claimed: str | None
    speedup: float
    serial_fraction: float
    limit: float


@dataclasses.dataclass(frozen=True)
class LimitsResult:
    """Every machine on both programs, and the serial fraction of HPCG over that of HPL, by machine."""

    reached: tuple[Reached, ...]
    ratios: tuple[tuple[str, float], ...]
    machines: tuple[Machine, ...]

    def of(self, program: Program) -> tuple[Reached, ...]:
        """Return what one program reached, by machine."""
        return tuple(each for each in self.reached if each.program == program)


def analyse(machines: tuple[Machine, ...] = MACHINES) -> LimitsResult:
    """Return what each machine reaches on HPL and on HPCG, and what follows of it."""
    reached = tuple(
        each for machine in machines for each in (_reached(machine, "HPL"), _reached(machine, "HPCG"))
    )
    ratios = tuple(
        (dense.machine, sparse.serial_fraction / dense.serial_fraction)
        for dense, sparse in zip(reached[::2], reached[1::2], strict=True)
    )
    return LimitsResult(reached, ratios, machines)


def _reached(machine: Machine, program: Program) -> Reached:
    tflops = machine.hpl_tflops if program == "HPL" else machine.hpcg_tflops
    efficiency = tflops / machine.peak_tflops
    serial = limits.serial_fraction_of_efficiency(efficiency, machine.cores)
    return Reached(
        machine=machine.name,
        edition=machine.edition,
        program=program,
        cores=machine.cores,
        efficiency=efficiency,
        claimed=machine.claimed_hpl if program == "HPL" else machine.claimed_hpcg,
        speedup=efficiency * machine.cores,
        serial_fraction=serial,
        limit=limits.speedup_limit(serial),
    )


def rounds_to(value: float, claimed: str) -> bool:
    """Return whether a value is `claimed` when it is rounded to the digits of that text."""
    half = 10.0 ** int(Decimal(claimed).as_tuple().exponent) / 2
    return abs(value - float(claimed)) <= half * (1 + 1e-9)


def judge(result: LimitsResult) -> Ruling:
    """Judge the six shares of peak: each must round to what is claimed."""
    given = [(each, each.claimed) for each in result.reached if each.claimed is not None]
    wrong = [each for each, claimed in given if not rounds_to(each.efficiency, claimed)]
    if wrong:
        names = ", ".join(f"{each.machine} on {each.program}" for each in wrong)
        return Ruling("disagrees", f"another share of peak follows from the list for {names}")
    return Ruling("agrees", f"all {len(given)} shares round to what is claimed")
