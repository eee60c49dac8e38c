"""Agents as files: what is loaded acts as what was saved, and damage is named."""

import copy
import json
import os

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from safetensors.torch import save_file
from support.agents import EPISODIC_AGENTS
from support.any_space import Anything
from support.bugs import Bug, seeded, with_result

import pg_agents as pg
from pg_agents.agents import SavedAgentError
from pg_agents.agents.common import files
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.data.tree import tree_map
from pg_agents.manifest import seal
from pg_agents.policies import Critic, MLPCritic, MLPPolicy, tabular
from pg_agents.shown import SCREEN
from pg_agents.spaces.pictures import as_before

OTHER_ENVIRONMENTS = ["pg/GridWorld-v0", "pg/Copy-v0", "Pendulum-v1"]


def trained(name, env, **arguments):
    agent = pg.AGENTS[name].for_env(env, seed=1, **arguments)
    pg.train(agent, env, total_steps=200, seed=1, progress=False)
    return agent


def same_state(first, second):
    mine, theirs = first.state_dict(), second.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.parametrize("name", EPISODIC_AGENTS)
@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_ENVIRONMENTS)]
)
def test_a_loaded_agent_acts_as_the_saved_one_to_the_bit(tmp_path, name, env_id):
    groups = "group_size" in pg.AGENTS[name].argument_names() and not env_id.startswith("pg/")  # they take seeds each
    env = gym.make_vec(env_id, 2, **{"vectorization_mode": "sync"} if groups else {})
    agent = trained(name, env, normalize_rewards=True, discount=0.97)
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    assert type(loaded) is type(agent) and loaded.arguments == agent.arguments and loaded.spaces == agent.spaces
    assert same_state(loaded, agent)
    stream = EnvAdapter(gym.make(env_id), 3)
    observation = {k: v[0] for k, v in stream.observation.items()} if env_id == "pg/Copy-v0" else stream.observation[0]
    for greedy in (True, False):
        first, again = (
            one.act(observation, greedy=greedy, generator=torch.Generator().manual_seed(5))[0]
            for one in (agent, loaded)
        )
        assert first.tobytes() == again.tobytes() and first.dtype == again.dtype
    assert pg.evaluate(agent, env, episodes=4).returns == pg.evaluate(loaded, env, episodes=4).returns


def test_an_agent_that_was_saved_before_an_argument_was_there_has_its_default(tmp_path):
    env = gym.make_vec("CartPole-v1", 4)
    agent = pg.PPO.for_env(env)
    agent.save(tmp_path / "agent")
    description = json.loads((tmp_path / "agent" / "agent.json").read_text())
    for name in ("adam_epsilon", "normalize_over"):
        del description["arguments"][name]
    (tmp_path / "agent" / "agent.json").write_text(json.dumps(description))
    seal(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    assert loaded.arguments == agent.arguments and same_state(loaded, agent)


@pytest.mark.parametrize(
    "space",
    [
        Discrete(3, start=5),
        Box(-1, 2, (2, 2)),
        MultiBinary((2, 3)),
        MultiDiscrete([3, 4], start=[1, 0]),
        Dict(a=Discrete(2), b=Dict(c=Box(0, 1, (1,)))),
    ],
    ids=lambda space: type(space).__name__,
)
def test_every_space_that_has_a_network_is_saved(tmp_path, space):
    agent = pg.ActorCritic.for_spaces(space, Discrete(3, start=2), hidden=(7,), seed=4)
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    assert loaded.spaces == (space, Discrete(3, start=2)) and same_state(loaded, agent)
    space.seed(1)
    observation = space.sample()
    assert loaded.act(observation, greedy=True)[0] == agent.act(observation, greedy=True)[0] >= 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint16])
