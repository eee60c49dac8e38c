"""One encoder for policy and critic: its gradient, that it runs once, learning rates, and a user's own."""

import copy
import gc
import weakref

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from support.bugs import Bug, seeded
from torch import nn

import pg_agents as pg
from pg_agents.agents.common.overlap import Overlap
from pg_agents.collection.collectors import StepCollector
from pg_agents.collection.rows_in_place import LARGE
from pg_agents.data.encoded import Encoded
from pg_agents.errors import SavedAgentError
from pg_agents.policies import Encoder

PICTURE = Box(0, 255, (16, 16, 1), np.uint8)
SHARING = [name for name, agent in pg.AGENTS.items() if "critic_learning_rate" in agent.config_class.options()]
SHARING = [name for name in SHARING if not pg.AGENTS[name].separate_networks]


class Pictures(gym.Env):
    """Ten steps of noise; the action that the first pixel tells is rewarded."""

    action_space = Discrete(2)

    def __init__(self, space=PICTURE):
        self.observation_space = space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {}

    def _seen(self):
        shape = PICTURE.shape if isinstance(self.observation_space, Dict) else self.observation_space.shape
        self.picture = self.np_random.integers(0, 256, shape, np.uint8)
        if isinstance(self.observation_space, Dict) and "action_mask" in self.observation_space.spaces:
            return {"observation": self.picture, "action_mask": np.array([0, 1], np.int8)}
        if isinstance(self.observation_space, Dict):
            return {"view": self.picture, "place": self.np_random.normal(size=3).astype(np.float32)}
        return self.picture

    def step(self, action):
        reward = float((self.picture[0, 0, 0] > 127) == bool(action))
        self.steps += 1
        return self._seen(), reward, False, self.steps == 10, {}


def environments(space=PICTURE, count=2):
    return gym.vector.SyncVectorEnv([lambda: Pictures(space)] * count)


def rollout_of(agent, env, seed=0):
    steps = getattr(agent.config, "num_steps", None)
    if steps is None:
        return next(pg.collect_episodes(env, agent.policy, seed=seed))
    return next(pg.collect_steps(env, agent.policy, max(steps, 3), seed=seed))


@torch.no_grad()
def batch_of(agent, env):
    return agent.prepared(rollout_of(agent, env))[0]


@pytest.fixture
def calls(monkeypatch):
    """The number of pictures in each pass through a convolutional network."""
    passes, plain = [], pg.policies.ImageEncoder.forward
    monkeypatch.setattr(
        pg.policies.ImageEncoder, "forward", lambda self, x: (passes.append(x.shape[:-3].numel()), plain(self, x))[1]
    )
    return passes


@pytest.mark.parametrize("name", SHARING)
@pytest.mark.parametrize("recurrent", [None, 8])
def test_the_gradient_of_a_shared_encoder_is_the_sum_of_both_losses(name, recurrent):
    """A hand-made copy with two encoders of equal parameters: their gradients add up to that of the shared one."""
    if recurrent and pg.AGENTS[name].action_values:
        pytest.skip("a recurrent policy comes with a critic V")
    torch.manual_seed(0)
    env = environments()
    agent = pg.AGENTS[name].for_env(env, seed=3, recurrent=recurrent).double()
    with torch.no_grad():  # heads of any size, so that both parts of the gradient matter
        for network in (agent.policy.network, agent.critic.network):
            list(network.parameters())[-2].normal_()
    batch = batch_of(agent, env)
    agent.loss(batch)[0].backward()
    shared = [parameter.grad for parameter in agent.policy.encoder.parameters()]

    apart = copy.deepcopy(agent)
    apart.zero_grad()
    apart.critic.shared_encoder = None
    vars(apart.critic).pop("encoder")
    apart.critic.encoder = copy.deepcopy(agent.policy.encoder)
    apart.critic.encoder.zero_grad()
    apart.loss(batch)[0].backward()
    pairs = zip(apart.policy.encoder.parameters(), apart.critic.encoder.parameters(), strict=True)
    for both, (of_policy, of_critic) in zip(shared, pairs, strict=True):
        torch.testing.assert_close(both, of_policy.grad + of_critic.grad)
        assert of_policy.grad.abs().max() > 0 and of_critic.grad.abs().max() > 0


