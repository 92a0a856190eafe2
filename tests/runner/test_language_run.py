"""A run on text: its record says what was read, trained and measured, in bytes and nats."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from isoflop import record as records
from isoflop.config import Config
from isoflop.record import Record, window_losses
from isoflop.runner import run
from isoflop.table import aggregate
from isoflop.train import data, schedule
from isoflop.train.data import TextSet
from isoflop.train.loop import Trainer

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")


def text_of(config: Config) -> TextSet:
    loaded = data.load(config, CPU)
    assert isinstance(loaded, TextSet)
    return loaded


def only(config: Config) -> Record:
    (record,) = run.run(config)
    assert record.state == "done", record.reason
    return record


def trained(config: Config, text: TextSet, steps: int) -> Trainer:
    made = Trainer(config, text, steps, CPU)
    made.advance(steps, schedule.learning_rates(config.schedule, steps))
    return made


def by_hand(config: Config, text: TextSet, starts: list[int]) -> list[float]:
    """Mean loss of each window in nats, a window and a byte at a time."""
    model = trained(config, text, 24).scored_model.eval()
    means = []
    for start in starts:
        tokens = text.tokens[start : start + 9].long()
        with torch.no_grad():
            logs = F.log_softmax(model(tokens[None, :-1])[0].double(), 1)
        means.append(-sum(float(logs[i, tokens[i + 1]]) for i in range(8)) / 8)
    return means


def test_a_record_says_what_was_read(make_language_config: MakeConfig, books: Path) -> None:
    config = make_language_config()
    record, text = only(config), text_of(config)
    assert records.read(records.path_of(config.directory, record.run_id)) == record
    facts = record.data
    assert facts is not None
    assert facts.text is not None
    assert (facts.name, facts.input_shape, facts.classes) == ("text", (8,), 256)
    sizes = [path.stat().st_size for path in books.iterdir()]
    assert (facts.text.files, facts.text.file_bytes) == (90, sum(sizes))
    assert facts.text.document_mark == 0
    documents = facts.text.train_documents, facts.text.val_documents, facts.text.test_documents
    assert sum(documents) == 90
    assert min(documents) >= 3
    assert facts.text.train_bytes == pytest.approx(0.9 * sum(sizes), rel=0.05)
    assert facts.train_n == text.train_n == (facts.text.train_bytes + documents[0] - 8) // 8 * 8
    assert facts.text.python_version is None
    assert facts.text.python_version_reason == "not the standard library's source"
    assert len(facts.split_sha256) == 64
    assert record.compute is not None
    assert record.compute.examples_seen == 24 * 64
    assert facts.passes == pytest.approx(24 * 64 / facts.train_n)
    assert record.optim is not None
    assert (record.optim.batch_size, record.optim.steps) == (64, 24)
    assert record.optim.parametrization == "completep"
    assert record.optim.lr > config.optim.lr, "a shorter run than of base_steps has a higher rate"


def test_work_is_counted_a_byte(make_language_config: MakeConfig) -> None:
    """Per byte: a block's matrices 4 w^2 + 8 w^2, attention 2 w T, the readout 256 w."""
    record = only(make_language_config("model.depth=2"))
    assert record.compute is not None
    forward = 2 * (12 * 8**2 + 2 * 8 * 8) + 256 * 8
    assert record.compute.forward_macs_per_example == forward
    assert record.compute.closed_form_macs_per_example == forward
    assert record.compute.counters_agree
    # Attention and products are differentiated by both operands; the embedding below needs no product.
    assert record.compute.train_flops_per_example == 6 * forward
    assert record.compute.train_flops == 6 * forward * 24 * 64
    norms = 5 * 8
    blocks = 2 * 12 * 8**2
    assert record.model.parameters == 2 * 256 * 8 + blocks + norms
    assert record.model.parameters_without_embeddings == 256 * 8 + blocks + norms
    assert record.model.parameters_without_embeddings_reason is None