def test_an_agent_is_at_home_in_spaces_of_any_dtype(tmp_path, dtype):
    """Trained, saved, loaded and evaluated; tables, one-hot features and actions."""
    for seen in (Discrete(6, start=3, dtype=dtype), MultiDiscrete([2, 3], dtype=dtype)):
        for action in (Discrete(3, dtype=dtype), MultiDiscrete([2, 2], dtype=dtype)):
            env = Anything(seen, action)
            agent = pg.ActorCritic.for_env(env, seed=0)
            pg.train(agent, env, total_steps=40, progress=False)
            agent.save(tmp_path / "agent")
            loaded = pg.load(tmp_path / "agent")
            assert pg.evaluate(loaded, env, episodes=2).returns == pg.evaluate(agent, env, episodes=2).returns
            other = Anything(Discrete(6, start=3) if seen.shape == () else MultiDiscrete([2, 3]), action)
            with pytest.raises(
                ValueError, match=f"env: its observation space .* \\(dtype int64 instead of {np.dtype(dtype)}"
            ):
                pg.evaluate(loaded, other, episodes=1)


@pytest.mark.parametrize(
    "space",
    [
        Box(0, 255, (5,), np.uint8),
        Box(0, 255, (9, 9), np.uint8),
        Box(0, 255, (2, 9, 9, 3), np.uint8),
        Box(0, 1, (36, 36)),
        Box(0, 1, (5, 36, 36)),
        Dict(view=Box(0, 255, (9, 9, 3), np.uint8), ram=Box(0, 255, (5,), np.uint8), x=Box(-1, 1, (2,))),
    ],
    ids=str,
)
def test_agents_that_saw_pictures_as_mere_numbers_still_do(tmp_path, space):
    """A file of an earlier version, whose networks are made again as they were; also after it was saved once more."""
    old = pg.ActorCritic.for_spaces(as_before(space), Discrete(3), hidden=(7,), seed=4)
    new = pg.ActorCritic.for_spaces(space, Discrete(3), hidden=(7,), seed=4)
    space.seed(0)
    seen = tree_map(lambda leaf: torch.as_tensor(leaf)[None], space.sample())
    for agent in (old, new):
        agent.spaces = space, Discrete(3)
        agent.save(tmp_path / "agent")
        for _ in range(2):
            loaded = pg.load(tmp_path / "agent")
            assert loaded.spaces == (space, Discrete(3)) and same_state(loaded, agent)
            assert torch.equal(loaded.policy(seen).logits, agent.policy(seen).logits)
            loaded.save(tmp_path / "agent")
    assert old.state_dict().keys() != new.state_dict().keys()


def own_networks(width):
    space = Box(-1, 1, (3,))
    return {"policy": MLPPolicy(space, Discrete(2), hidden=(width,)), "critic": MLPCritic(space, hidden=(width,))}


def test_own_networks_are_given_back_to_load(tmp_path):
    torch.manual_seed(0)
    agent = pg.ActorCritic(**own_networks(6), discount=0.5)
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent", **own_networks(6))
    assert same_state(loaded, agent) and loaded.discount == 0.5 and loaded.spaces is None
    observation = torch.tensor([0.1, -0.2, 0.3]).numpy()
    with torch.no_grad():
        assert torch.equal(loaded.policy(torch.tensor(observation)[None]).log_prob(torch.tensor([0])),
                           agent.policy(torch.tensor(observation)[None]).log_prob(torch.tensor([0])))  # fmt: skip
    with pytest.raises(SavedAgentError, match=r"saved with its own networks; load it with policy="):
        pg.load(tmp_path / "agent")
    with pytest.raises(SavedAgentError, match="do not fit the networks"):
        pg.load(tmp_path / "agent", **own_networks(5))


def test_what_is_given_and_does_not_fit_is_no_damage(saved, tmp_path):
    with pytest.raises(TypeError, match="^env: .* has no such argument"):
        pg.load(saved, env="CartPole-v1")
    pg.ActorCritic(**own_networks(6)).save(tmp_path / "own")
    with pytest.raises(ValueError, match="^critic: ") as caught:
        pg.load(tmp_path / "own", policy=own_networks(6)["policy"])
    assert not isinstance(caught.value, SavedAgentError)


