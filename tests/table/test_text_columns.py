from __future__ import annotations

import dataclasses
import math

import pytest

from isoflop.record import Record, TextFacts, known
from isoflop.table import text_columns

CONTEXT, SEEN, ATTENTION_MACS = 256, 1_000_000, 16_384.0


@pytest.fixture
def language_record(done_record: Record) -> Record:
    """A run of width 32, depth 1 on 256 kinds of byte, made from a run on images."""
    assert done_record.data is not None
    assert done_record.compute is not None
    assert done_record.loss is not None
    text = TextFacts(3, 90, 60, 1, 1, 1, 256, "a" * 64, **known(python_version=None))
    return dataclasses.replace(
        done_record,
        cell={"model": {"family": "gpt", "head_width": 16}},
        model=dataclasses.replace(done_record.model, parameters_without_embeddings=20_576),
        data=dataclasses.replace(
            done_record.data, input_shape=(CONTEXT,), text=text, text_reason=None, passes=0.5
        ),
        compute=dataclasses.replace(
            done_record.compute,
            examples_seen=SEEN,
            train_flops=6.0 * 36_864 * SEEN,
            forward_macs_by_op={"attention": ATTENTION_MACS, "mm": 20_480.0},
        ),
        loss=dataclasses.replace(
            done_record.loss,
            test=2 * math.log(2),
            val=math.log(8),
            test_document_se_nats=math.log(2) / 10,
            test_document_se_nats_reason=None,
        ),
    )


def test_the_columns_of_a_language_model(language_record: Record) -> None:
    row = {name: of(language_record) for name, of in text_columns.TEXT_COLUMNS.items()}
    assert row["domain"] == "text"
    assert (row["context"], row["head_width"], row["passes"]) == (256, 16, 0.5)
    assert row["test_bits_per_byte"] == pytest.approx(2)
    assert row["val_bits_per_byte"] == pytest.approx(3)
    assert row["test_bits_per_byte_se"] == pytest.approx(0.1)
    assert row["six_n_d_gflops"] == pytest.approx(6 * 20_576 * SEEN / 1e9)
    half = ATTENTION_MACS * (CONTEXT + 1) / 2 / CONTEXT
    assert row["train_gflops_causal"] == pytest.approx(6 * (20_480 + half) * SEEN / 1e9)
    assert row["joules_per_example"] is None, "not metered on this machine"


def test_joules_are_divided_among_the_bytes(language_record: Record) -> None:
    class Metered:
        energy_joules, net_joules = 5.0, 2.0

    metered = dataclasses.replace(language_record, energy=Metered(), energy_reason=None)  # type: ignore[arg-type]
    assert text_columns.TEXT_COLUMNS["joules_per_example"](metered) == 5e-6
    assert text_columns.TEXT_COLUMNS["net_joules_per_example"](metered) == 2e-6


def test_a_window_of_one_byte_has_no_half_to_leave_out() -> None:
    assert text_columns.causal_train_flops(100.0, 10.0, 1) == 100.0
    assert text_columns.causal_train_flops(100.0, 10.0, 3) == pytest.approx(100 - 60 * 3 / 9)


def test_images_have_no_text_columns(done_record: Record) -> None:
    row = {name: of(done_record) for name, of in text_columns.TEXT_COLUMNS.items()}
    assert row.pop("domain") == "image"
    assert row.pop("passes") is not None
    assert set(row.values()) == {None}
