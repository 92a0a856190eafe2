"""What the adapters read from a trainer: metrics by its names, the first batch, the precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isoflop.runner.recorder.errors import RecorderError
from isoflop.runner.recorder.progress import METRICS


class MetricNames:
    """Which of a trainer's metrics are which of a record's.

    Args:
        adapter: in messages.
        given: the record's name -> the trainer's, for those that the user names.
        usual: the same for names that trainers use by default, the first that is there counts.

    Raises:
        RecorderError: `given` names what a record does not have.
    """

    def __init__(
        self, adapter: str, given: Mapping[str, str] | None, usual: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._adapter, self._given, self._usual = adapter, dict(given or {}), usual
        if unknown := [name for name in self._given if name not in METRICS]:
            raise RecorderError(
                f"{adapter}: metrics names {unknown[0]}, which a record does not have: give some of "
                f"{', '.join(METRICS)}"
            )

    def of(self, part: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metrics of a part (val or test) that a trainer has, by the record's names.

        Raises:
            RecorderError: a metric that the user named is not among them, or none is known.
        """
        named = {name: theirs for name, theirs in self._given.items() if name.startswith(part)}
        missing = next((theirs for theirs in named.values() if theirs not in values), None)
        if missing is None and named:
            return {name: values[theirs] for name, theirs in named.items()}
        found = {} if named else self._usual_of(part, values)
        if found:
            return found
        wanted = missing or f"{part}_error, {part}_accuracy or {part}_loss"
        raise RecorderError(
            f"{self._adapter}: no {wanted} among the metrics {_listed(values)}: log it, or give "
            f"metrics={{'{part}_error': NAME}}"
        )

    def _usual_of(self, part: str, values: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, theirs in self._usual.items():
            known = next((each for each in theirs if each in values), None)
            # An error and an accuracy of one part say the same: the first of them is enough.
            if name.startswith(part) and known and name.replace("accuracy", "error") not in found:
                found[name] = values[known]
        return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, names))) or "(none)"


def batch_of(batch: Any) -> Any:
    """Return the first tensor of a batch: the model's input, whose first dimension counts the examples."""
    if hasattr(batch, "shape"):
        return batch
    if isinstance(batch, Mapping):
        parts = list(batch.values())
    elif isinstance(batch, list | tuple):
        parts = list(batch)
    else:
        parts = list(vars(batch).values()) if hasattr(batch, "__dict__") else []
    return next((found for part in parts if (found := batch_of(part)) is not None), None)


def input_facts(example: Any) -> dict[str, Any]:
    """Return input_shape and input_dtype of a batch's first tensor, for Recorder.observe; {} without one."""
    if example is None or len(example.shape) < 2:
        return {}
    return {"input_shape": tuple(int(size) for size in example.shape[1:]), "input_dtype": example.dtype}


def raw_precision(text: object) -> str | None:
    """Return bf16, fp16, fp32 or fp64 from how a trainer writes it, such as bf16-mixed; else the text."""
    words = str(text)
    for sign, name in (("bf16", "bf16"), ("16", "fp16"), ("32", "fp32"), ("64", "fp64"), ("no", "fp32")):
        if sign in words:
            return name
    return words if text is not None else None
