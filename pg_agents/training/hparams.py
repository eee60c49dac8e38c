"""What TensorBoard's HPARAMS tab shows of a run: its hyperparameters from the start, its final scores at the end.

They are written to the run's own event files with the protocol buffers of TensorBoard's plugin: what makes a run (a
session, as it calls it) when it begins, how it ended and its scores when it ends. The tab joins the runs of several
seeds in one row, with the means of their scores.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

OF_A_RUN = ("agent", "env", "seed", "num_envs", "total_steps", "stop_return")  # entries of config.json
OPTIONS = ("arguments", "env_args", "networks")  # tables in it
OF_A_SEED = re.compile(r"seed-\d+")  # the name of a folder
SCORES = {  # name in `over_seeds` → tag
    "mean_return_last_100": "summary/ep_rew",
    "last_evaluation": "summary/eval_ep_rew",
}
LARGEST = 1e300  # larger numbers are shown as texts
Hyperparameter = bool | float | str


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Hyperparameter]:
    """Return the hyperparameters of a run, by name, from what its config.json says; those that are None are left out.

    Whatever is neither a number nor a truth value is a text: a schedule, a list.
    """
    found = {name: config.get(name) for name in OF_A_RUN}
    for table in OPTIONS:
        found |= _table(config, table)
    return {name: _plain(value) for name, value in found.items() if value is not None}


def scores(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the final scores of a run, by their tags, from what its summary.json says.

    They are the mean return of the last 100 episodes, that of the last evaluation, and of several seeds the
    interquartile means of both, and the ends of their 95 % intervals. What does not exist is left out.
    """
    evaluations = summary.get("evaluations") or {}
    last = {"last_evaluation": list(evaluations.values())[-1]} if evaluations else {}
    found = {f"{tag}_mean": {**last, **summary}.get(name) for name, tag in SCORES.items()}
    for name, over in summary.get("over_seeds", {}).items():
        ends = {"iqm": "interquartile_mean", "low": "low", "high": "high"}
        found |= {f"{SCORES[name]}_{short}": over[long] for short, long in ends.items()}
    return {tag: float(value) for tag, value in found.items() if value is not None and math.isfinite(value)}


def session_start(run_dir: Path, config: Mapping[str, Any]) -> Summary.Value:
    """Return the record that a run begins which its config.json describes.

    Args:
        run_dir: its folder; one like PARENT/seed-3 belongs to a row of the folder above it, as does that folder itself.
        config: what its config.json says.
    """
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    start = SessionStartInfo(group_name=_group(run_dir, config))
    for name, value in hyperparameters(config).items():
        kind = "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        setattr(start.hparams[name], f"{kind}_value", value)
    return _record(SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))


def session_end(summary: Mapping[str, Any]) -> Summary.Value:
    """Return the record that a run has ended: in order, or as its summary.json says cut off."""
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = Status.Value("STATUS_SUCCESS" if summary.get("cut_off") is None else "STATUS_FAILURE")
    return _record(SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=SessionEndInfo(status=status)))


def _record(tag: str, content: HParamsPluginData) -> Summary.Value:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.metadata import NULL_TENSOR, create_summary_metadata

    return Summary.Value(tag=tag, metadata=create_summary_metadata(content), tensor=NULL_TENSOR)


def _group(run_dir: Path, config: Mapping[str, Any]) -> str:
    """Return the name of the row to which a run belongs; "": one of its own."""
    folder = run_dir.resolve()
    if OF_A_SEED.fullmatch(folder.name):
        folder = folder.parent
    elif "seeds" not in {**config, **_table(config, "networks")}:
        return ""
    return f"{folder.name} in {folder.parent.name}"  # other experiments may have folders of the same name


def _table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a table of config.json, which may be of somebody else: nothing if it is none."""
    return found if isinstance(found := config.get(name), Mapping) else {}


def _plain(value: Any) -> Hyperparameter:  # noqa: ANN401
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value) if abs(value) < LARGEST else str(value)
    return ", ".join(map(str, _parts(value)))


def _parts(value: Any) -> Iterator[Any]:  # noqa: ANN401
    if isinstance(value, Mapping):
        yield from (f"{name}={entry}" for name, entry in value.items())
    elif isinstance(value, list | tuple):
        yield from value
    else:
        yield value
