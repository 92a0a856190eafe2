"""Verdict on every aten operation of the installed torch: counted, free or refused.

The verdict is on a model's forward pass that calls the operation. It is counted if both counters count it:
torch's by a formula or by its parts, fvcore by a handle; a gradient, which no trace holds, if torch's counter
does. It is refused if either counter would name it, so that the FLOPs are unknown.

`make aten-tables` writes aten/torch-X.Y.csv, the tables of the pinned and of the oldest supported torch.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from isoflop.meter.flops.free import why_free
from isoflop.meter.flops.handles import FVCORE_HANDLES, PARTS_DECIDE, TORCH_CORRECTIONS
from isoflop.table import csv_text

TABLES = Path(__file__).with_name("aten")
"""Folder of the committed tables, one a version of torch."""

FVCORES_OWN = ("aten::_convolution",)
"""Operations that fvcore's own handle counts."""

_REFUSED = {
    "Fourier transforms": r"_?fft_\w+|i?stft|_?cufft\w*",
    "decompositions, inverses, solvers": (
        r"_?linalg_\w+|\w*(cholesky|lu_|_lu|svd|slogdet|solve|inverse)\w*|det|logdet|geqrf|orgqr|ormqr|qr|matrix_exp\w*"
        r"|nuclear_norm|_compute_linear_combination"
    ),
    "distances": r"_?(cdist|pdist|euclidean_dist)\w*",
    "sparse": (
        r"\w*(sparse|coalesce|csr|csc|bsr|bsc|coo)\w*|[sh]s?p?mm|sspaddmm|_?to_dense\w*|_cslt\w*|_nnz|_spdiags"
        r"|_dim[IV]"
    ),
    "quantised": r"\w*(quant|int4|int8|qparams|fbgemm|q_|qscheme|int_mm|int_repr|fp16|mixed_dtypes)\w*",
    "nested": r"\w*(nested|jagged|padded)\w*",
    "kernels of one device or library": (
        r"\w*(cudnn|miopen|mkldnn|nnpack|mps|triton|slow_conv|thnn)\w*|conv_depthwise3d"
    ),
    "optimizers and gradient scaling": r"_fused_(ada|sgd)\w*|_amp_\w+|_foreach_\w+",
    "other products": (
        r"\w*(mm|addmm|linear|bilinear|convolution|conv|matmul|attention|encoder|lstm|gru|rnn|tbc|baddbmm)\w*"
    ),
}
"""Kinds of refused operations, for the summary: patterns of names."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Verdict on one operation.

    Attributes:
        operation: name without namespace and overload, such as `mm`.
        verdict: `counted`, `free` or `refused`.
        kind: how it is counted, or the kind of work that is free or refused.
    """

    operation: str
    verdict: str
    kind: str


def verdicts() -> list[Verdict]:
    """Return the verdict on every aten operation of the installed torch, by name."""
    mode = FlopCounterMode(display=False, custom_mapping=TORCH_CORRECTIONS)
    formulas = {f"aten::{packet.__name__}" for packet in mode.flop_registry if _is_aten(packet)}
    overloads: dict[str, list[str]] = {}
    for full_name in torch._C._dispatch_get_all_op_names():
        if full_name.startswith("aten::"):
            overloads.setdefault(full_name.partition(".")[0], []).append(full_name)
    return [_verdict(name, overloads[name], name in formulas) for name in sorted(overloads)]


def summary(table: Iterable[Verdict]) -> dict[tuple[str, str], int]:
    """Return how many operations have each verdict and kind, the most frequent first within a verdict."""
    counts = Counter((row.verdict, row.kind) for row in table)
    return dict(sorted(counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1])))


def write(folder: Path = TABLES) -> Path:
    """Write the table of the installed torch and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"torch-{version()}.csv"
    path.write_text(csv_text.to_csv(pd.DataFrame(verdicts())), newline="")
    return path


def read(path: Path) -> list[Verdict]:
    """Return a committed table."""
    with path.open(newline="") as file:
        return [Verdict(**row) for row in csv.DictReader(file)]


def version() -> str:
    """Return the installed torch's version without its patch level, such as 2.15."""
    return ".".join(torch.__version__.split(".")[:2])


def _verdict(name: str, overloads: list[str], formula: bool) -> Verdict:
    operation = name.removeprefix("aten::")
    gradient = "_backward" in operation
    if name in PARTS_DECIDE:
        return Verdict(operation, "counted", "parts decide")
    handle = name in FVCORE_HANDLES or name in FVCORES_OWN
    why = why_free(name)
    if why is not None:
        return Verdict(operation, "free", why)
    if formula and (handle or gradient):
        return Verdict(operation, "counted", "gradient" if gradient else "formula")
    if handle and _has_parts(overloads):
        return Verdict(operation, "counted", "parts")
    kind = next((kind for kind, pattern in _REFUSED.items() if re.fullmatch(pattern, operation)), "other")
    return Verdict(operation, "refused", kind)


def _has_parts(overloads: list[str]) -> bool:
    """Return whether torch defines an operation by others, for every overload that makes its own result."""
    return all(
        torch._C._dispatch_has_kernel_for_dispatch_key(each, "CompositeImplicitAutograd")
        for each in overloads
        if not each.endswith("out")
    )


def _is_aten(packet: object) -> bool:
    return str(packet).startswith("aten.")
