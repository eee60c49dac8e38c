"""Agents as version 1 saved them, in tests/fixtures/version_1/: how the folders were made, and what is asked of them.

    git worktree add --detach ../version_1 2bf7ce0
    PYTHONPATH=../version_1:../version_1/envs python tests/agents/version_1.py
    git worktree remove ../version_1

Each folder holds what `agent.save` wrote after a few updates, and expected.json: observations, and the answers that
version 1 gave to them. Networks that are too large to keep have parameters that follow a rule instead of learned ones,
of which shapes.json holds the names and shapes.
"""

import contextlib
import json
import tempfile
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from safetensors.torch import save_file

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "version_1"
STEPS, ENVS = 2, 3


class Noise(gym.Env):
    """Observations at random, whatever is done; every fourth step is an episode's last."""

    def __init__(self, observations, actions):
        self.observation_space, self.action_space = observations, actions

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.clock = 0
        return self.observe(), {}

    def observe(self):
        found = self.observation_space.sample()
        if isinstance(found, dict):
            found["action_mask"][[0, 2]] = 1  # the first of each choice is allowed
        return each(found, lambda array: np.round(array, 2))

    def step(self, action):
        self.clock += 1
        reward = float(np.sum(action) + self.np_random.normal())
        return self.observe(), reward, self.clock == 4, False, {}


def noise(observations, actions):
    return gym.vector.SyncVectorEnv([lambda: Noise(observations(), actions())] * ENVS)


def numbers():
    return Box(-1, 1, (3,), np.float32)


def mixed():
    return Dict(colour=Discrete(3, start=1), noise=Box(0, 1, (2, 2), np.float32), action_mask=MultiBinary(5))


def wide():
    return Box(np.array([-1.0, 3.0], np.float32), np.array([5.0, 3.5], np.float32))


def pixels(*shape):
    return lambda: Box(0, 255, shape, np.uint8)


SMALL = {"hidden": (4,)}
RECTIFIED = SMALL | {"activation": "relu", "learning_rate": 1e-4}  # bytes as they are would saturate tanh
TEXTS = {"vocabulary": 12, "pad": 0, "eos": [2], "max_new_tokens": 3, "prompts": [[5, 6], [5, 6, 7], [9]]}
CASES = {  # folder: (agent, how to make the environment, arguments of `for_env`)
    "reinforce": ("reinforce", lambda: gym.make_vec("CartPole-v1", ENVS), SMALL | {"entropy_weight": "0.1:0"}),
    "reference": ("reinforce-baseline", lambda: gym.make_vec("CartPole-v1", ENVS), SMALL | {"kl_weight": 0.1}),
    "scales-and-schedules": (
        "ppo",
        lambda: gym.make_vec("Pendulum-v1", ENVS),
        SMALL
        | {"normalize_observations": True, "normalize_rewards": True, "learning_rate": "1e-3:0", "clip": "0.3:0.1"}
        | {"num_steps": 16, "minibatch_size": 16, "epochs": 2, "target_kl": 0.05},
    ),
    "squashed": ("a2c", lambda: noise(numbers, wide), SMALL | {"squash": True, "initial_log_std": -0.5}),
    "box": ("a2c", lambda: noise(numbers, wide), SMALL | {"critic_learning_rate": 0.01, "optimizer": "sgd"}),
    "memory": ("a2c", lambda: gym.make_vec("CartPole-v1", ENVS), SMALL | {"recurrent": 4}),
    "table": ("actor-critic", lambda: noise(lambda: Discrete(5, start=2), lambda: Discrete(3)), {}),
    "learners": (
        "reinforce",
        lambda: gym.make_vec("pg/BernoulliBandit-v0", ENVS, probabilities=(0.1, 0.8)),
        {"num_learners": ENVS, "max_grad_norm": None},
    ),
    "continuing": ("average-reward", lambda: gym.make_vec("pg/TwoStateMDP-v0", ENVS), {"initial_gain": 0.5}),
    "masks": (
        "trpo",
        lambda: noise(mixed, lambda: MultiDiscrete([2, 3], start=[0, 4])),
        SMALL | {"num_steps": 12, "minibatch_size": 12, "epochs": 2},
    ),
    "bits": ("npg", lambda: noise(numbers, lambda: MultiBinary(3)), SMALL | {"num_steps": 12, "minibatch_size": 12}),
    "picture": ("a2c", lambda: noise(pixels(7, 7, 1), lambda: Discrete(3)), {}),
    "real-picture": ("a2c", lambda: noise(lambda: Box(0, 1, (1, 7, 7), np.float32), lambda: Discrete(3)), {}),
    # These are pictures, or scaled, when an agent is made today; then they were numbers as they are.
    "picture-of-rank-2": ("a2c", lambda: noise(pixels(8, 8), lambda: Discrete(3, start=2)), RECTIFIED),
    "stacked-pictures": ("a2c", lambda: noise(pixels(2, 7, 7, 1), lambda: Discrete(3)), RECTIFIED),
    "whole-numbers": ("a2c", lambda: noise(lambda: Box(0, 9, (3,), np.int64), lambda: Discrete(3)), SMALL),
    "bytes": ("a2c", lambda: noise(pixels(4), lambda: Discrete(3)), RECTIFIED),
    "tokens": ("grpo", lambda: gym.make_vec("pg/Shorter-v0", ENVS), {"group_size": 3}),
    "llama": ("rloo", None, {"group_size": 3, "policy": "hf-config:model"}),
}


