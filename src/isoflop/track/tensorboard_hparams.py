"""What TensorBoard's HParams tab reads: the settings of each run, and which settings and results to show.

The format is that of TensorBoard's plugin `hparams` (its plugin_data.proto, version 0).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import struct_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

from isoflop.track.numbers import Value

PLUGIN = "hparams"
EXPERIMENT, START, END = (
    f"_hparams_/{name}" for name in ("experiment", "session_start_info", "session_end_info")
)


def _summary(tag: str, **content: Any) -> Any:
    """Return the summary that holds a message of the plugin under its tag."""
    data = plugin_data_pb2.HParamsPluginData(version=0, **content)
    plugin = SummaryMetadata.PluginData(
        plugin_name=PLUGIN, content=data.SerializeToString(deterministic=True)
    )
    return Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])


def _value(value: Value) -> Any:
    """Return a setting as protobuf's variant of number, truth value and text."""
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    return struct_pb2.Value(string_value=value)


def start(settings: Mapping[str, Value], began: float) -> Any:
    """Return the summary that begins a run: its settings, and when it began in seconds since 1970."""
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=began)
    for name, value in settings.items():
        info.hparams[name].CopyFrom(_value(value))
    return _summary(START, session_start_info=info)


def end(*, done: bool, ended: float) -> Any:
    """Return the summary that ends a run: whether it gave a point, and when, in seconds since 1970."""
    status = api_pb2.STATUS_SUCCESS if done else api_pb2.STATUS_FAILURE
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)
    return _summary(END, session_end_info=info)


def experiment(runs: Sequence[Mapping[str, Value]], metrics: Sequence[tuple[str, str]]) -> Any:
    """Return the summary that says what the tab shows of a sweep: settings, of which it puts those that
    differ first, and results.

    Args:
        runs: the settings of each run.
        metrics: (tag, name) of each result.
    """
    names = dict.fromkeys(name for settings in runs for name in settings)
    columns = {name: [settings.get(name) for settings in runs] for name in names}
    shown = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=name) for tag, name in metrics]
    infos = [_column(name, given) for name, given in columns.items()]
    return _summary(EXPERIMENT, experiment=api_pb2.Experiment(hparam_infos=infos, metric_infos=shown))


def _column(name: str, given: Sequence[Value | None]) -> Any:
    """Return the column of a setting, with the values that it takes; None where a run does not have it."""
    values, differs = [value for value in given if value is not None], len(set(given)) > 1
    info = api_pb2.HParamInfo(name=name, type=_type(values), differs=differs)
    if info.type == api_pb2.DATA_TYPE_FLOAT64:
        info.domain_interval.min_value, info.domain_interval.max_value = min(values), max(values)
    else:
        distinct = sorted(set(values), key=json.dumps)
        info.domain_discrete.CopyFrom(struct_pb2.ListValue(values=[_value(value) for value in distinct]))
    return info


def _type(values: Sequence[Value]) -> Any:
    if all(isinstance(value, bool) for value in values):
        return api_pb2.DATA_TYPE_BOOL
    if all(isinstance(value, int | float) for value in values):
        return api_pb2.DATA_TYPE_FLOAT64
    return api_pb2.DATA_TYPE_STRING