def test_losses_are_those_of_the_model_in_nats(make_language_config: MakeConfig) -> None:
    config = make_language_config()
    record, text = only(config), text_of(config)
    assert record.loss is not None
    assert record.error is not None
    windows = by_hand(config, text, text.test.starts.tolist())
    assert record.loss.test == pytest.approx(np.mean(windows), rel=1e-5)
    assert record.loss.val == pytest.approx(
        np.mean(by_hand(config, text, text.val.starts.tolist())), rel=1e-5
    )
    train = by_hand(config, text, text.train.starts.tolist())
    assert record.loss.train == pytest.approx(np.mean(train), rel=1e-5)
    assert record.curve[-1].val_loss == record.loss.val
    assert record.loss.test < math.log(256), "it has learned something"
    assert (record.error.test_n, record.error.val_n) == (text.test_n, text.val_n)
    assert record.loss.test_brier is None
    assert record.loss.test_brier_reason == "computed for images only"
    kept = window_losses.read(config.directory, record.run_id)
    assert kept is not None
    assert kept.tolist() == pytest.approx(windows, rel=1e-5)


def test_the_standard_error_is_over_documents(make_language_config: MakeConfig) -> None:
    """Documents of n_i bytes with summed losses s_i: the spread of s_i - n_i x the mean, over all bytes."""
    config = make_language_config()
    record, text = only(config), text_of(config)
    assert record.loss is not None
    windows = window_losses.read(config.directory, record.run_id)
    assert windows is not None
    sums: dict[int, float] = {}
    sizes: dict[int, int] = {}
    for loss, document in zip(windows.tolist(), text.test.documents, strict=True):
        sums[document] = sums.get(document, 0.0) + 8 * loss
        sizes[document] = sizes.get(document, 0) + 8
    n = len(sums)
    assert n > 1
    mean = sum(sums.values()) / sum(sizes.values())
    squares = sum((sums[i] - mean * sizes[i]) ** 2 for i in sums)
    expected = math.sqrt(n / (n - 1) * squares) / sum(sizes.values())
    assert record.loss.test_document_se_nats == pytest.approx(expected, rel=1e-4)


def test_two_runs_are_paired_window_by_window(make_language_config: MakeConfig) -> None:
    short, long = make_language_config("schedule.steps=20"), make_language_config("schedule.steps=24")
    records_of = [only(each) for each in (short, long)]
    windows = [window_losses.read(short.directory, each.run_id) for each in records_of]
    losses = [each.loss.test for each in records_of if each.loss]
    for kept, loss in zip(windows, losses, strict=True):
        assert kept is not None
        assert kept.mean() == pytest.approx(loss, rel=1e-6)
    first, second = windows
    assert first is not None
    assert second is not None
    difference, error = window_losses.paired_difference(first, second)
    assert difference == pytest.approx(losses[0] - losses[1], abs=1e-6)
    unpaired = math.hypot(*(each.std(ddof=1) / math.sqrt(len(each)) for each in (first, second)))
    assert 0 < error < unpaired, "what both find hard cancels"


def test_a_text_with_one_test_document_says_so(make_language_config: MakeConfig, tmp_path: Path) -> None:
    folder = tmp_path / "three"
    folder.mkdir()
    for number, letter in enumerate("abc"):
        (folder / letter).write_text(f"{letter}{number}" * 400)
    record = only(make_language_config(f"data.path={folder}", "schedule.steps=4"))
    assert record.loss is not None
    assert record.data is not None
    assert record.data.text is not None
    assert record.data.text.test_documents == 1
    assert record.loss.test_document_se_nats is None
    assert record.loss.test_document_se_nats_reason == "one test document only"
    assert record.loss.test_brier_reason == "computed for images only"


