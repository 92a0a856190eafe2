"""isoflop.Recorder: the record of any training loop, in any framework.

    from isoflop import Recorder

    with Recorder("runs", name="cnn", data="mnist", seed=0, model=net, input_shape=(1, 28, 28)) as recorder:
        for epoch in range(10):
            train_one_epoch()
            with recorder.evaluating():
                error = evaluate()
            recorder.log(step=step, examples=examples, val_error=error, train_loss=loss)

`isoflop fit runs`, `check`, `report`, `status` and `wandb` read the record like one of isoflop's own runs.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, SupportsFloat

import msgspec

from isoflop import record as records
from isoflop.meter.energy.energy_meter import wait_for_cuda
from isoflop.record import Record
from isoflop.runner.recorder import progress as progress_of
from isoflop.runner.recorder.attempt import Attempt
from isoflop.runner.recorder.description import Description, check_count, script_hash
from isoflop.runner.recorder.devices import MeterSettings
from isoflop.runner.recorder.errors import NotFiniteError, RecorderError
from isoflop.runner.recorder.loop_facts import LoopFacts
from isoflop.runner.recorder.progress import Progress

if TYPE_CHECKING:
    import torch

RUN_ID, PROGRESS = "run_id", "progress"
"""Keys of a recorder's state."""
STARTED = "Recorder: it was entered before: make another one for another run"


