"""Adapters on real short trainings by Lightning, Hugging Face's Trainer and Accelerate, where installed."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from isoflop import Recorder, RecorderError
from isoflop import record as records
from isoflop.record import Record
from isoflop.runner.recorder import trainer_values

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what the frameworks say of torch, of each other and of SLURM
]
TRAIN_N, VAL_N, TEST_N, BATCH, WIDTH = 1000, 400, 397, 64, 16
STEPS = 16
"""Batches of an epoch, of which the last one is smaller."""
TRAIN_FLOPS = 4 * 64 * WIDTH + 6 * WIDTH * 10
"""Of an example: forward and weight gradients, and the gradient of the hidden layer."""
installed = importlib.util.find_spec
needs_lightning = pytest.mark.skipif(not installed("lightning"), reason="lightning is not installed")
needs_transformers = pytest.mark.skipif(not installed("transformers"), reason="transformers is not installed")
needs_accelerate = pytest.mark.skipif(not installed("accelerate"), reason="accelerate is not installed")


@pytest.fixture(autouse=True)
def quiet_and_seeded() -> Iterator[None]:
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def parts() -> tuple[TensorDataset, TensorDataset, TensorDataset]:
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    whole, ends = (images, torch.tensor(labels)), (TRAIN_N, TRAIN_N + VAL_N, TRAIN_N + VAL_N + TEST_N)
    train, val, test = (
        TensorDataset(*(tensor[first:last] for tensor in whole))
        for first, last in zip((0, *ends), ends, strict=False)
    )
    return train, val, test


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))


Make = Callable[..., Recorder]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make(...) -> a Recorder of the digits that writes to tmp_path/out."""

    def recorder(**settings: Any) -> Recorder:
        given: dict[str, Any] = {"name": "net", "data": "digits", "seed": 0, "width": WIDTH, "depth": 1}
        given |= {"cpu_watts": 20.0, "test_n": TEST_N, "train_n": TRAIN_N}
        return Recorder(tmp_path / "out", **(given | settings))

    return recorder


def check(record: Record | None, epochs: int) -> None:
    """What every adapter must have recorded."""
    assert record is not None
    assert records.problem(record) is None
    assert (record.state, record.reason) == ("done", None)
    assert record.compute is not None
    assert record.compute.examples_seen == epochs * TRAIN_N
    assert record.compute.train_flops == epochs * TRAIN_N * TRAIN_FLOPS
    assert record.optim is not None
    assert record.optim.steps == epochs * STEPS
    assert record.provenance.precision == "fp32"
    assert [(point.step, point.examples) for point in record.curve] == [
        (epoch * STEPS, epoch * TRAIN_N) for epoch in range(1, epochs + 1)
    ]
    assert all(point.energy_joules is not None for point in record.curve)
    assert record.error is not None
    assert record.error.val is not None
    assert 0 < record.error.val < 0.6
    assert record.train_loss is not None
    losses = [each.mean_loss for each in record.train_loss]
    assert losses == sorted(losses, reverse=True)
    assert record.energy is not None
    assert record.energy.used == "modelled"


def lightning_module(net: nn.Module, fails_at: int | None = None) -> Any:
    import lightning.pytorch as pl

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, images: Tensor) -> Any:
            return self.net(images)

        def training_step(self, batch: Any, index: int) -> Tensor:
            if fails_at is not None and self.global_step == fails_at:
                raise RuntimeError("a fault of the module")
            return functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            logits = self(batch[0])
            self.log("val_loss", functional.cross_entropy(logits, batch[1]))
            self.log("val_acc", (logits.argmax(1) == batch[1]).float().mean())

        def test_step(self, batch: Any, index: int) -> None:
            self.log("test/err", (self(batch[0]).argmax(1) != batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.5)

    return Module()


def lightning_trainer(recorder: Recorder, folder: Path, epochs: int, **settings: Any) -> Any:
    import lightning.pytorch as pl

    from isoflop import LightningRecorder

    callback = LightningRecorder(recorder, metrics=settings.pop("metrics", None))
    given = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=[callback, *settings.pop("callbacks", ())],
        **(given | settings),
    )


@needs_lightning
def test_lightning_records_a_fit_and_its_test(make: Make, parts: Any, tmp_path: Path) -> None:
    recorder, module = make(), lightning_module(network())
    trainer = lightning_trainer(recorder, tmp_path, 3)
    with recorder:
        trainer.fit(module, DataLoader(parts[0], BATCH), DataLoader(parts[1], VAL_N))
        trainer.test(module, DataLoader(parts[2], TEST_N), verbose=False)
    check(recorder.record, 3)
    assert recorder.record is not None
    assert recorder.record.error is not None
    assert recorder.record.error.test is not None
    assert recorder.record.error.ci_low is not None
    assert recorder.record.error.ci_low < recorder.record.error.test < 0.6
    assert "lightning" in recorder.record.provenance.versions


