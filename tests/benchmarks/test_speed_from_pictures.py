"""The workloads of pictures: the same work on every side, and the loop without abstractions."""

from collections import deque

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from benchmarks.speed import from_pictures
from benchmarks.speed._sides import floor, floor_pictures, ours
from benchmarks.speed.from_pictures import WORKLOADS
from pg_agents.policies.image_encoder import ImageEncoder


def test_the_floor_for_pictures_has_the_network_of_the_agents():
    space = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    encoder = ImageEncoder(space)
    w, flat = floor_pictures.make_network(4, 84, 6)
    assert len(flat) == sum(p.numel() for p in encoder.parameters()) + 512 * 7 + 7 == 1_687_719
    modules = [module for module in encoder.network if hasattr(module, "weight")]
    with torch.no_grad():
        for i, module in enumerate(modules):
            weight = w[2 * i]
            if weight.ndim == 2:  # reads [h, w, channels]; the encoder reads [channels, h, w]
                weight = weight.view(-1, 7, 7, 64).permute(0, 3, 1, 2).flatten(1)
            module.weight.copy_(weight)
            module.bias.copy_(w[2 * i + 1])
    seen = np.random.default_rng(0).integers(0, 256, (3, 4, 84, 84), dtype=np.uint8)
    logits, values = floor_pictures.network(w, floor_pictures.interleaved(seen))
    expected = encoder(torch.from_numpy(seen)) @ w[8].T + w[9]
    assert torch.allclose(torch.cat([logits, values[:, None]], 1), expected, atol=1e-5)
    (logits.sum() + values.sum()).backward()
    assert all(parameter.grad.any() for parameter in w)
    assert flat.grad[: w[0].numel()].any()  # the gradients are views of one vector, too


class Frames(gym.vector.VectorEnv):
    """Two rows of noise as pictures 2×36×36; reward 1, and an episode is cut (not terminated) at every fifth step."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    num_envs = 2
    single_observation_space = gym.spaces.Box(0, 255, (2, 36, 36), np.uint8)
    single_action_space = gym.spaces.Discrete(3)

    def __init__(self):
        self.t, self.draw = 0, np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        return self.draw.integers(0, 256, (2, 2, 36, 36), dtype=np.uint8), {}

    def step(self, actions):
        self.t += 1
        cut = np.full(2, self.t % 5 == 0)
        infos = {"final_obs": self.draw.integers(0, 256, (2, 2, 36, 36), dtype=np.uint8)} if cut.any() else {}
        return self.reset()[0], np.ones(2), np.zeros(2, bool), cut, infos


def test_the_floor_for_pictures_keeps_bytes_and_learns_from_them(monkeypatch):
    monkeypatch.setattr(floor_pictures, "STEPS", 8)
    torch.manual_seed(0)
    env, (w, flat) = Frames(), floor_pictures.make_network(2, 36, 3)
    seen = torch.empty(8, 2, 36, 36, 2, dtype=torch.uint8)
    first, last = env.reset()[0], deque(maxlen=100)
    _, data = floor_pictures.collect(env, first, w, seen, np.zeros(2), last)
    pictures, actions, log_probs, advantages, targets = data
    assert pictures.dtype == torch.uint8 and pictures.data_ptr() == seen.data_ptr()
    assert np.array_equal(pictures[:2].numpy(), first.transpose(0, 2, 3, 1))
    assert list(last) == [5.0, 5.0]
    with torch.no_grad():
        logits, values = floor_pictures.network(w, pictures)
    assert torch.allclose(log_probs, logits.log_softmax(-1).gather(1, actions).squeeze(1), atol=1e-5)
    assert torch.allclose(targets - advantages, values, atol=1e-5)
    before = flat.clone()
    floor_pictures.learn(data, w, flat, torch.optim.Adam([flat], lr=1e-3, fused=True))
    assert (flat != before).float().mean() > 0.5
    result = floor_pictures.train(Frames(), total_steps=20, seed=0)
    assert result["steps"] == 32 and result["mean_return"] == 5.0


def test_synchronous_environments_have_the_wrappers_of_the_settings():
    settings = {"env": "CartPole-v1", "num_envs": 2, "kind": "sync", "env_args": {"sutton_barto_reward": True}}
    env = ours.make_env(
        settings | {"wrappers": [["TimeAwareObservation", {}], ["FrameStackObservation", {"stack_size": 3}]]}
    )
    assert env.single_observation_space.shape == (3, 5)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    env.reset(seed=0)
    assert not env.step(np.zeros(2, np.int64))[1].any()  # Sutton and Barto's rewards are 0 until the pole falls


def test_pictures_are_the_same_work_on_both_sides():
    sides = WORKLOADS["pictures"].sides
    own, theirs = sides["ours"].settings, sides["sb3"].settings
    assert own["wrappers"] == theirs["wrappers"] == sides["floor"].settings["wrappers"]
    assert own["env_args"] == theirs["env_args"] == sides["floor"].settings["env_args"] == {"frameskip": 1}
    names = {
        "num_steps": "n_steps",
        "minibatch_size": "batch_size",
        "epochs": "n_epochs",
        "learning_rate": "learning_rate",
        "entropy_weight": "ent_coef",
        "clip": "clip_range",
        "max_grad_norm": "max_grad_norm",
    }
    assert {names[name]: own["arguments"][name] for name in names} | {"vf_coef": 0.5} == theirs["arguments"]
    loop = {"entropy_weight": floor.ENTROPY_WEIGHT, "epochs": floor.EPOCHS, "learning_rate": floor.LEARNING_RATE}
    loop |= {"clip": floor_pictures.CLIP, "num_steps": floor.STEPS, "max_grad_norm": floor.MAX_GRAD_NORM}
    assert {name: own["arguments"][name] for name in loop} == loop


@pytest.mark.slow
def test_pong_is_played_in_both_forms():
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    for form in from_pictures.FORMS.values():
        found = ours.bare(from_pictures.PONG | form | {"total_steps": 64, "seed": 0})
        env = ours.make_env(from_pictures.PONG | form)
        assert found["steps"] == 64
        assert env.observation_space.shape == (8, 4, 84, 84) and env.observation_space.dtype == np.uint8
        env.close()
