"""TransformersRecorder: a callback of Hugging Face's Trainer that records what it trains.

recorder = Recorder("runs", name="vit", data="cifar10", seed=0, width=64, input_shape=(3, 32, 32))
trainer = Trainer(model, args, callbacks=[TransformersRecorder(recorder)], ...)
with recorder:                      # so that the record says how a training ended that failed
    trainer.train()
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from isoflop import extras
from isoflop.runner.recorder import trainer_values
from isoflop.runner.recorder.errors import RecorderError
from isoflop.runner.recorder.recorder import Recorder

_transformers: Any = extras.first_of("TransformersRecorder", "transformers")
_callbacks: Any = extras.first_of("TransformersRecorder", "transformers.trainer_callback")

USUAL = {
    **{f"val_{metric}": (f"eval_{metric}",) for metric in ("error", "accuracy", "loss")},
    **{f"test_{metric}": (f"test_{metric}",) for metric in ("error", "accuracy", "loss")},
}
"""What Trainer.evaluate and Trainer.predict call metrics: compute_metrics returns error or accuracy."""


class TransformersRecorder(_transformers.TrainerCallback, _callbacks.ExportableState):  # type: ignore[misc]
    """Records the training of a transformers.Trainer: examples, evaluations, joules, and how it ended.

    The recorder begins with the first step and ends with `train`, unless it was entered by `with`.
    Evaluations and checkpoints are not metered. Its state goes into the Trainer's checkpoints, so that
    `train(resume_from_checkpoint=...)` resumes it.

    Args:
        recorder: without a model it counts the Trainer's; without an input_shape it takes that of the first
            training example, if all have the model's main input in one shape.
        metrics: the record's name -> the Trainer's, such as {"val_error": "eval_wer"}, where it is not one
            that compute_metrics returns as error, accuracy or loss.

    Raises:
        RecorderError: `metrics` names what a record does not have.
    """

    def __init__(self, recorder: Recorder | None = None, *, metrics: Mapping[str, str] | None = None) -> None:
        if recorder is None:
            raise RecorderError(
                "TransformersRecorder: leave restore_callback_states_from_checkpoint off: it resumes without"
            )
        self.recorder = recorder
        recorder.wait_for("TransformersRecorder")
        self._names = trainer_values.MetricNames("TransformersRecorder", metrics, USUAL)

    def state(self) -> dict[str, Any]:
        """Return the recorder's state for the Trainer's checkpoint."""
        return {"args": {}, "attributes": {"recorder": self.recorder.state_dict()}}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Go on from the state of the checkpoint, if there is one."""
        if state.global_step > 0:
            kept = state.stateful_callbacks.get(type(self).__name__)
            if kept is not None:
                self.recorder.load_state_dict(kept["attributes"]["recorder"])

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin to record before the first step, and go on metering after an evaluation."""
        if not self.recorder.was_started:
            model, loader = kwargs.get("model"), kwargs.get("train_dataloader")
            precision = "bf16" if args.bf16 else "fp16" if args.fp16 else "fp32"
            self.recorder.observe(model=model, precision=precision, **_input_facts(model, loader))
            self.recorder.start()
        self.recorder.resume()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note how far training is, and stop metering where an evaluation or a checkpoint follows."""
        examples = _examples_seen(args, state, kwargs.get("train_dataloader"))
        self.recorder.log(step=state.global_step, examples=examples)
        self._pause(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop metering where an evaluation or a checkpoint follows."""
        self._pause(control)

    def _pause(self, control: Any) -> None:
        # Called after the Trainer's own callback, which sets what follows.
        if self.recorder.is_open and (control.should_evaluate or control.should_save):
            self.recorder.pause()

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **kwargs: Any) -> None:
        """Log the mean training loss since the last one."""
        if self.recorder.is_open and "loss" in logs and state.global_step == self.recorder.step:
            self.recorder.log(
                step=self.recorder.step, examples=self.recorder.examples, train_loss=logs["loss"]
            )

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Log the evaluation on the validation part."""
        if self.recorder.is_open and self.recorder.step > 0:
            self._log(self._names.of("val", metrics))

    def on_predict(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Log what Trainer.predict says of the test part, where the recorder is still open."""
        if self.recorder.is_open and self.recorder.step > 0:
            self._log(self._names.of("test", metrics))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop metering; write the record unless the recorder was entered by `with`."""
        if self.recorder.is_open:
            self.recorder.pause()
            if not self.recorder.is_entered:
                self.recorder.close()

    def _log(self, metrics: Mapping[str, Any]) -> None:
        self.recorder.log(step=self.recorder.step, examples=self.recorder.examples, **metrics)


def _examples_seen(args: Any, state: Any, loader: Any) -> int:
    """Return the training examples of all processes up to the present step.

    The last batch of an epoch may be smaller. With several processes, which all get as many batches, samplers
    repeat some examples for that: they are seen, and count.
    """
    each = args.train_batch_size * max(1, args.world_size)
    batches = _length(loader)
    accumulated = args.gradient_accumulation_steps
    if batches is None:
        return int(state.global_step * accumulated * each)
    dataset = _length(getattr(loader, "dataset", None))
    whole = batches * each
    if dataset is not None and args.world_size <= 1 and not args.dataloader_drop_last:
        whole = min(whole, dataset)
    epochs, steps = divmod(state.global_step, max(1, math.ceil(batches / accumulated)))
    return int(epochs * whole + min(steps * accumulated * each, whole))


def _length(sized: Any) -> int | None:
    """Return len(sized), None where it has none, as a stream."""
    try:
        return len(sized)
    except (TypeError, NotImplementedError):
        return None


def _input_facts(model: Any, loader: Any) -> dict[str, Any]:
    """Return the shape of a model's main input from the first example of a data set, {} where it varies."""
    name: str | None = getattr(model, "main_input_name", None)
    dataset: Any = getattr(loader, "dataset", None)
    if name is None or _length(dataset) is None:
        return {}
    try:
        first, last = dataset[0][name], dataset[len(dataset) - 1][name]
    except (KeyError, TypeError, IndexError):
        return {}
    shapes = {tuple(getattr(example, "shape", ())) for example in (first, last)}
    if len(shapes) > 1 or () in shapes:
        return {}
    return {"input_shape": tuple(int(size) for size in first.shape), "input_dtype": first.dtype}