@needs_lightning
def test_lightning_closes_with_fit_and_counts_accumulated_batches(
    make: Make, parts: Any, tmp_path: Path
) -> None:
    recorder = make()
    trainer = lightning_trainer(recorder, tmp_path, 1, accumulate_grad_batches=2)
    trainer.fit(lightning_module(network()), DataLoader(parts[0], BATCH), DataLoader(parts[1], VAL_N))
    record = recorder.record
    assert record is not None
    assert record.state == "done"
    assert record.optim is not None
    assert record.optim.steps == STEPS // 2
    assert record.compute is not None
    assert record.compute.examples_seen == TRAIN_N


@needs_lightning
def test_a_lightning_training_that_fails_is_resumed_from_its_checkpoint(
    make: Make, parts: Any, tmp_path: Path
) -> None:
    import lightning.pytorch as pl

    loaders = DataLoader(parts[0], BATCH), DataLoader(parts[1], VAL_N)
    first, keep = make(), pl.callbacks.ModelCheckpoint(tmp_path / "kept", filename="last")
    trainer = lightning_trainer(first, tmp_path, 2, callbacks=[keep])
    with pytest.raises(RuntimeError, match="a fault of the module"):
        trainer.fit(lightning_module(network(), fails_at=STEPS + 4), *loaders)
    failed = records.read(first.path)
    assert (failed.state, failed.attempt) == ("failed", 1)
    second = make()
    trainer = lightning_trainer(second, tmp_path, 2)
    trainer.fit(lightning_module(network()), *loaders, ckpt_path=tmp_path / "kept/last.ckpt")
    check(second.record, 2)
    assert second.record is not None
    assert second.record.attempt == 2
    assert second.record.spent.wasted_flops == pytest.approx(4 / 32 * 2 * TRAIN_N * TRAIN_FLOPS)
    assert second.record.energy is not None
    assert second.record.energy.grade_reasons[0] == "summed over 2 attempts"


@needs_lightning
def test_lightning_without_a_known_metric_says_which_there_are(
    make: Make, parts: Any, tmp_path: Path
) -> None:
    recorder, metrics = make(), {"val_error": "valid/err"}
    trainer = lightning_trainer(recorder, tmp_path, 1, metrics=metrics)
    with pytest.raises(RecorderError, match=r"no valid/err among the metrics val_acc, val_loss: log it, or"):
        trainer.fit(lightning_module(network()), DataLoader(parts[0], BATCH), DataLoader(parts[1], VAL_N))
    assert records.read(recorder.path).state == "failed"


class Named(Dataset[dict[str, Any]]):
    """A part as Hugging Face's Trainer reads it."""

    def __init__(self, part: TensorDataset) -> None:
        self.part = part

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, label = self.part[index]
        return {"pixel_values": image, "labels": label}


class Classifier(nn.Module):
    """A network as Hugging Face's Trainer calls it."""

    main_input_name = "pixel_values"

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.net(pixel_values)
        scored = {} if labels is None else {"loss": functional.cross_entropy(logits, labels)}
        return {**scored, "logits": logits}


def hf_trainer(recorder: Recorder, parts: Any, folder: Path, **settings: Any) -> Any:
    import transformers

    from isoflop import TransformersRecorder

    given = {
        "num_train_epochs": 2,
        "eval_strategy": "epoch",
        "logging_strategy": "epoch",
        "save_strategy": "epoch",
        "learning_rate": 0.5,
        "optim": "sgd",
        "lr_scheduler_type": "constant",
    }
    callbacks = [TransformersRecorder(recorder), *settings.pop("callbacks", ())]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "hf"),
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=VAL_N,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **(given | settings),
    )
    trainer = transformers.Trainer(
        Classifier(),
        arguments,
        train_dataset=Named(parts[0]),
        eval_dataset=Named(parts[1]),
        compute_metrics=lambda seen: {"accuracy": (seen.predictions.argmax(1) == seen.label_ids).mean()},
        callbacks=callbacks,
    )
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    return trainer


@needs_transformers
def test_the_hugging_face_trainer_is_recorded(make: Make, parts: Any, tmp_path: Path) -> None:
    recorder = make()
    trainer = hf_trainer(recorder, parts, tmp_path)
    with recorder:
        trainer.train()
        trainer.predict(Named(parts[2]))
    check(recorder.record, 2)
    assert recorder.record is not None
    assert recorder.record.error is not None
    assert recorder.record.error.test is not None
    assert recorder.record.loss is not None
    assert recorder.record.loss.val is not None
    assert "transformers" in recorder.record.provenance.versions