class Recorder:
    """Records one run of a training loop: FLOPs, joules, seconds, evaluations, and how it ended.

    Enter it with the model on its device, right before the loop: what happens inside counts as training, but
    for what is inside `evaluating()`. With several processes every one enters it, after init_process_group;
    the main process alone writes. A loop that ends by an exception leaves a record that says so, and the
    exception propagates.

    Args:
        out: folder of the sweep; the record is out/records/RUN_ID.json.
        name: of the model's family; with width and depth it labels the run.
        data: name of the data set.
        seed: of the run.
        width, depth: as the family defines them.
        hyperparameters: whatever else tells configurations apart, as JSON can hold it. lr, optimizer,
            weight_decay, batch_size and parametrization, under these names, have columns of the table.
        model: the torch module that is trained; its FLOPs are counted.
        input_shape: sizes of one example without the batch, such as (3, 32, 32).
        input_dtype: of the model's input; default: that of its first floating-point parameter.
        train_flops_per_example: forward and backward FLOPs of an example, 2 a MAC, where no model is to be
            counted.
        train_n, val_n, test_n: examples of each part; with test_n the test error has an interval.
        classes, chance_error: of a classification.
        precision: of the arithmetic, such as bf16; it tells runs apart where it is given.
        device: what is trained on, as torch names it; default: where the model's parameters are, or else all
            GPUs that this process may use.
        script: file whose SHA-256 is to be part of the run's identity, such as __file__.
        steps: steps of the whole loop, for `isoflop status`.
        energy: whether to meter joules.
        idle_seconds: measure the power of the idle device for so long before training (0: not).
        cpu_watts: an assumed power of a processor that cannot be read.
        again: record the run again though it is done.

    Raises:
        RecorderError: an argument cannot be used.
    """

    def __init__(
        self,
        out: str | Path,
        *,
        name: str,
        data: str,
        seed: int,
        width: int | None = None,
        depth: int | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        model: torch.nn.Module | None = None,
        input_shape: Sequence[int] | None = None,
        input_dtype: torch.dtype | None = None,
        train_flops_per_example: float | None = None,
        train_n: int | None = None,
        val_n: int | None = None,
        test_n: int | None = None,
        classes: int | None = None,
        chance_error: float | None = None,
        precision: str | None = None,
        device: object = None,
        script: str | Path | None = None,
        steps: int | None = None,
        energy: bool = True,
        idle_seconds: float = 0.0,
        cpu_watts: float | None = None,
        again: bool = False,
    ) -> None:
        self.directory = Path(out)
        self.description = Description(
            name=name,
            data=data,
            seed=seed,
            width=width,
            depth=depth,
            hyperparameters=hyperparameters or {},
            precision=precision,
            script_sha256=script_hash(script),
            train_n=train_n,
            val_n=val_n,
            test_n=test_n,
            classes=classes,
            chance_error=chance_error,
        )
        self.facts = LoopFacts(
            model=model,
            input_shape=None if input_shape is None else tuple(input_shape),
            input_dtype=input_dtype,
            train_flops_per_example=train_flops_per_example,
            device=device,
            precision=precision,
        )
        check_count("steps", steps)
        for option, seconds in (("idle_seconds", idle_seconds), ("cpu_watts", cpu_watts)):
            if seconds is not None and not seconds >= 0:
                raise RecorderError(f"Recorder: {option}={seconds}: give a number, 0 or more")
        self._steps, self._again = steps, again
        self._meter = (
            MeterSettings(idle_seconds=idle_seconds, cpu_watts=cpu_watts or None) if energy else None
        )
        self._attempt: Attempt | None = None
        self._progress = Progress()
        self._loaded = False
        self._diverged: NotFiniteError | None = None
        self._adapter: str | None = None
        self.is_entered = False
        self.record: Record | None = None

    @property
    def run_id(self) -> str:
        """Hash of what the user said of the run: the stem of its record's file."""
        return self.description.run_id

    @property
    def path(self) -> Path:
        """Where the record is, or will be."""
        return records.path_of(self.directory, self.run_id)

    @property
    def is_done(self) -> bool:
        """Whether the run has a record of a finished run: a sweep that is started again passes over it.

        Raises:
            KeptRecordError, OSError: as record.is_done.
        """
        return records.is_done(self.path)

    @property
    def step(self) -> int:
        """The latest step that was logged."""
        return self._progress.step

    @property
    def examples(self) -> int:
        """The examples of the latest step that was logged."""
        return self._progress.examples

    @property
    def was_started(self) -> bool:
        """Whether it was started, closed or not."""
        return self._attempt is not None

    @property
    def is_open(self) -> bool:
        """Whether the recorder was entered and not left."""
        return self._attempt is not None and self.record is None

    def wait_for(self, adapter: str) -> None:
        """Have `with` not begin to record: the adapter of this name does so at its first step."""
        self._adapter = adapter

    def observe(self, **facts: Any) -> None:
        """Add what an adapter sees of the loop (fields of LoopFacts), where the user did not say it."""
        self.facts = self.facts.completed(**facts)

    def __enter__(self) -> Recorder:
        """Begin to record, or have an adapter begin at its first step; raises as `start`.

        Collective where several processes train together.
        """
        if self._adapter is None:
            self.start()
        elif self.was_started:
            raise RecorderError(STARTED)
        self.is_entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the record; an exception of the loop propagates. Raises as `close`."""
        if self.is_open or (error is None and self.record is None):
            self.close(error)

    def start(self) -> None:
        """Count the FLOPs, begin to meter, and hold the run, as `with` does.

        Raises:
            RecorderError: it was started before, the run is done already, or there is no such device.
            RecordBusyError: another process records the same run.
            OSError: the folder cannot be written.
        """
        if self.was_started:
            raise RecorderError(STARTED)
        if not self._again and self.is_done:
            raise RecorderError(
                f"{self.path}: this run is done: give another seed or other settings, or again=True"
            )
        attempt = Attempt(self.directory, self.description, self.facts, self._meter, self._steps)
        attempt.go_on_from(self._progress)
        attempt.begin()
        self._attempt = attempt
        atexit.register(self._at_exit, os.getpid())

    def log(
        self,
        *,
        step: int,
        examples: int,
        val_error: SupportsFloat | None = None,
        val_accuracy: SupportsFloat | None = None,
        val_loss: SupportsFloat | None = None,
        train_loss: SupportsFloat | None = None,
        test_error: SupportsFloat | None = None,
        test_accuracy: SupportsFloat | None = None,
        test_loss: SupportsFloat | None = None,
    ) -> None:
        """Note how far the loop is, and evaluations, as numbers or as tensors of one number.

        Errors and accuracies are fractions, losses in nats.

        Without a metric it is cheap, and may be called after every step. Calls of one step add up; of each
        metric the last one counts.

        Args:
            step: optimizer steps since the run began, earlier attempts included.
            examples: training examples since then, over all processes, each as often as it was seen.
            val_error, val_accuracy, val_loss: on the validation part.
            train_loss: the mean over the steps since the last one that was given.
            test_error, test_accuracy, test_loss: on the test part.

        Raises:
            NotFiniteError: a metric is NaN or infinite; the record will say that the training diverged.
            RecorderError: out of order, out of its range, or the recorder is not open.
        """
        attempt = self._open("log")
        at = progress_of.check_order(self._progress, step, examples)
        given = {
            "val_error": val_error,
            "val_accuracy": val_accuracy,
            "val_loss": val_loss,
            "train_loss": train_loss,
            "test_error": test_error,
            "test_accuracy": test_accuracy,
            "test_loss": test_loss,
        }
        try:
            metrics = progress_of.checked_metrics(at[0], given)
        except NotFiniteError as error:
            self._diverged = error
            raise
        self._progress = msgspec.structs.replace(self._progress, step=at[0], examples=at[1])
        if metrics:
            wait_for_cuda()
            seconds, joules = attempt.so_far()
            self._progress = progress_of.logged(self._progress, metrics, seconds, joules)
        attempt.beat(self._progress)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Leave the body out of the joules and seconds of training: an evaluation, saving a checkpoint."""
        self.pause()
        try:
            yield
        finally:
            if self.is_open:
                self.resume()

    def pause(self) -> None:
        """Stop metering until `resume`, as `evaluating` does; nothing where it is paused already."""
        self._open("pause").pause()

    def resume(self) -> None:
        """Go on metering; nothing where it is not paused."""
        self._open("resume").resume()

    def state_dict(self) -> dict[str, Any]:
        """Return plain data to keep in a checkpoint of the loop; call it in the main process, or in all.

        With it a resumed run's joules, seconds and learning curve are those of the whole run.
        """
        if self._attempt is None:
            return {RUN_ID: self.run_id, PROGRESS: msgspec.to_builtins(self._progress)}
        wait_for_cuda()
        return {RUN_ID: self.run_id, PROGRESS: msgspec.to_builtins(self._attempt.checkpoint(self._progress))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that an earlier attempt's `state_dict` returned, before anything is logged.

        Raises:
            RecorderError: something was logged already, or the state is not one of this run.
        """
        if self._progress != Progress() or self._loaded:
            raise RecorderError("recorder.load_state_dict: call it once, before the first recorder.log")
        if state.get(RUN_ID) != self.run_id:
            raise RecorderError(
                f"recorder.load_state_dict: the state is of run {state.get(RUN_ID)}, this is {self.run_id}: "
                "give Recorder the same name, data, seed and hyperparameters as in the attempt before"
            )
        try:
            self._progress = msgspec.convert(state[PROGRESS], Progress)
        except (KeyError, msgspec.ValidationError) as error:
            raise RecorderError(f"recorder.load_state_dict: no state of a recorder ({error})") from error
        self._loaded = True
        if self._attempt is not None:
            self._attempt.go_on_from(self._progress)

    def close(self, error: BaseException | None = None) -> Record:
        """Write the record and return it, as leaving `with` does; `error` is what ended the loop, if any.

        Raises:
            RecorderError: it was closed before, or no examples were logged and there is no `error`.
            OSError: the record cannot be written.
        """
        attempt = self._open("close")
        atexit.unregister(self._at_exit)
        error = error or self._diverged
        missing = None
        if error is None and not (self._progress.step and self._progress.examples):
            missing = error = RecorderError(
                "Recorder: no examples were logged: call recorder.log(step=..., examples=...) inside the loop"
            )
        self.record = attempt.end(self._progress, error)
        if missing is not None:
            raise missing
        return self.record

    def _open(self, call: str) -> Attempt:
        """Return the attempt of a recorder that is open. Raises RecorderError for another one."""
        if self._attempt is None and self._adapter is not None:
            raise RecorderError(
                f"recorder.{call}: {self._adapter} has not begun to train: give it to its trainer"
            )
        if self._attempt is None:
            raise RecorderError(f"recorder.{call}: enter the recorder first: with Recorder(...) as recorder")
        if self.record is not None:
            raise RecorderError(f"recorder.{call}: it is closed: its record is {self.path}")
        return self._attempt

    def _at_exit(self, pid: int) -> None:
        """Record a program that ended without closing: an adapter's trainer does not say that it failed."""
        if os.getpid() == pid and self.is_open:  # a forked child inherits what is to be done at exit
            ended = RuntimeError("the program ended before the recorder was closed")
            self.close(getattr(sys, "last_value", None) or ended)
