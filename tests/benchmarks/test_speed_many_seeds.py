"""Many seeds against peers: the loop without abstractions of several learners, sides in processes, seeds in turn."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import pg_agents  # noqa: F401 - makes the pg/… ids known
from benchmarks.peers import jax_beside
from benchmarks.speed import two_forms
from benchmarks.speed._sides import comparing, floor, floor_learners, ours, running
from benchmarks.speed._sides.floor_learners import Learners
from benchmarks.speed.many_seeds import WORKLOADS
from pg_agents.training.tuned import tuned_settings


class Cut(gym.vector.VectorEnv):
    """Rows with reward 1, cut (not terminated) at every third step; the final observations are far away."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    single_observation_space = gym.spaces.Box(-np.inf, np.inf, (4,))
    single_action_space = gym.spaces.Discrete(2)

    def __init__(self, num_envs):
        self.num_envs, self.t = num_envs, 0

    def step(self, actions):
        self.t += 1
        cut, shape = self.t % 3 == 0, (self.num_envs, 4)
        infos = {"final_obs": np.full(shape, 9.0, np.float32)} if cut else {}
        where = np.full(shape, 0.0 if cut else self.t % 3, np.float32)
        return where, np.ones(len(where)), np.zeros(len(where), bool), np.full(len(where), cut), infos


def learners_of(env, count, seed=0):
    torch.manual_seed(seed)
    return Learners(env, count, lr=1e-2)


def alone(learners, i):
    """Return policy and critic of a learner as `floor` has them, with gradients of their own."""
    parts = [part.detach()[i].clone() for part in (*learners.policy, *learners.critic)]
    parts = [part[0] if part.shape[0] == 1 else part for part in parts]
    return [part.requires_grad_() for part in parts[:6]], [part.requires_grad_() for part in parts[6:]]


def parts(learners, i):
    return torch.cat([part.detach()[i].flatten() for part in (*learners.policy, *learners.critic)])


def test_the_networks_of_learners_are_views_of_one_matrix_and_compute_what_each_would_alone():
    learners = learners_of(Cut(6), 3)
    x = torch.randn(3, 5, 4)
    outputs = floor_learners.network(learners.policy, x)
    for i in range(3):
        policy, _ = alone(learners, i)
        torch.testing.assert_close(outputs[i], floor.network(policy, x[i]))
        assert torch.equal(learners.flat[i], parts(learners, i))
    assert len({tuple(row.tolist()) for row in learners.flat[:, :16]}) == 3  # they begin differently
    sum(part.sum() for part in (*learners.policy, *learners.critic)).backward()
    assert torch.equal(learners.flat.grad, torch.ones_like(learners.flat))