def test_a_critic_of_ones_own_is_trained_and_saved(tmp_path):
    class Scaled(Critic):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, observations, memory=None, episode_starts=None):
            return self.scale * observations.sum(-1)

    env = gym.make_vec("CartPole-v1", 2)
    policy = MLPPolicy(env.single_observation_space, env.single_action_space, hidden=(4,))
    agent = pg.ActorCritic(policy=policy, critic=Scaled())
    pg.train(agent, env, total_steps=50, run_dir=tmp_path / "r", progress=False)
    again = MLPPolicy(env.single_observation_space, env.single_action_space, hidden=(4,))
    loaded = pg.load(tmp_path / "r" / "agent", policy=again, critic=Scaled())
    assert loaded.critic.scale == agent.critic.scale != 1.0


# -- damage ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def saved(tmp_path):
    pg.Reinforce.for_env(gym.make("pg/Chain-v0")).save(tmp_path / "agent")
    return tmp_path / "agent"


def edited(saved, **changes):
    description = json.loads((saved / "agent.json").read_text()) | changes
    (saved / "agent.json").write_text(json.dumps({k: v for k, v in description.items() if v is not ...}))
    seal(saved)


def test_a_folder_without_an_agent_is_named(tmp_path, saved):
    with pytest.raises(SavedAgentError, match=r"nowhere holds no saved agent .*agent\.json is missing"):
        pg.load(tmp_path / "nowhere")
    (saved / "agent.safetensors").unlink()
    with pytest.raises(SavedAgentError, match=r"holds no saved agent .*agent\.safetensors is missing"):
        pg.load(saved)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b'\x08\x00\x00\x00\x00\x00\x00\x00{"a": 1'])
def test_damaged_parameters_are_named(saved, content):
    (saved / "agent.safetensors").write_bytes(content)
    seal(saved)
    with pytest.raises(SavedAgentError, match="the agent saved in .*agent is damaged"):
        pg.load(saved)


def test_truncated_parameters_are_named(saved):
    whole = (saved / "agent.safetensors").read_bytes()
    (saved / "agent.safetensors").write_bytes(whole[: len(whole) - 4])
    seal(saved)
    with pytest.raises(SavedAgentError, match="is damaged"):
        pg.load(saved)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"x"', "[" * 10**5, '{"a":' * 10**5, "9" * 5000, "\x00", '{"format": 1}', "x" * 10**6],
    ids=lambda text: text[:9],
)
def test_damaged_descriptions_are_named(saved, text):
    (saved / "agent.json").write_text(text)
    seal(saved)
    with pytest.raises(SavedAgentError, match="is damaged"):
        pg.load(saved)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("agent", "nobody"),
        ("arguments", {"loudness": 3}),
        ("arguments", {"discount": 7}),
        ("spaces", [{"kind": "Sphere"}, {"kind": "Discrete", "n": 2, "start": 0}]),
        ("spaces", [{"kind": "Discrete"}, {"kind": "Discrete"}]),
        ("spaces", [{"kind": "Discrete", "n": 5, "start": 0}]),
        ("networks", {"depth": 3}),
        ("networks", ...),
    ],
)
def test_descriptions_that_make_no_sense_are_named(saved, key, value):
    edited(saved, **{key: value})
    with pytest.raises(SavedAgentError, match=str(saved)):
        pg.load(saved)


WRONG = (
    True, -1, 1.5, 10**30, float("nan"), float("inf"), "x", "\x1b[2J", "hf:/tmp", [], {}, [None], [[1]], [10**9, 10**9],
    "y" * 10**6, list(range(10**5)), {"kind": "Box", "low": 0, "high": 1, "shape": [10**5, 10**5], "dtype": "float32"},
    {"kind": "Discrete", "n": 10**10, "start": 0}, {"kind": "MultiBinary", "n": [10**5, 10**5]},
    {"kind": "MultiDiscrete", "nvec": [10**9, 10**9], "start": [0, 0]}, {"kind": "Dict", "spaces": [[1]]},
)  # fmt: skip


