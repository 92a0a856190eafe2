"""LightningRecorder: a callback of PyTorch Lightning that records what a Trainer trains.

recorder = Recorder("runs", name="cnn", data="mnist", seed=0, width=64)
trainer = Trainer(max_epochs=3, callbacks=[LightningRecorder(recorder)])
with recorder:                      # only needed where trainer.test is to be recorded too
    trainer.fit(module, train, val)
    trainer.test(module, test)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isoflop import extras
from isoflop.runner.recorder import trainer_values
from isoflop.runner.recorder.errors import RecorderError
from isoflop.runner.recorder.recorder import Recorder

_pytorch: Any = extras.first_of("LightningRecorder", "lightning.pytorch", "pytorch_lightning")
Base: Any = _pytorch.Callback

USUAL = {
    f"{part}_{metric}": tuple(f"{part}{sign}{word}" for sign in ("_", "/") for word in words)
    for part in ("val", "test")
    for metric, words in (
        ("error", ("error", "err")),
        ("accuracy", ("accuracy", "acc")),
        ("loss", ("loss",)),
    )
}
"""Names that modules usually log metrics under, such as val_acc or val/loss."""


class LightningRecorder(Base):  # type: ignore[misc]
    """Records the training of a Lightning Trainer: its examples, evaluations, joules, and how it ended.

    The recorder begins before the first training batch and ends with `fit`, unless it was entered by `with`.
    Validation, which Lightning logs as val_loss, val_acc and the like, is not metered. Its state goes into
    Lightning's checkpoints, so that `fit(ckpt_path=...)` resumes it.

    Args:
        recorder: without a model it counts the module; without an input_shape it takes that of the first
            batch, whose first tensor is the input.
        metrics: the record's name -> the name under which the module logs it, such as
            {"val_error": "valid/err"}, where it is not a usual one.

    Raises:
        RecorderError: `metrics` names what a record does not have.
    """

    def __init__(self, recorder: Recorder, *, metrics: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.recorder = recorder
        recorder.wait_for("LightningRecorder")
        self._names = trainer_values.MetricNames("LightningRecorder", metrics, USUAL)
        self._examples = 0
        self._loss: Any = None
        self._batches = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the recorder's state for Lightning's checkpoint."""
        return {"recorder": self.recorder.state_dict(), "examples": self._examples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.recorder.load_state_dict(state_dict["recorder"])
        self._examples = int(state_dict["examples"])

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begin to record before the first batch, when the module is on its device."""
        if not self.recorder.was_started:
            facts = {"model": pl_module, "precision": trainer_values.raw_precision(trainer.precision)}
            self.recorder.observe(**facts, **trainer_values.input_facts(trainer_values.batch_of(batch)))
            self.recorder.start()
        self.recorder.resume()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch's examples on all devices, and keep its loss without waiting for the device."""
        example = trainer_values.batch_of(batch)
        if example is None:
            raise RecorderError(
                "LightningRecorder: the batch holds no tensor: its examples cannot be counted"
            )
        self._examples += int(example.shape[0]) * int(trainer.world_size)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None:
            self._loss = loss.detach() if self._loss is None else self._loss + loss.detach()
            self._batches += 1
        if trainer.global_step > self.recorder.step:  # not while gradients of several batches are accumulated
            self.recorder.log(step=int(trainer.global_step), examples=self._examples)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Leave validation out of the metering."""
        if self.recorder.is_open:
            self.recorder.pause()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Log what the module logged of the validation part."""
        if self.recorder.is_open and not trainer.sanity_checking and trainer.state.fn == "fit":
            self._log(self._names.of("val", trainer.callback_metrics))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop metering, and log the training loss since the last validation."""
        if self.recorder.is_open:
            self.recorder.pause()
            if self._batches:
                self._log({})

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Log what the module logged of the test part, where the recorder is still open."""
        if self.recorder.is_open:
            self._log(self._names.of("test", trainer.callback_metrics))

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Write the record at the end of `fit`, unless the recorder was entered by `with`."""
        if stage == "fit" and self.recorder.is_open and not self.recorder.is_entered:
            self.recorder.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Write the record of a training that failed."""
        if self.recorder.is_open and not self.recorder.is_entered:
            self.recorder.close(exception)

    def _log(self, metrics: Mapping[str, Any]) -> None:
        train_loss = float(self._loss) / self._batches if self._batches else None
        self._loss, self._batches = None, 0
        at = {"step": self.recorder.step, "examples": self.recorder.examples}
        self.recorder.log(**at, train_loss=train_loss, **metrics)
