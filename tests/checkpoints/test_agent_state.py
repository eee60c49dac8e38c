"""An agent's state: whatever its optimizer, what is frozen and where parameters lie, its next steps are equal."""

import json
from dataclasses import replace

import pytest
import torch
from support.bugs import Bug, seeded
from support.resumed import differences, state_of

import pg_agents as pg
from pg_agents.agents.common.flat_optimizer import FlatOptimizer
from pg_agents.checkpoints import agent_state as module
from pg_agents.checkpoints.agent_state import FrozenParameters, agent_state, set_agent_state
from pg_agents.checkpoints.store import read_checkpoint, read_start, write_checkpoint, write_start
from pg_agents.errors import SavedFilesError
from pg_agents.manifest import seal


def make(seed=0, **options):
    options = {"hidden": (4, 4), "num_steps": 4, "epochs": 2, "minibatch_size": 8, "learning_rate": 0.05} | options
    return pg.PPO.for_env("CartPole-v1", num_envs=4, seed=seed, **options)


def rollouts(count):
    agent = make(seed=9)
    collector = pg.collect_steps("CartPole-v1", agent.policy, 4, num_envs=4, seed=1)
    return [next(collector) for _ in range(count)]


def through_disk(agent, other, folder, frozen=None, start=None):
    """Give `other` the state of `agent`, by way of the disk; `start`: of the agent with which the run began."""
    start = write_start(folder, agent) if start is None else start
    state = agent_state(agent, FrozenParameters(agent) if frozen is None else frozen)
    found = read_checkpoint(write_checkpoint(folder, 3, state, {"a": 1}, start))
    assert (found.steps, found.run, found.start) == (3, {"a": 1}, start)
    set_agent_state(other, found.agent, read_start(folder, start))
    return found


def freeze(agent, frozen):
    for name, parameter in agent.named_parameters():
        parameter.requires_grad_(frozen not in name)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
@pytest.mark.parametrize("frozen", [None, "network.1", "policy"])
def test_the_next_updates_have_the_same_bits(tmp_path, optimizer, frozen):
    agent, other = make(optimizer=optimizer), make(seed=1, optimizer=optimizer)
    first, second, third, fourth = rollouts(4)
    agent.update(first)
    if frozen:
        freeze(agent, frozen)
    agent.update(second)
    agent.progress = 0.25
    through_disk(agent, other, tmp_path)
    assert differences(state_of(agent), state_of(other)) == []
    for rollout, melted in ((third, False), (fourth, True)):
        for one in (agent, other):
            if melted:
                freeze(one, "nothing")  # what slept remembers its moments
            one.update(rollout)
        assert differences(state_of(agent), state_of(other)) == []
    assert differences(state_of(agent), state_of(make(optimizer=optimizer))) != []


def test_parameters_that_lie_for_themselves_stay_so(tmp_path, monkeypatch):
    """Large ones do; in a vector the norm of the gradient is summed in another order."""
    monkeypatch.setattr("pg_agents._fast.flat_vectors.LARGE", 10)
    agent = make()
    agent.update(rollouts(1)[0])
    monkeypatch.undo()
    other = make(seed=1)
    through_disk(agent, other, tmp_path)
    assert all(members == [vector] for vector, members in other.flat_optimizer.members.items())
    for one in (agent, other):
        one.update(rollouts(2)[1])
    assert differences(state_of(agent), state_of(other)) == []


def test_frozen_parameters_are_written_once_and_again_where_they_have_changed(tmp_path):
    agent, other = make(kl_weight=0.1), make(seed=1, kl_weight=0.1)
    frozen, start = FrozenParameters(agent), write_start(tmp_path, agent)
    found = through_disk(agent, other, tmp_path, frozen, start)
    assert not any(name.startswith("reference.") and "network" in name for name in found.agent.networks)
    assert differences(state_of(agent), state_of(other)) == []
    with torch.no_grad():
        next(agent.reference.parameters()).mul_(2)
    found = through_disk(agent, other, tmp_path, frozen, start)
    assert sum(name.startswith("reference.") and "network" in name for name in found.agent.networks) == 1
    assert differences(state_of(agent), state_of(other)) == []
    moved = list(agent.reference.parameters())[1]
    moved.data = moved.data + 1
    found = through_disk(agent, other, tmp_path, frozen, start)
    assert sum(name.startswith("reference.") and "network" in name for name in found.agent.networks) == 2
    assert differences(state_of(agent), state_of(other)) == []
    assert all(map(FrozenParameters(other).unchanged, other.reference.parameters()))


def test_what_is_no_longer_frozen_is_written_before_it_has_changed(tmp_path):
    agent, other = make(), make(seed=1)
    freeze(agent, "network.1")
    frozen, start = FrozenParameters(agent), write_start(tmp_path, agent)
    freeze(agent, "nothing")
    through_disk(agent, other, tmp_path, frozen, start)
    assert differences(state_of(agent), state_of(other)) == []


def test_what_was_frozen_since_the_last_step_is_asleep():
    agent = make()
    agent.update(rollouts(1)[0])
    freeze(agent, "network.1")
    _, layout = agent.flat_optimizer.get_state({value: name for name, value in agent.named_parameters()})
    frozen = {name for name, parameter in agent.named_parameters() if not parameter.requires_grad}
    assert set(layout["asleep"]) == frozen and frozen
    awake = [name for group in layout["groups"] for vector in group["vectors"] for name in vector["members"]]
    assert not frozen & set(awake)


