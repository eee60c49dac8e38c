"""Runs that are stopped and resumed, and everything about a run that must be equal to that of one that was not."""

import json
import shutil
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from pg_agents.checkpoints.store import checkpoints_in, read_checkpoint

AS_BEGUN = ("config/text_summary", "_hparams_/session_start_info")  # tags that tell of a run's folder, machine, length
CLOCK = ("time", "time/steps_per_second", "time/tokens_per_second")  # columns that tell the time
OF_A_STOP = ("wall_seconds", "steps_per_second", "resumed_from")  # of a summary: what a stop may change


def state_of(agent):
    """Return all tensors and generators of an agent, by name."""
    names = {parameter: name for name, parameter in agent.named_parameters()}
    moments, layout = agent.flat_optimizer.get_state(names)
    last = agent.overlap.last
    return {
        **{name: value.detach().clone() for name, value in agent.named_parameters()},
        **{name: value.clone() for name, value in agent.named_buffers()},
        **{f"optimizer/{name}": value.clone() for name, value in moments.items()},
        "layout": layout,
        "generator": agent.generator.get_state(),
        "progress": agent.progress,
        "overlap": None if last is None else [last.rewards, last.actions, last.times],
    }


def differences(one, other):
    """Return the names under which two dicts differ in any bit."""
    names = one.keys() | other.keys()
    return sorted(name for name in names if not equal(one.get(name), other.get(name)))


def equal(one, other):
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        return same and one.detach().numpy().tobytes() == other.detach().numpy().tobytes()
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def rows(run_dir):
    """Return the rows of metrics without the clock's columns."""
    lines = map(json.loads, (Path(run_dir) / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in CLOCK} for line in lines]


def points(run_dir):
    """Return every point of TensorBoard's files in order, without the clock's and the beginnings of files."""
    found = []
    for path in sorted(Path(run_dir).glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns):
        for record in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(record)
            for value in event.summary.value:
                if value.tag not in CLOCK and value.tag not in AS_BEGUN:
                    found.append((event.step, value.tag, value.SerializeToString()))
                elif value.tag not in CLOCK:
                    found.append((event.step, value.tag, b""))
    return found


def summary(run_dir):
    """Return summary.json without what a stop may change."""
    return _without_stops(json.loads((Path(run_dir) / "summary.json").read_text()))


def _without_stops(values):
    kept = {name: value for name, value in values.items() if name not in OF_A_STOP}
    return kept | {"learners": [_without_stops(one) for one in values["learners"]]}


def files(run_dir):
    """Return all that a run's folder says, which must be equal."""
    return {"rows": rows(run_dir), "points": points(run_dir), "summary": summary(run_dir)}


def stopped_after(whole, place, count):
    """Copy a run's folder to `place` as it was when a process was killed after its checkpoint number `count`."""
    shutil.copytree(whole, place)
    for path in list(checkpoints_in(place / "checkpoints"))[count + 1 :]:
        shutil.rmtree(path)
    return place


def newest(run_dir):
    """Return the agent's state in a run's newest checkpoint, by name."""
    found = read_checkpoint(list(checkpoints_in(Path(run_dir) / "checkpoints"))[-1])
    rest = {**found.agent.rest, "generator": found.agent.rest["generator"].tolist()}
    return {**found.agent.networks, **{f"optimizer/{n}": value for n, value in found.agent.moments.items()}, **rest}


def episodes_run(run_dir):
    """Return whether an episode runs at a run's newest checkpoint."""
    collector = read_checkpoint(list(checkpoints_in(Path(run_dir) / "checkpoints"))[-1]).run["collector"]
    return collector is not None and bool((collector["adapter"]["times"] > 0).any())