@needs_transformers
def test_a_hugging_face_training_that_fails_is_resumed(make: Make, parts: Any, tmp_path: Path) -> None:
    import transformers

    class Fault(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == STEPS + 4:
                raise RuntimeError("a fault of the loop")

    first = make()

    def train() -> None:
        with first:
            hf_trainer(first, parts, tmp_path, callbacks=[Fault()]).train()

    with pytest.raises(RuntimeError, match="a fault of the loop"):
        train()
    assert records.read(first.path).state == "failed"
    second = make()
    hf_trainer(second, parts, tmp_path).train(resume_from_checkpoint=True)
    check(second.record, 2)
    assert second.record is not None
    assert second.record.attempt == 2
    assert second.record.spent.wasted_flops == pytest.approx(4 / 32 * 2 * TRAIN_N * TRAIN_FLOPS)


@needs_transformers
def test_restoring_callbacks_is_refused_since_the_recorder_resumes_by_itself(make: Make) -> None:
    from isoflop import TransformersRecorder

    with pytest.raises(RecorderError, match="leave restore_callback_states_from_checkpoint off"):
        TransformersRecorder()
    assert TransformersRecorder(make()).state()["args"] == {}


def accelerated(recorder: Recorder, net: nn.Module, parts: Any, folder: Path, *, load: bool = False) -> None:
    """A loop of two epochs, which is cut off after the first one unless it is to go on from there."""
    import accelerate

    from isoflop import AccelerateRecorder

    tracker = AccelerateRecorder(recorder, metrics={"val_error": "valid/err"})
    accelerator = accelerate.Accelerator(cpu=True, log_with=tracker)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    trained, optimizer, loader = accelerator.prepare(net, optimizer, DataLoader(parts[0], BATCH))
    accelerator.register_for_checkpointing(recorder)
    accelerator.init_trackers("digits", config={"lr": 0.5})
    if load:
        accelerator.load_state(str(folder / "kept"))
    images, labels = parts[1].tensors
    for epoch in (1, 2) if not load else (2,):
        total = 0.0
        for batch in loader:
            loss = functional.cross_entropy(trained(batch[0]), batch[1])
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item()
        with recorder.evaluating():
            error = (net(images).argmax(1) != labels).float().mean().item()
        accelerator.log({"examples": epoch * TRAIN_N, "valid/err": error, "lr": 0.5}, step=epoch * STEPS)
        accelerator.log({"examples": epoch * TRAIN_N, "train_loss": total / STEPS}, step=epoch * STEPS)
        with recorder.evaluating():
            accelerator.save_state(str(folder / "kept"))
        if epoch == 1 and not load and folder.name == "cut":
            recorder.log(step=STEPS + 4, examples=TRAIN_N + 4 * BATCH)
            recorder.close(RuntimeError("cut off"))
            return
    accelerator.log({"lr": 0.5})
    with pytest.raises(RecorderError, match=r"accelerator\.log lacks examples among the values"):
        accelerator.log({"valid/err": 0.5}, step=99)
    accelerator.end_training()


@needs_accelerate
def test_accelerate_records_a_loop(make: Make, parts: Any, tmp_path: Path) -> None:
    net = network()
    recorder = make(model=net, input_shape=(1, 8, 8))
    accelerated(recorder, net, parts, tmp_path)
    check(recorder.record, 2)
    assert recorder.record is not None
    assert "accelerate" in recorder.record.provenance.versions


@needs_accelerate
def test_accelerate_resumes_what_it_saved(make: Make, parts: Any, tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    net = network()
    first = make(model=net, input_shape=(1, 8, 8))
    accelerated(first, net, parts, tmp_path / "cut")
    assert records.read(first.path).state == "failed"
    net = network()
    second = make(model=net, input_shape=(1, 8, 8))
    accelerated(second, net, parts, tmp_path / "cut", load=True)
    check(second.record, 2)
    assert second.record is not None
    assert second.record.attempt == 2


def test_a_metric_that_a_record_does_not_have_is_refused() -> None:
    with pytest.raises(RecorderError, match="Adapter: metrics names val_f1, which a record does not have"):
        trainer_values.MetricNames("Adapter", {"val_f1": "f1"}, {})


@pytest.mark.parametrize(
    ("text", "name"),
    [("bf16-mixed", "bf16"), ("16-true", "fp16"), ("32-true", "fp32"), ("no", "fp32"), ("fp8", "fp8")],
)
def test_precisions_have_one_name(text: str, name: str) -> None:
    assert trainer_values.raw_precision(text) == name


def test_the_input_of_a_batch_is_its_first_tensor() -> None:
    images = torch.zeros(5, 3, 8, 8)
    for batch in (images, (images, torch.zeros(5)), {"x": [images]}, [{"x": images}]):
        assert trainer_values.batch_of(batch) is images
    assert trainer_values.batch_of(("a", 1)) is None
    assert trainer_values.input_facts(images) == {"input_shape": (3, 8, 8), "input_dtype": torch.float32}