def test_the_table_holds_bits_and_the_bytes_of_a_window(make_language_config: MakeConfig) -> None:
    config = make_language_config("meter.cpu_watts=50")
    record = only(config)
    assert record.loss is not None
    assert record.compute is not None
    assert record.compute.train_flops is not None
    (row,) = aggregate.aggregate(config.directory).rows.to_dict("records")
    bit = math.log(2)
    assert row["domain"] == "text"
    assert row["test_bits_per_byte"] == pytest.approx(record.loss.test / bit)
    assert row["val_bits_per_byte"] == pytest.approx(record.loss.val / bit)
    assert record.loss.test_document_se_nats is not None
    assert row["test_bits_per_byte_se"] == pytest.approx(record.loss.test_document_se_nats / bit)
    assert (row["context"], row["head_width"], row["examples_seen"]) == (8, 4, 24 * 64)
    assert row["parameters_without_embeddings"] == record.model.parameters_without_embeddings
    assert row["passes"] == pytest.approx(24 * 64 / text_of(config).train_n)
    assert row["train_gflops"] == pytest.approx(record.compute.train_flops * 1e-9)
    causal = 6 * 2 * 8 * 8 * (8 - 1) / 16 * 24 * 64  # of 8 x 8 pairs, (8^2 - 8)/2 lie above the diagonal
    assert row["train_gflops_causal"] == pytest.approx((record.compute.train_flops - causal) * 1e-9)
    six = 6 * row["parameters_without_embeddings"] * 24 * 64
    assert row["six_n_d_gflops"] == pytest.approx(six * 1e-9)
    assert record.energy is not None
    assert row["joules_per_example"] == pytest.approx(record.energy.energy_joules / (24 * 64))
    assert math.isnan(row["test_n"])
    assert math.isnan(row["chance_error"])


VARIANTS = {
    "mup": ("model.parametrization=mup",),
    "standard": ("model.parametrization=standard", "model.base_width=null", "model.base_depth=null"),
    "swiglu": ("model.feedforward=swiglu", "model.depth=2"),
    "muon": ("optim=muon", "optim.lr=0.01", "optim.base_steps=null"),
    "sgd": ("optim=sgd", "optim.lr=1", "optim.base_steps=null", "optim.betas=null"),
    "averaged": ("optim.ema_decay=0.9",),
    "smoothed": ("optim.label_smoothing=0.1",),
    "budget": ("schedule.steps=null", "schedule.train_gflops=0.02"),
    "epochs": ("schedule.steps=null", "schedule.epochs=0.3"),
    "cosine": ("schedule.shape=cosine", "schedule.decay_fraction=0"),
    "one minus sqrt": ("schedule.decay_shape=one_minus_sqrt",),
    "bf16": ("precision=bf16",),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_setting_of_training_is_for_text_too(name: str, make_language_config: MakeConfig) -> None:
    record = only(make_language_config(*VARIANTS[name]))
    assert record.loss is not None
    assert record.train_loss is not None
    assert record.loss.test < 0.98 * math.log(256), name
    assert record.train_loss[-1].mean_loss < record.train_loss[0].mean_loss


def test_the_average_of_the_weights_is_what_is_scored(make_language_config: MakeConfig) -> None:
    config = make_language_config("optim.ema_decay=0.9")
    record, text = only(config), text_of(config)
    assert record.loss is not None
    windows = by_hand(config, text, text.test.starts.tolist())
    assert record.loss.test == pytest.approx(np.mean(windows), rel=1e-5)
    plain = only(make_language_config())
    assert plain.loss is not None
    assert plain.train_loss == record.train_loss, "averaging changed training"
    assert plain.loss.test != record.loss.test


def test_label_smoothing_is_in_the_training_loss_alone(make_language_config: MakeConfig) -> None:
    """By hand at the first weights: (1 - s) x cross-entropy + s x the mean over tokens of -log p."""
    config = make_language_config("optim.label_smoothing=0.3")
    text = text_of(config)
    made = Trainer(config, text, 24, CPU)
    inputs, targets = next(data.batches(text, config, made.memory_format))
    logs = F.log_softmax(made.model(inputs).detach(), -1).flatten(0, 1)
    hard = -logs[torch.arange(64), targets.flatten()].mean()
    made.advance(1, (1.0,))
    assert made.loss_sum.item() == pytest.approx((0.7 * hard - 0.3 * logs.mean()).item(), rel=1e-5)


def test_passes_are_recorded_and_change_no_result(make_language_config: MakeConfig) -> None:
    """Leave to read a byte more often does not change a run that needs none."""
    once = make_language_config("data.fraction=0.2", "schedule.steps=20")
    more = dataclasses.replace(once, data=dataclasses.replace(once.data, passes=3.0))
    assert once.run_id == more.run_id
    twice = only(make_language_config("data.fraction=0.2", "schedule.steps=60", "data.passes=2"))
    assert twice.data is not None
    assert 1 < twice.data.passes < 2