def make_texts():
    from pg_envs import TokenVectorEnv

    return TokenVectorEnv(ENVS, score=lambda prompt, text: float(text[0] % 2), **TEXTS)


def make_model(folder):
    import transformers

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.5}
    transformers.LlamaConfig(vocab_size=12, max_position_embeddings=16, **sizes, **ends).save_pretrained(folder)


def by_rule(shapes):
    """Return parameters of these shapes, [n, …]: waves whose length is another for each, small where n is large."""
    return {name: wave(i, shape) for i, (name, shape) in enumerate(sorted(shapes.items()))}


def wave(i, shape):
    count, inputs = int(np.prod(shape)), int(np.prod(shape[1:])) if len(shape) > 1 else 4
    values = np.sin(np.arange(count) * (0.7 + 0.1 * i)) * (2.0 / inputs) ** 0.5
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def each(tree, function):
    """Return what `function` makes of every part of a tree."""
    return {key: each(part, function) for key, part in tree.items()} if isinstance(tree, dict) else function(tree)


def tensors(tree):
    """Return arrays as tensors, for a policy or a critic to read."""
    return each(tree, torch.as_tensor)


def candidates(sampled):
    """Return actions to ask the probabilities of, as the policy samples them: the first two of each choice."""
    return [torch.full_like(sampled, choice) for choice in range(2)]


def answers(agent, observations):
    """Return what an agent answers to a sequence of batches of observations: probabilities, values and actions."""
    found, memory = {"log_probs": [], "values": [], "greedy": [], "sampled": []}, None
    for observation in observations:
        rows = tensors(observation)
        with torch.no_grad():
            distribution, memory = agent.policy.step(rows, memory)
            drawn = distribution.sample(torch.Generator().manual_seed(0))
            if not drawn.is_floating_point():
                found["log_probs"].append([distribution.log_prob(one).tolist() for one in candidates(drawn)])
            if agent.critic is not None and not agent.policy.recurrent:
                found["values"].append(agent.critic(each(rows, lambda row: row[None])).tolist())
    for b in range(ENVS if agent.policy.num_learners == 1 else 0):
        generator, memory = torch.Generator().manual_seed(3), None
        for one in (each(observation, lambda rows, b=b: rows[b]) for observation in observations):
            greedy, _ = agent.act(one, memory, greedy=True)
            sampled, memory = agent.act(one, memory, generator=generator)
            found["greedy"].append(np.asarray(greedy).tolist())
            found["sampled"].append(np.asarray(sampled).tolist())
    return found


def written(tree):
    """Return arrays as JSON has them, with as few digits as say which number it is."""
    return each(tree, lambda array: {"dtype": str(array.dtype), "numbers": shortest(array).tolist()})


def shortest(array):
    return array.astype(str).astype(float) if array.dtype.kind == "f" else array


def read(tree):
    """Return what `written` wrote."""
    if "numbers" in tree:
        return np.array(tree["numbers"], tree["dtype"])
    return {key: read(part) for key, part in tree.items()}


def some_observations(env):
    """Return the observations of a few steps at random."""
    observation, _ = env.reset(seed=5)
    env.action_space.seed(6)
    found = []
    for _ in range(STEPS):
        found.append(json.loads(json.dumps(written(observation))))
        observation, *_ = env.step(env.action_space.sample())
    return found


def make(name, folder):
    """Write the folder of a case, with the package that is there."""
    import pg_envs  # noqa: F401 - registers the ids

    import pg_agents as pg

    kind, env, arguments = CASES[name]
    env = env or make_texts
    agent = pg.AGENTS[kind].for_env(env(), seed=1, **arguments)
    if large := sum(parameter.numel() for parameter in agent.parameters()) > 4000:
        shapes = {name: list(value.shape) for name, value in agent.state_dict().items()}
        agent.load_state_dict(by_rule(shapes))
    else:
        pg.train(agent, env(), total_steps=150, seed=2, progress=False)
    agent.save(folder)
    if large:
        (folder / "agent.safetensors").unlink()
        (folder / "shapes.json").write_text(json.dumps(shapes, indent=1) + "\n")
    observations = some_observations(env())
    expected = {"observations": observations, "answers": answers(agent, [read(one) for one in observations])}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def complete(folder, copy):
    """Return a folder that can be loaded: `folder`, or a copy with parameters that follow the rule."""
    if not (folder / "shapes.json").exists():
        return folder
    copy.mkdir()
    (copy / "agent.json").write_text((folder / "agent.json").read_text())
    save_file(by_rule(json.loads((folder / "shapes.json").read_text())), copy / "agent.safetensors")
    return copy


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        make_model("model")
        for case in CASES:
            make(case, FIXTURES / case)
