"""Utilisation of a device: share of its dense peak (MFU), and share of the roofline of its measured ceilings.

The roofline (Williams, Waterman & Patterson 2009) is the lower of two roofs: the rate of a large matrix
product, and arithmetic intensity x the bandwidth of a large copy. The first bounds every step. The second
bounds only a step that moves as many bytes as were counted, which is what a step without fusion moves: a
fused step, or one whose tensors stay in a cache, moves fewer and may lie above it.
"""

from __future__ import annotations

from isoflop import record

SLACK = 1.05
"""A share up to this is attributed to measurement error; beyond it, the ceiling was no upper bound."""


def mfu(achieved_flops_per_second: float, peak: record.PeakRate) -> float:
    """Return the model FLOPs utilisation: the model's own FLOPs per second over the dense peak, in [0, 1].

    (Chowdhery et al. 2022, PaLM, section 4.1.)

    Raises:
        ValueError: the share exceeds 1, so the FLOPs, the seconds or the peak are wrong: most often the work
            ran at another precision than `peak.dtype`, or the GPU was not synchronized.
    """
    share = achieved_flops_per_second / peak.flops_per_second
    if share > 1:
        raise ValueError(
            f"MFU of {share:.3g}: {achieved_flops_per_second:.4g} FLOP/s exceed the {peak.dtype} peak of "
            f"{peak.flops_per_second:.4g}: check the precision named for the run ({peak.source})"
        )
    return share


def hardware_burden_flops(peak: record.PeakRate, train_seconds: float, devices: int = 1) -> float:
    """Return the FLOPs the hardware could have done meanwhile: devices x peak rate x seconds.

    (Thompson et al. 2020, section 3.) It is reported beside the FLOPs that were counted.
    """
    return devices * peak.flops_per_second * train_seconds


def roof_flops_per_second(ceiling: record.Ceiling, intensity_flops_per_byte: float) -> float:
    """Return the roofline at an arithmetic intensity: the lower of the two roofs."""
    return min(ceiling.flops_per_second, intensity_flops_per_byte * ceiling.bytes_per_second)


def roofline_share(
    achieved_flops_per_second: float, ceiling: record.Ceiling, intensity_flops_per_byte: float
) -> tuple[float | None, str | None]:
    """Return the share of the roofline that was reached, or None and why there is none.

    A share above SLACK is refused, never clipped. Above the compute ceiling, the ceiling is out of date.
    Above the bandwidth roof alone, the step moves fewer bytes than a step without fusion, so that roof does
    not apply to it.
    """
    of_ceiling = achieved_flops_per_second / ceiling.flops_per_second
    if of_ceiling > SLACK:
        return None, (
            f"{of_ceiling:.3g} times the measured {ceiling.dtype} ceiling of {ceiling.flops_per_second:.4g} "
            "FLOP/s: measure it again on an idle device (isoflop doctor --measure)"
        )
    share = achieved_flops_per_second / roof_flops_per_second(ceiling, intensity_flops_per_byte)
    if share > SLACK:
        return None, (
            f"{share:.3g} times the roofline of a step without fusion: the step moves fewer bytes than were "
            f"counted (fused, or kept in a cache); of the compute ceiling it reached {of_ceiling:.3g}"
        )
    return share, None