def test_buffers_of_another_length_are_replaced_and_of_another_dtype_refused(tmp_path):
    agent, other = make(normalize_rewards=True), make(seed=1, normalize_rewards=True)
    agent.update(rollouts(1)[0])
    found = through_disk(agent, other, tmp_path)
    assert len(other.reward_scale.accumulated) == 4 and differences(state_of(agent), state_of(other)) == []
    networks = {name: value.double() for name, value in found.agent.networks.items()}
    with pytest.raises(SavedFilesError, match="is torch.float64 .*, expected torch.float32"):
        set_agent_state(other, replace(found.agent, networks=networks), {})


def test_the_steps_that_are_prepended_come_back(tmp_path):
    def made(seed):
        return pg.AverageReward.for_env("pg/TwoStateMDP-v0", num_envs=4, seed=seed)

    agent, other = made(0), made(1)
    collector = pg.collect_steps("pg/TwoStateMDP-v0", agent.policy, 1, num_envs=4)
    for _ in range(3):
        agent.update(next(collector))
    through_disk(agent, other, tmp_path)
    rollout = next(collector)
    metrics = [one.update(rollout) for one in (agent, other)]
    assert metrics[0] and metrics[0].keys() == metrics[1].keys()
    assert all(torch.equal(metrics[0][name], metrics[1][name]) for name in metrics[0])
    assert differences(state_of(agent), state_of(other)) == []


def test_the_state_is_a_picture_that_later_updates_do_not_change_once_written(tmp_path):
    agent, other = make(), make(seed=1)
    first, second = rollouts(2)
    agent.update(first)
    before = state_of(agent)
    start = write_start(tmp_path, agent)
    path = write_checkpoint(tmp_path, 1, agent_state(agent, FrozenParameters(agent)), None, start)
    agent.update(second)
    set_agent_state(other, read_checkpoint(path).agent, {})
    assert differences(before, state_of(other)) == []


def test_the_agent_with_which_another_run_began_and_a_damaged_one_are_refused(tmp_path):
    digest = write_start(tmp_path / "mine", make())
    other = write_start(tmp_path / "other", make(seed=1))
    assert read_start(tmp_path / "mine", digest).keys() == read_start(tmp_path / "other", other).keys()
    with pytest.raises(SavedFilesError, match=r"path: the agent in .*start is damaged \(it is another run's\)"):
        read_start(tmp_path / "mine", other)
    file = tmp_path / "mine" / "start" / "agent.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(SavedFilesError, match=r"start is damaged \('agent.safetensors' is not the file that was"):
        read_start(tmp_path / "mine", digest)


@pytest.mark.parametrize("name", ["networks", "optimizer", "state"])
def test_tensors_that_are_none_are_one_error_though_the_manifest_fits(tmp_path, name):
    agent = make()
    path = write_checkpoint(tmp_path, 1, agent_state(agent, FrozenParameters(agent)), None, "")
    for said, data in (("is not as it was written", b"\2" + 7 * b"\0" + b"[]"), ("is truncated", b"\3" + 9 * b"\0")):
        (path / f"{name}.safetensors").write_bytes(data)
        seal(path)
        with pytest.raises(SavedFilesError, match=f"the checkpoint .* is damaged .*{said}"):
            read_checkpoint(path)


@pytest.mark.parametrize("change", [{"state": {}}, {"state": {"$tuple": 3}}, {"state": []}, {"machine": None}])
def test_a_state_that_is_none_is_one_error_though_the_manifest_fits(tmp_path, change):
    agent = make()
    path = write_checkpoint(tmp_path, 1, agent_state(agent, FrozenParameters(agent)), None, "")
    values = {name: value for name, value in (json.loads((path / "state.json").read_text()) | change).items() if value}
    (path / "state.json").write_text(json.dumps(values))
    seal(path)
    with pytest.raises(SavedFilesError, match="the checkpoint .* is damaged .*is not as it was written"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"hidden": (5, 5)}, "expected"), ({"hidden": (4,)}, "is (missing|unknown)"), ({"kl_weight": 0.1}, "is missing")],
)
def test_other_networks_are_refused_before_anything_is_changed(tmp_path, options, said):
    other = make(seed=1, **options)
    before = state_of(other)
    with pytest.raises(SavedFilesError, match=f"{said}.*: the agent was made with other networks or options"):
        through_disk(make(), other, tmp_path)
    assert differences(before, state_of(other)) == []


def without_asleep(self, names, right=FlatOptimizer.get_state):
    moments, layout = right(self, names)
    asleep = tuple(f"{name}/" for name in layout["asleep"])
    return {name: value for name, value in moments.items() if not name.startswith(asleep)}, layout | {"asleep": []}


def all_in_vectors(self, parameters, moments, layout, right=FlatOptimizer.set_state):
    groups = [
        {**group, "vectors": [{**vector, "flat": True} for vector in group["vectors"]]} for group in layout["groups"]
    ]
    right(self, parameters, moments, {**layout, "groups": groups})


test_seeded_bugs = seeded(
    Bug(
        "what is frozen is forgotten",
        FlatOptimizer.get_state,
        without_asleep,
        [test_the_next_updates_have_the_same_bits],
    ),
    Bug(
        "every parameter is laid out in a vector",
        FlatOptimizer.set_state,
        all_in_vectors,
        [test_parameters_that_lie_for_themselves_stay_so],
        raises=RuntimeError,
    ),
    Bug(
        "frozen parameters are taken for what they were at the beginning",
        FrozenParameters.unchanged,
        lambda self, parameter: not parameter.requires_grad,
        [test_frozen_parameters_are_written_once_and_again_where_they_have_changed],
    ),
    Bug(
        "steps of the previous rollout are not kept",
        module._rollout_state,
        lambda rollout: None,
        [test_the_steps_that_are_prepended_come_back],
    ),
)