def test_targets_of_learners_are_those_that_each_would_have_alone():
    learners, start = learners_of(Cut(4), 2), np.zeros((4, 4), np.float32)
    _, data = floor_learners.collect(learners, start)
    targets, advantages = (data[i].view(2, floor.STEPS, 2) for i in (4, 3))
    for i in range(2):
        policy, critic = alone(learners, i)
        _, its = floor.collect(Cut(2), start[:2], policy, critic, np.zeros(2), floor.deque(maxlen=100))
        torch.testing.assert_close(targets[i], its[4].view(floor.STEPS, 2))
        standard = (advantages[i] - advantages[i].mean()) / advantages[i].std(correction=0)
        torch.testing.assert_close(standard, its[3].view(floor.STEPS, 2), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(targets[0], targets[1])
    assert len(learners.last[0]) == len(learners.last[1]) == 2 * (floor.STEPS // 3) and set(learners.last[0]) == {3.0}


def test_learners_take_the_steps_that_each_would_take_alone(monkeypatch):
    env = gym.make_vec("pg/CartPole-v1", 4)
    learners = learners_of(env, 2)
    for layer in learners.policy[-2:]:  # policies of different gradients, one of them clipped
        with torch.no_grad():
            layer[1] *= 100
    _, data = floor_learners.collect(learners, env.reset(seed=0)[0])
    networks = [alone(learners, i) for i in range(2)]
    monkeypatch.setattr(torch, "randperm", torch.arange)
    monkeypatch.setattr(floor_learners, "MAX_GRAD_NORM", 0.7)
    norms = []
    for i, (policy, critic) in enumerate(networks):
        adam = torch.optim.Adam([*policy, *critic], lr=1e-2)
        its = [field.view(2, -1, *field.shape[1:])[i] for field in data]
        for _ in range(floor.EPOCHS):
            for observations, actions, log_probs, advantages, targets in zip(
                *(field.chunk(floor.MINIBATCHES) for field in its), strict=True
            ):
                advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
                values = floor.network(critic, observations).squeeze(-1)
                rest = (actions, log_probs, advantages, targets, floor.CLIP)
                adam.zero_grad()
                floor.loss_of(floor.network(policy, observations), values, *rest).backward()
                norms.append(float(torch.nn.utils.clip_grad_norm_([*policy, *critic], 0.7)))
                adam.step()
    floor_learners.learn(learners, data)
    for i, (policy, critic) in enumerate(networks):
        expected = torch.cat([part.detach().flatten() for part in (*policy, *critic)])
        torch.testing.assert_close(parts(learners, i), expected, rtol=0, atol=2e-4)  # 16 steps of 1e-2
    assert max(norms) > 0.7  # some were clipped


@pytest.mark.parametrize("t", [0, 2])
def test_a_step_of_td_by_hand(t):
    env, observation = Cut(4), np.full((4, 4), 0.5, np.float32)
    env.t = t  # the third step cuts: what follows is the final observation, not that of the next episode
    learners = learners_of(env, 2)
    networks = [alone(learners, i) for i in range(2)]
    noise = torch.empty(floor.STEPS, 2, 2, 2)
    monkey = torch.Generator().manual_seed(3)
    learners.noise = [*noise.exponential_(generator=monkey).log_()]
    gumbel = learners.noise[-1]
    floor_learners.take_td_step(learners, observation)
    after = 9.0 if t == 2 else 1.0
    for i, (policy, critic) in enumerate(networks):
        x = torch.from_numpy(observation[:2])
        logits, value = floor.network(policy, x), floor.network(critic, x).squeeze(-1)
        actions = (logits - gumbel[i]).argmax(-1)
        error = 1 + 0.99 * floor.network(critic, torch.full((2, 4), after)).squeeze(-1).detach() - value
        log_probs = logits.log_softmax(-1)[torch.arange(2), actions]
        (0.5 * error**2 - error.detach() * log_probs).mean().backward()
        expected = torch.cat([part.grad.flatten() for part in (*policy, *critic)])
        torch.testing.assert_close(learners.flat.grad[i], expected, rtol=1e-4, atol=1e-6)


def test_all_learners_of_the_loop_learn_cartpole():
    env = gym.make_vec("pg/CartPole-v1", 24)
    result = floor_learners.train(env, learners=3, method="ppo", total_steps=30_000, seed=0)
    assert result["steps"] == 3 * 30 * 1024
    assert result["mean_return"] > 60  # about 20 at random


def test_the_actor_critics_of_the_loop_count_their_steps():
    env = gym.make_vec("pg/CartPole-v1", 8)
    result = floor_learners.train(env, learners=2, method="td", total_steps=100, seed=0)
    assert result["steps"] == 2 * 100 and 5 < result["mean_return"] < 60


def test_the_tuned_runs_of_two_forms_have_the_same_settings():
    gymnasium, its = (running.settings_of(cell, 3) for cell in two_forms.CELLS if "pendulum" in cell.name)
    assert gymnasium.pop("env") == "Pendulum-v1" and its.pop("env") == "pg/Pendulum-v1"
    assert gymnasium == its
    shipped = tuned_settings("ppo", "Pendulum-v1")
    done = ours.train(its | {"env": "pg/Pendulum-v1", "total_steps": 2048})
    assert done["steps"] == 2048 and done["num_envs"] == shipped.num_envs
    assert shipped.arguments and shipped.arguments.items() <= done["arguments"].items()


def settings(**changes):
    side = WORKLOADS["many-seeds"].sides["ours"]
    return WORKLOADS["many-seeds"].settings | side.settings | {"total_steps": 1024, "learners": 2, "seed": 4} | changes


def test_seeds_in_turn_are_the_seeds_of_the_learners():
    together, in_turn = ours.train_learners(settings()), ours.train_in_turn(settings())
    assert together["steps"] == in_turn["steps"] == 2048
    assert together["mean_return"] == pytest.approx(
        in_turn["mean_return"], rel=0.03
    )  # one weighs learners, one episodes
    assert list(ours.seeds_of(settings())) == [8, 9]


def test_a_side_in_two_processes_has_other_seeds_in_each_and_takes_as_long_as_the_longest(monkeypatch):
    def run_process(settings, peers):
        seed = settings["seed"]
        times = {"seconds": 2.0 + seed % 2, "cpu_seconds": 2.0}
        return {"seed": seed, "steps": 100, "peak_megabytes": 10.0, "mean_return": 1.0 * seed} | times

    monkeypatch.setattr(running, "run_process", run_process)
    run = running.run_side({"seed": 3, "processes": 2}, None)
    expected = {"seed": 3, "steps": 200, "seconds": 3.0, "cpu_seconds": 4.0, "peak_megabytes": 20.0, "processes": 2}
    assert run == expected | {"mean_return": 6.5}  # of seeds 6 and 7
    assert running.run_side({"seed": 3}, None)["steps"] == 100
    assert comparing.speed([run]) == pytest.approx(200 / 3) and comparing.share([run]) == pytest.approx(4 / 6)
    assert comparing.speed([run], a_core=True) == pytest.approx(100 / 3)


def test_rejax_has_a_python_of_its_own(tmp_path):
    peers = tmp_path / "peers"
    assert jax_beside(peers) == tmp_path / "peers-jax"
    with pytest.raises(FileNotFoundError, match="no Python in .*peers-jax: make it with"):
        running.run_side({"program": "rejax", "threads": 1, "seed": 0}, peers)


def test_all_sides_of_many_seeds_do_the_same_work():
    sides = WORKLOADS["many-seeds"].sides
    rejax, sb3, its = (sides[name].settings["arguments"] for name in ("rejax, compiled", "sb3, two processes", "ours"))
    assert rejax["num_envs"] == WORKLOADS["many-seeds"].settings["num_envs"] == 8
    assert rejax["num_steps"] == sb3["n_steps"] == its["num_steps"] == floor.STEPS
    assert rejax["num_epochs"] == sb3["n_epochs"] == its["epochs"] == floor.EPOCHS
    assert (
        rejax["num_minibatches"] == floor.MINIBATCHES == 8 * 128 // its["minibatch_size"] == 1024 // sb3["batch_size"]
    )
    assert rejax["learning_rate"] == sb3["learning_rate"] == its["learning_rate"] == floor.LEARNING_RATE
    assert rejax["ent_coef"] == sb3["ent_coef"] == its["entropy_weight"] == floor.ENTROPY_WEIGHT
