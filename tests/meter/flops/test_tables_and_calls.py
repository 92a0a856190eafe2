"""The generated table of operations, written and read back; calls of a module with other parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from isoflop.meter.flops import meta_trace, operations
from isoflop.meter.flops.operations import Verdict

ROWS = [
    Verdict("mm", "counted", "formula"),
    Verdict("relu", "free", "a, b"),
    Verdict("cov", "refused", "other"),
]


def test_a_table_is_written_into_a_new_folder_and_over_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "verdicts", lambda: ROWS)
    folder = tmp_path / "new" / "folder"
    for _ in range(2):
        path = operations.write(folder)
        assert path == folder / f"torch-{operations.version()}.csv"
        assert operations.read(path) == ROWS
    assert torch.__version__.startswith(f"{operations.version()}.")
    assert operations.version().count(".") == 1


def test_a_summary_has_the_most_frequent_kind_first_within_a_verdict() -> None:
    rows = [Verdict("a", "free", "x"), *[Verdict(n, "free", "y") for n in "bc"], Verdict("d", "counted", "z")]
    rows.append(Verdict("e", "free", "w"))
    assert list(operations.summary(rows).items()) == [
        (("counted", "z"), 1),
        (("free", "y"), 2),
        (("free", "w"), 1),
        (("free", "x"), 1),
    ]


class Sum(nn.Module):
    """The sum of its arguments and its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, *numbers: Any, more: float = 0.0) -> torch.Tensor:
        return self.weight + sum(numbers) + more


@pytest.mark.parametrize(
    ("args", "kwargs", "total"),
    [((), None, 7), (None, None, 7), (2.0, None, 9), ((2.0, 3.0), {"more": 4.0}, 16)],
)
def test_a_module_is_called_with_other_parameters(args: Any, kwargs: Any, total: float) -> None:
    model = Sum()
    given = {"weight": torch.tensor(7.0)}
    assert float(meta_trace._functional_call(model, given, args, kwargs).detach()) == total
    assert float(torch.func.functional_call(model, given, () if args is None else args, kwargs)) == total
    assert float(model.weight.detach()) == 1, "its own are put back"


def test_what_the_arguments_of_a_convolution_are() -> None:
    plain = meta_trace._plain("x", "w")
    assert plain == ("x", "w", None, 1, 0, 1, False, 0, 1)
    transposed = meta_trace._transposed("x", "w", "b", 2, 3, 4, 5, 6)
    assert transposed == ("x", "w", "b", 2, 3, 6, True, 4, 5)
    assert meta_trace._transposed("x", "w") == ("x", "w", None, 1, 0, 1, True, 0, 1)
    assert meta_trace._each(3, 2) == [3, 3]
    assert meta_trace._each([3], 2) == [3, 3]
    assert meta_trace._each((3, 5), 2) == [3, 5]
