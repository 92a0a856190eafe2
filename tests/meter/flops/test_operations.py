"""The committed verdicts on aten operations are those of the installed torch; docs/flops.md sums them up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from isoflop.meter.flops import operations
from isoflop.meter.flops.free import is_free
from isoflop.meter.flops.operations import Verdict

DOCS = Path(__file__).parents[3] / "docs" / "flops.md"
TABLES = sorted(operations.TABLES.glob("torch-*.csv"))


def test_the_table_of_the_installed_torch_is_up_to_date() -> None:
    path = operations.TABLES / f"torch-{operations.version()}.csv"
    if not path.exists():
        pytest.skip(f"no table of torch {operations.version()}: make aten-tables")
    assert operations.read(path) == operations.verdicts()


def test_pinned_and_oldest_torch_have_a_table() -> None:
    assert [path.name for path in TABLES] == ["torch-2.11.csv", "torch-2.15.csv"]


def test_versions_of_torch_agree_on_what_they_share() -> None:
    oldest, pinned = ({row.operation: row for row in operations.read(path)} for path in TABLES)
    shared = oldest.keys() & pinned.keys()
    assert len(shared) > 1500
    assert [name for name in sorted(shared) if oldest[name].verdict != pinned[name].verdict] == []


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_verdicts_on_products(path: Path) -> None:
    rows = {row.operation: row for row in operations.read(path)}
    counted = (
        "mm",
        "addmm_",
        "bmm",
        "linear",
        "conv2d",
        "einsum",
        "tensordot",
        "inner",
        "lstm",
        "embedding_bag",
    )
    assert {rows[name].verdict for name in counted} == {"counted"}
    refused = (
        "bilinear",
        "_trilinear",
        "cdist",
        "addr",
        "fft_fft",
        "linalg_inv",
        "_sparse_mm",
        "cov",
        "_int_mm",
    )
    assert {rows[name].verdict for name in refused} == {"refused"}
    free = ("add_", "relu", "outer", "polar", "quantile", "affine_grid_generator", "mse_loss", "_foreach_mul")
    assert {rows[name].verdict for name in free} == {"free"}
    words = ("mm", "bmm", "matmul", "conv1d", "conv2d", "conv3d", "convolution", "linear", "attention", "dot")
    products = [n for n, row in rows.items() if set(n.strip("_").split("_")) & set(words)]
    assert len(products) > 60
    upsampled = ("bilinear", "linear1d", "trilinear3d")
    assert [n for n in products if rows[n].verdict == "free" and not any(u in n for u in upsampled)] == []


def test_a_new_operation_is_refused() -> None:
    assert not is_free("aten::some_new_product")
    assert operations._verdict("aten::some_new_product", [], formula=False) == Verdict(
        "some_new_product", "refused", "other"
    )
    # A formula alone is not enough: the other counter would name the operation.
    assert operations._verdict("aten::some_new_product", [], formula=True).verdict == "refused"
    assert operations._verdict("aten::some_new_backward", [], formula=True).verdict == "counted"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_the_documented_summary_is_that_of_the_tables(path: Path) -> None:
    counts = Counter(row.verdict for row in operations.read(path))
    version = path.stem.removeprefix("torch-")
    row = f"| {version} | {counts['counted']} | {counts['free']} | {counts['refused']} |"
    assert row in DOCS.read_text()


def test_the_documented_kinds_are_those_of_the_pinned_table() -> None:
    text = DOCS.read_text()
    for (verdict, kind), number in operations.summary(operations.read(TABLES[-1])).items():
        assert f"| {verdict} | {kind} | {number} |" in text