def places(value, path=()):
    """Yield the path of every key and item within a JSON value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:30])
def test_anything_anywhere_in_a_description_is_one_error_of_a_screen_or_an_agent(tmp_path, wrong):
    space = Dict(a=Discrete(2), b=Box(-1, 1, (2,)), c=MultiDiscrete([2, 3]))
    agent = pg.ActorCritic.for_spaces(space, Discrete(2), hidden=(3,), normalize_observations=True)
    agent.save(tmp_path / "agent")
    description = json.loads((tmp_path / "agent" / "agent.json").read_text())
    description["files"].remove("manifest.json")
    (tmp_path / "agent" / "manifest.json").unlink()
    for *way, last in [
        *places(description),
        ("arguments", "policy"),
        ("networks", "policy"),
        ("networks", "recurrent"),
    ]:
        changed = inner = copy.deepcopy(description)
        for key in way:
            inner = inner[key]
        inner[last] = wrong
        (tmp_path / "agent" / "agent.json").write_text(json.dumps(changed))
        try:
            assert isinstance(pg.load(tmp_path / "agent"), pg.Agent)
        except SavedAgentError as error:
            assert str(tmp_path / "agent") in str(error) and len(str(error)) < SCREEN and str(error).isprintable()


def test_a_policy_that_a_description_names_is_never_read_from_elsewhere(saved):
    description = json.loads((saved / "agent.json").read_text())
    edited(saved, arguments=description["arguments"] | {"policy": "hf:/somewhere"})
    with pytest.raises(SavedAgentError, match="arguments: Reinforce has none called policy"):
        pg.load(saved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"policy.logits": torch.zeros(1, 5, 2, dtype=torch.int64)},
            r"torch.int64 \[1, 5, 2\], the networks have torch.float32",
        ),
        ({"policy.logits": torch.zeros(1, 5, 2, dtype=torch.complex64)}, "is torch.complex64"),
        ({"policy.logits": torch.zeros(1, 2, 5)}, r"torch.float32 \[1, 2, 5\], the networks have .* \[1, 5, 2\]"),
        ({"policy.logits": torch.zeros(0)}, r"torch.float32 \[0\], the networks have"),
        ({}, "'policy.logits' is missing"),
        ({"policy.logits": torch.zeros(1, 5, 2), "x\x1b" * 10**5: torch.zeros(1)}, "is unknown"),
    ],
    ids=["whole numbers", "complex", "turned", "empty", "missing", "one more"],
)
def test_parameters_that_do_not_fit_are_named(saved, change, said):
    save_file(change, saved / "agent.safetensors")
    seal(saved)
    with pytest.raises(SavedAgentError, match=f"do not fit the networks: .*{said}") as caught:
        pg.load(saved)
    assert len(str(caught.value)) < SCREEN and str(caught.value).isprintable()


def test_binary_rubbish_in_place_of_a_description_is_not_repeated(saved):
    (saved / "agent.json").write_bytes(b"\xff" * 14_000_000)
    seal(saved)
    with pytest.raises(SavedAgentError, match="is damaged") as caught:
        pg.load(saved)
    assert len(str(caught.value)) < SCREEN


def test_parameters_of_another_shape_and_later_formats_are_named(saved):
    edited(saved, spaces=[{"kind": "Discrete", "n": 9, "start": 0}, {"kind": "Discrete", "n": 2, "start": 0}])
    with pytest.raises(SavedAgentError, match="do not fit the networks"):
        pg.load(saved)
    edited(saved, format=2)
    with pytest.raises(SavedAgentError, match="of format 2, this version reads 1"):
        pg.load(saved)


def test_saving_again_replaces_the_agent_whole_or_not_at_all(saved, monkeypatch):
    other = pg.ActorCritic.for_env(gym.make("CartPole-v1"))

    def no_space(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("pg_agents.agents.common.files.write_tensors", no_space)
    with pytest.raises(OSError, match="no space"):
        other.save(saved)
    assert isinstance(pg.load(saved), pg.Reinforce)
    monkeypatch.undo()
    other.save(saved)
    assert isinstance(pg.load(saved), pg.ActorCritic)
    assert os.listdir(saved.parent) == ["agent"]


def test_nothing_but_a_saved_agent_is_replaced(tmp_path):
    agent = pg.Reinforce.for_env(gym.make("pg/Chain-v0"))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("one")
    (tmp_path / "file").write_text("two")
    for name in ("thesis", "file"):
        with pytest.raises(SavedAgentError, match=f"{name} exists and is not the folder of a saved agent"):
            agent.save(tmp_path / name)
    agent.save(tmp_path / "agent")
    agent.save(tmp_path / "agent")
    (tmp_path / "empty").mkdir()
    agent.save(tmp_path / "empty")
    assert (tmp_path / "thesis" / "chapter").read_text() == "one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent", "empty", "file", "thesis"]


@pytest.mark.parametrize(
    "foreign", ["model/weights.bin", "model/deep/notes", "notes", "agent.json.bak", ".hidden", "empty/", "model/"]
)
@pytest.mark.parametrize("beside_an_agent", [False, True])
def test_files_that_are_not_ours_are_never_deleted(tmp_path, foreign, beside_an_agent):
    agent = pg.Reinforce.for_env(gym.make("pg/Chain-v0"))
    if beside_an_agent:
        agent.save(tmp_path / "agent")
    (tmp_path / "agent" / foreign).parent.mkdir(parents=True, exist_ok=True)
    if foreign.endswith("/"):
        (tmp_path / "agent" / foreign).mkdir()
    else:
        (tmp_path / "agent" / foreign).write_text("keep")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(SavedAgentError, match=rf"is not the folder of a saved agent alone \('{foreign.split('/')[0]}"):
        agent.save(tmp_path / "agent")
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_somebody_elses_agent_json_is_not_ours(tmp_path):
    (tmp_path / "agent").mkdir()
    for text in ('{"name": "my agent"}', "not JSON", "[" * 10**5):
        (tmp_path / "agent" / "agent.json").write_text(text)
        with pytest.raises(SavedAgentError, match=r"agent alone \('agent.json' is not of one\)"):
            pg.Reinforce.for_env(gym.make("pg/Chain-v0")).save(tmp_path / "agent")
        assert (tmp_path / "agent" / "agent.json").read_text() == text


def test_an_agent_of_an_earlier_version_which_lists_no_files_is_replaced(saved):
    edited(saved, files=...)
    pg.ActorCritic.for_env(gym.make("pg/Chain-v0")).save(saved)
    assert isinstance(pg.load(saved), pg.ActorCritic)


def test_precision_and_numbers_of_numpy_survive(tmp_path):
    agent = pg.ReinforceBaseline.for_env(
        gym.make("CartPole-v1"), learning_rate=np.float32(0.5), seed=np.int64(3)
    ).double()
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    assert loaded.learning_rate == 0.5
    assert all(torch.equal(a, b) for a, b in zip(agent.parameters(), loaded.parameters(), strict=True))
    assert next(loaded.policy.parameters()).dtype == torch.float64


def test_an_agent_that_is_not_known_is_named(tmp_path):
    agent = pg.Reinforce.for_env(gym.make("pg/Chain-v0"))
    agent.save(tmp_path)
    text = (tmp_path / "agent.json").read_text()
    (tmp_path / "agent.json").write_text(text.replace('"reinforce"', '"mine"'))
    seal(tmp_path)
    with pytest.raises(SavedAgentError, match="called 'mine'.*AGENTS"):
        pg.load(tmp_path)


def policy_of_an_argument(description):
    if "policy" in description["arguments"]:
        description["networks"]["policy"] = description["arguments"].pop("policy")
    return description


test_seeded_bugs = seeded(
    Bug(
        "states are counted from the start in their own few bits",
        tabular._index,
        lambda states, start: states - start,
        [test_an_agent_is_at_home_in_spaces_of_any_dtype],
        raises=RuntimeError,
    ),
    Bug(
        "an agent of an earlier version is loaded with numbers scaled that it saw as they were",
        as_before,
        lambda space: space,
        [test_agents_that_saw_pictures_as_mere_numbers_still_do],
    ),
    Bug(
        "saving an agent deletes files of others",
        files._check_replaceable,
        lambda path: None,
        [test_files_that_are_not_ours_are_never_deleted],
    ),
    Bug(
        "a description of an agent names a model to read",
        files.read_description,
        with_result(files.read_description, policy_of_an_argument),
        [test_a_policy_that_a_description_names_is_never_read_from_elsewhere],
    ),
)