def test_a_shared_network_by_hand():
    """PPO's loss and gradient are those of one trunk with two heads, written in plain torch."""
    env = environments()
    agent = pg.PPO.for_env(env, num_steps=6, minibatch_size=None, entropy_weight=0.0, seed=1)
    batch = batch_of(agent, env)
    loss, _ = agent.loss(batch)
    loss.backward()
    trunk = copy.deepcopy(agent.policy.encoder.part.network)
    to_policy, to_value = (copy.deepcopy(net[0]) for net in (agent.policy.network, agent.critic.network))
    for part in (trunk, to_policy, to_value):
        part.zero_grad()
    pixels = batch.observations.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
    features = trunk(pixels)
    log_probs = to_policy(features).log_softmax(-1).gather(-1, batch.actions.reshape(-1, 1)).squeeze(-1)
    ratio = (log_probs - batch.log_probs.flatten()).exp()
    surrogate = torch.min(ratio * batch.advantages.flatten(), ratio.clamp(0.8, 1.2) * batch.advantages.flatten())
    errors = 0.5 * (to_value(features).squeeze(-1) - batch.targets.flatten()) ** 2
    mine = (batch.weights.flatten() * (-surrogate + errors)).sum()
    mine.backward()
    torch.testing.assert_close(loss, mine)
    theirs = agent.policy.encoder.part.network.parameters()
    for one, other in zip(theirs, trunk.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_it_runs_once_a_minibatch_and_not_again_for_what_acting_has_seen(calls):
    env = environments()
    agent = pg.PPO.for_env(env, num_steps=8, epochs=2, minibatch_size=8)
    rollout = rollout_of(agent, env)
    assert calls == [2] * 8
    calls.clear()
    agent.update(rollout)
    running = len(rollout.final_rows)
    # The first row again, the last observations, then two epochs of two minibatches.
    assert calls == [2, running] + [8] * 4


def test_features_of_earlier_parameters_are_not_used():
    """Values come from the parameters as they are, whatever the encoder was when the policy acted."""
    env = environments()
    agent = pg.PPO.for_env(env, num_steps=4, minibatch_size=None)
    rollout = rollout_of(agent, env)
    kept = agent.critic.of_rollout(rollout)[0]
    torch.testing.assert_close(kept, agent.critic(rollout.observations))
    agent.update(rollout)
    values, _ = agent.critic.of_rollout(rollout)
    torch.testing.assert_close(values, agent.critic(rollout.observations))
    assert (values - kept).abs().max() > 1e-3
    other = pg.PPO.for_env(env, seed=5)
    torch.testing.assert_close(other.critic.of_rollout(rollout)[0], other.critic(rollout.observations))


def test_learning_rates_and_files(tmp_path):
    """The encoder learns at the policy's rate, belongs to the policy, and is saved once."""
    env = environments()
    agent = pg.ActorCritic.for_env(env, optimizer="sgd", learning_rate=1e-30, critic_learning_rate=1.0, num_steps=4)
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    agent.update(rollout_of(agent, env))
    moved = {name for name, value in agent.state_dict().items() if (value - before[name]).abs().max() > 1e-9}
    assert moved == {"critic.network.0.weight", "critic.network.0.bias"}
    assert not any(name.startswith("critic.encoder") for name in before)
    agent.save(tmp_path / "shared")
    again = pg.load(tmp_path / "shared")
    assert again.networks["share_encoder"] is True and again.critic.shared_encoder is again.policy.encoder
    apart = pg.A2C.for_env(env, share_encoder=False)
    assert apart.critic.shared_encoder is None
    assert len(list(apart.critic.parameters())) == len(list(apart.policy.parameters()))
    apart.save(tmp_path / "apart")
    assert pg.load(tmp_path / "apart").critic.shared_encoder is None


def test_the_hidden_layers_are_shared_where_there_is_no_picture():
    env = gym.make_vec("CartPole-v1", 2)
    agent = pg.PPO.for_env(env, share_encoder=True, hidden=(32, 16), activation="relu", num_steps=8, minibatch_size=8)
    assert agent.policy.encoder.size == 16 and len(agent.policy.network) == len(agent.critic.network) == 1
    before = copy.deepcopy(agent.policy.encoder.hidden.layers[0].weight)
    agent.update(rollout_of(agent, env))
    assert not torch.equal(before, agent.policy.encoder.hidden.layers[0].weight)
    assert pg.PPO.for_env(env).critic.shared_encoder is None
    seen = torch.randn(5, 4)
    first, second = agent.policy.encoder.hidden.layers
    torch.testing.assert_close(agent.policy.encoder(seen), torch.relu(second(torch.relu(first(seen)))))


def test_features_of_other_parameters_are_not_used_where_the_first_row_is_the_same():
    """Black pictures have the same features for any weights of convolutions."""
    env = environments()
    agent = pg.PPO.for_env(env, num_steps=4, minibatch_size=None)
    rollout = rollout_of(agent, env)
    rollout.observations[0] = 0
    rollout.features[0] = 0
    with torch.no_grad():
        for parameter in agent.policy.encoder.parameters():
            parameter.mul_(2)
    torch.testing.assert_close(agent.critic.of_rollout(rollout)[0], agent.critic(rollout.observations))


def test_steps_that_are_learned_from_again_have_no_features():
    agent = pg.A2C.for_env(environments(), num_steps=4)
    overlap, rollouts = Overlap(1), pg.collect_steps(environments(), agent.policy, 4)
    overlap(next(rollouts))
    assert overlap(next(rollouts)).features is None


def test_actions_that_a_mask_forbids_are_not_taken_with_a_shared_encoder():
    env = environments(Dict(observation=PICTURE, action_mask=Box(0, 1, (2,), np.int8)))
    agent = pg.PPO.for_env(env, num_steps=32, minibatch_size=64)
    rollout = rollout_of(agent, env)
    assert agent.critic.shared_encoder is not None and (rollout.actions[rollout.mask] == 1).all()
    assert agent.update(rollout)["entropy"] == 0


@pytest.mark.parametrize(("hidden", "of_critic"), [(None, [64, 64]), ((32,), [32])])
def test_hidden_layers_of_recurrent_networks_with_pictures(hidden, of_critic):
    agent = pg.PPO.for_env(environments(), recurrent=8, hidden=hidden)
    assert [layer.out_features for layer in agent.critic.network] == [*of_critic, 1]
    assert [layer.out_features for layer in agent.policy.network][:-1] == list(hidden or ())
    shared = pg.PPO.for_env("CartPole-v1", recurrent=8, hidden=hidden, share_encoder=True)
    assert [layer.out_features for layer in shared.policy.encoder.hidden.layers] == list(hidden or (64, 64))
    assert len(shared.critic.network) == len(shared.policy.network) == 1


@pytest.mark.parametrize("recurrent", [None, 8])
def test_large_pictures_are_encoded_once_and_their_features_stay_in_their_rows(calls, recurrent):
    """Rollouts of large observations are written in place; features of each row are those of its observations."""
    env = environments(Box(0, 255, (200, 200, 1), np.uint8))
    agent = pg.PPO.for_env(env, num_steps=4, minibatch_size=None, recurrent=recurrent)
    rollout = rollout_of(agent, env)
    assert rollout.observations.nbytes >= 4 * LARGE
    torch.testing.assert_close(rollout.features, agent.policy.encoder(rollout.observations))
    calls.clear()
    agent.critic.of_rollout(rollout)
    assert 8 not in calls


@pytest.mark.parametrize("name", ["trpo", "npg"])
def test_agents_with_a_trust_region_keep_their_networks_apart(name):
    agent = pg.AGENTS[name]
    assert agent.for_env(environments()).critic.shared_encoder is None
    with pytest.raises(ValueError, match="share_encoder: True would let the critic"):
        agent.for_env(environments(), share_encoder=True)


def test_what_there_is_to_share_with_is_needed():
    with pytest.raises(ValueError, match="share_encoder: True needs a critic"):
        pg.Reinforce.for_env(environments(), share_encoder=True)
    with pytest.raises(ValueError, match=r"share_encoder=True with hidden=\(\) leaves nothing to share"):
        pg.PPO.for_env("CartPole-v1", share_encoder=True, hidden=())
    with pytest.raises(ValueError, match="share_encoder must be True or False, or None"):
        pg.PPO.for_env(environments(), share_encoder="yes")


class Attention(nn.Module):
    """Pixels of a view and a place as tokens that attend to one another."""

    size = 12

    def __init__(self, size=12):
        super().__init__()
        self.size = size
        self.of_view, self.of_place = nn.Linear(16, 12), nn.Linear(3, 12)
        self.attend = nn.MultiheadAttention(12, 2, batch_first=True)

    def forward(self, observations):
        rows = self.of_view(observations["view"].squeeze(-1).float() / 255)
        tokens = torch.cat([rows, self.of_place(observations["place"])[:, None]], 1)
        return self.attend(tokens, tokens, tokens)[0].mean(1)


BOTH = Dict(view=PICTURE, place=Box(-10, 10, (3,)))


def test_an_encoder_of_ones_own_learns_from_a_dict_and_is_loaded_with_it(tmp_path):
    env = environments(BOTH)
    torch.manual_seed(0)
    agent = pg.PPO.for_env(env, encoder=Attention(), num_steps=8, minibatch_size=8)
    assert agent.critic.shared_encoder is agent.policy.encoder and agent.policy.encoder.size == 12
    before = {name: value.clone() for name, value in agent.policy.encoder.state_dict().items()}
    agent.update(rollout_of(agent, env))
    assert all(not torch.equal(value, before[name]) for name, value in agent.policy.encoder.state_dict().items())
    agent.save(tmp_path / "own")
    with pytest.raises(SavedAgentError, match="user's encoder 'Attention'; load it with encoder="):
        pg.load(tmp_path / "own")
    again = pg.load(tmp_path / "own", encoder=Attention())
    seen = env.reset(seed=3)[0]
    observations = {key: torch.from_numpy(value) for key, value in seen.items()}
    torch.testing.assert_close(again.policy(observations).logits, agent.policy(observations).logits)
    apart = pg.PPO.for_env(env, encoder=Attention(), share_encoder=False)
    pairs = zip(apart.policy.encoder.parameters(), apart.critic.encoder.parameters(), strict=True)
    assert all(one is not other and torch.equal(one, other) for one, other in pairs)
    recurrent = pg.PPO.for_env(env, encoder=Attention(), recurrent=8, num_steps=8, minibatch_size=8)
    assert recurrent.update(rollout_of(recurrent, env))["grad_norm"] > 0


class Network(nn.Module):
    """A linear layer and another."""

    size = 8

    def __init__(self, other):
        super().__init__()
        self.linear, self.other = nn.Linear(256, 8), other

    def forward(self, images):
        return self.other(self.linear(images.to(self.linear.weight.dtype).flatten(1) / 255))


class Centred(nn.Module):
    """Features that depend on the other rows."""

    def forward(self, features):
        return features - features.mean(0)


class Alternating(nn.Module):
    """Features that change their signs from call to call."""

    sign = 1

    def forward(self, features):
        self.sign = -self.sign
        return self.sign * features


class Detached(nn.Module):
    def forward(self, features):
        return features.detach()


class Wrong(nn.Module):
    def __init__(self, size=None, returns=None):
        super().__init__()
        self.returns = returns
        if size is not None:
            self.size = size

    def forward(self, images):
        return nn.functional.conv2d(images, torch.ones(1, 1, 3, 3)) if self.returns is None else self.returns(images)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda x: x, "encoder must be a torch.nn.Module"),
        (Wrong(), "Wrong has no attribute size; set it to the number of features"),
        (Wrong(size=0), "encoder.size must be a whole number, 1 or above"),
        (Wrong(size=3, returns=lambda x: x.float().flatten(1)), r"returned \[2, 256\] for 2 .* expected \[2, 3\]"),
        (Wrong(size=3, returns=lambda x: {"a": 1}), "returned a dict for 2 observations"),
        (Wrong(size=3), "fails on a batch of 2 observations.* pictures as bytes"),
        (Wrong(size=256, returns=lambda x: x.flatten(1) / 0.0), "features that are not finite"),
        (Network(nn.Dropout(0.5)), "different features for the same observation.*encoder.eval()"),
        (Network(nn.BatchNorm1d(8)), "of one, of|different features for the same observation"),
        (Network(Centred()), "different features for the same observation.*beside another"),
        (Network(Alternating()), "different features for the same observation, called again"),
        (Network(nn.LazyLinear(8)), "lazy layers"),
        (Network(Detached()), "features without a gradient, so it would never learn"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused_when_the_agent_is_made(encoder, message):
    with pytest.raises(ValueError, match=message):
        pg.PPO.for_env(environments(), encoder=encoder)
    with pytest.raises(ValueError, match="encoder must be left out for a language model"):
        pg.PPO.for_env("pg/Copy-v0", policy="hf:nowhere", encoder=Attention())


def test_an_encoder_in_evaluation_mode_may_have_dropout_and_numbers_of_any_precision():
    still = Network(nn.Dropout(0.5)).eval()
    agent = pg.PPO.for_env(environments(), encoder=still, num_steps=8, minibatch_size=8)
    assert agent.update(rollout_of(agent, environments()))["grad_norm"] > 0
    observations = torch.randint(0, 256, (3, *PICTURE.shape), dtype=torch.uint8)
    mixed = pg.PPO.for_env(environments(), encoder=Network(nn.Identity()).double())
    assert mixed.policy(observations).logits.dtype == torch.float32
    assert mixed.double().policy(observations).logits.dtype == torch.float64


def replace_data(encoder):
    for parameter in encoder.parameters():
        parameter.data = parameter.data + 0.3


def write_into_memory(encoder):
    next(encoder.parameters()).detach().numpy()[...] += 1


@pytest.mark.parametrize("change", [replace_data, write_into_memory, torch.nn.Module.double])
def test_features_are_not_used_after_changes_that_leave_no_trace(change):
    env = environments()
    agent = pg.PPO.for_env(env, num_steps=4, minibatch_size=None)
    rollout = rollout_of(agent, env)
    change(agent if change is torch.nn.Module.double else agent.policy.encoder)
    torch.testing.assert_close(agent.critic.of_rollout(rollout)[0], agent.critic(rollout.observations))


def test_another_encoder_in_the_place_of_the_shared_one_is_refused():
    env = environments()
    agent, other = (pg.PPO.for_env(env, num_steps=4, minibatch_size=None, seed=seed) for seed in (0, 1))
    with pytest.raises(ValueError, match="critic: it shares the encoder of another policy"):
        pg.PPO(policy=agent.policy, critic=other.critic)
    rollout = rollout_of(agent, env)
    agent.policy.encoder = other.policy.encoder
    with pytest.raises(ValueError, match="critic: it shares the encoder of another policy"):
        agent.update(rollout)


def test_an_encoder_that_is_not_the_agents_is_named_when_it_is_loaded(tmp_path):
    pg.PPO.for_env(environments(), encoder=Network(nn.Identity())).save(tmp_path / "own")
    pg.PPO.for_env(environments()).save(tmp_path / "plain")
    with pytest.raises(SavedAgentError, match="made with an encoder 'Network', got 'Attention'"):
        pg.load(tmp_path / "own", encoder=Attention())
    with pytest.raises(SavedAgentError, match="without a user's encoder: leave it out"):
        pg.load(tmp_path / "plain", encoder=Network(nn.Identity()))


def test_no_rollout_of_pictures_is_held_while_the_next_is_collected(monkeypatch):
    env = environments()
    agent = pg.A2C.for_env(env, num_steps=8)
    collect, held, seen = StepCollector.__next__, [], []

    def look(run):
        seen.append(weakref.ref(run.rollout.observations))

    def collected(self):
        gc.collect()
        held.append(sum(one() is not None for one in seen))
        return collect(self)

    monkeypatch.setattr(StepCollector, "__next__", collected)
    pg.train(agent, env, total_steps=64, log_every=16, probes=[look], progress=False)
    assert min(len(held), len(seen)) >= 4 and not any(held)


def test_a_critic_without_parameters_of_its_own_has_no_learning_rate():
    class Nothing(pg.Critic):
        def forward(self, observations, memory=None, episode_starts=None):
            return torch.zeros(observations.shape[: observations.ndim - 3])

    policy = pg.PPO.for_env(environments()).policy
    pg.PPO(policy=policy, critic=Nothing())
    with pytest.raises(ValueError, match="critic_learning_rate: the critic has no parameters of its own"):
        pg.PPO(policy=policy, critic=Nothing(), critic_learning_rate=1e-3)


test_seeded_bugs = seeded(
    Bug(
        "features of any parameters are used",
        Encoder.recalled,
        lambda self, rollout: Encoded(rollout.features),
        [test_features_of_earlier_parameters_are_not_used],
    ),
)
