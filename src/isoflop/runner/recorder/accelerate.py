"""AccelerateRecorder: a tracker of Hugging Face's Accelerate that records a loop.

recorder = Recorder("runs", name="cnn", data="mnist", seed=0, model=net, input_shape=(1, 28, 28))
accelerator = Accelerator(log_with=AccelerateRecorder(recorder))
net, optimizer, loader = accelerator.prepare(net, optimizer, loader)
accelerator.register_for_checkpointing(recorder)      # save_state and load_state carry it along
accelerator.init_trackers("mnist")                    # right before the loop: begins to record
...
    with recorder.evaluating():
        error = evaluate()
    accelerator.log({"examples": examples, "val_error": error, "train_loss": loss}, step=step)
accelerator.end_training()                            # writes the record
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isoflop import extras
from isoflop.runner.recorder import trainer_values
from isoflop.runner.recorder.errors import RecorderError
from isoflop.runner.recorder.progress import METRICS
from isoflop.runner.recorder.recorder import Recorder

_tracking: Any = extras.first_of("AccelerateRecorder", "accelerate.tracking")
_state: Any = extras.first_of("AccelerateRecorder", "accelerate.state")


class AccelerateRecorder(_tracking.GeneralTracker):  # type: ignore[misc]
    """Records a loop that Accelerate distributes: `accelerator.log` reaches the recorder.

    What is logged under a name of `Recorder.log`, or of `metrics`, is taken; other values are for other
    trackers. Examples are those of all processes together.

    Args:
        recorder: of this process; the main process alone writes.
        metrics: the record's name -> the name that the loop logs it under.

    Raises:
        RecorderError: `metrics` names what a record does not have.
    """

    name = "isoflop"
    requires_logging_directory = False
    main_process_only = False

    def __init__(self, recorder: Recorder, *, metrics: Mapping[str, str] | None = None) -> None:
        super().__init__()
        trainer_values.MetricNames(
            "AccelerateRecorder", metrics, {}
        )  # refuses names that a record does not have
        self.recorder = recorder
        self._names = {name: name for name in METRICS} | dict(metrics or {})

    @property
    def tracker(self) -> Recorder:
        """The recorder, which accelerator.get_tracker("isoflop", unwrap=True) returns."""
        return self.recorder

    def start(self) -> None:
        """Begin to record; accelerator.init_trackers calls it."""
        if not self.recorder.was_started:
            self.recorder.observe(
                precision=trainer_values.raw_precision(_state.AcceleratorState().mixed_precision)
            )
            self.recorder.start()

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Ignore what init_trackers was given: Recorder's own hyperparameters define the run."""

    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log the values that a record has; accelerator.log calls it.

        Raises:
            RecorderError: there are metrics of a record without `step` or without `examples`.
        """
        metrics = {name: values[theirs] for name, theirs in self._names.items() if theirs in values}
        if not metrics and "examples" not in values:
            return
        missing = (
            "step" if step is None else "examples among the values" if "examples" not in values else None
        )
        if missing:
            raise RecorderError(f"AccelerateRecorder: accelerator.log lacks {missing}: give it too")
        assert step is not None
        self.recorder.log(step=step, examples=values["examples"], **metrics)

    def finish(self) -> None:
        """Write the record, unless the recorder was entered by `with`; accelerator.end_training calls it."""
        if self.recorder.is_open and not self.recorder.is_entered:
            self.recorder.close()
