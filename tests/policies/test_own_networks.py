"""Networks of the user's: wrong shapes are one clear error, and what acts is what learns."""

import warnings

import pytest
import torch
from support.bugs import Bug, seeded
from torch import nn

import pg_agents as pg
from pg_agents.agents import base
from pg_agents.distributions import Categorical


class Own(pg.Policy):
    """A policy of CartPole with a layer and a distribution of one's own."""

    def __init__(self, kind=Categorical, layer=None):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(4, 8), layer or nn.Tanh(), nn.Linear(8, 2))
        self.kind = kind

    def forward(self, observations, memory=None, episode_starts=None):
        logits = self.network(observations.reshape(-1, 4)).reshape(*observations.shape[:-1], 2)
        return self.kind(logits)


class OwnCritic(pg.Critic):
    """A critic whose values are changed by a function."""

    def __init__(self, change=lambda values: values.squeeze(-1)):
        super().__init__()
        self.network, self.change = nn.Linear(4, 1), change

    def forward(self, observations, memory=None, episode_starts=None):
        return self.change(self.network(observations))


class Deep(Categorical):
    def log_prob(self, actions):
        return super().log_prob(actions)[..., None]


class Averaged(Categorical):
    def log_prob(self, actions):
        return super().log_prob(actions).mean()


class Uncertain(Categorical):
    def entropy(self):
        return super().entropy().mean()


class Stacked(Categorical):
    def sample(self, generator=None):
        return super().sample(generator)[..., None]


def train(agent, **how):
    return pg.train(agent, "CartPole-v1", num_envs=2, total_steps=32, progress=False, **how)


def ppo(policy=None, critic=None):
    torch.manual_seed(0)
    return pg.PPO(policy=policy or Own(), critic=critic or OwnCritic(), num_steps=16, minibatch_size=16)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Deep, r"Deep.log_prob\(actions\) returned \[2, 1\] for 2 observations, expected \[2\]"),
        (Averaged, r"Averaged.log_prob\(actions\) returned \[\] for 2"),
        (Uncertain, r"Uncertain.entropy\(\) returned \[\] for 2"),
        (Stacked, r"Stacked.sample\(\) returned \[2, 1\], expected \[2\], a number for each"),
        (lambda logits: logits, r"Own returned a torch.Tensor, which has no method sample; .*Categorical\(logits\)"),
        (
            lambda logits: torch.distributions.Categorical(logits=logits),
            "Own returned .* no method mode",
        ),
    ],
)
def test_a_distribution_of_a_wrong_shape_is_named_at_the_first_step(kind, words):
    with pytest.raises(ValueError, match=f"^policy: {words}"):
        train(ppo(Own(kind)))


@pytest.mark.parametrize(
    ("change", "found"),
    [(lambda v: v, r"\[\d+, 2, 1\]"), (lambda v: v.mean(), r"\[\]"), (lambda v: (v, v), "a tuple")],
)
@pytest.mark.parametrize("kind", [pg.PPO, pg.A2C, pg.ReinforceBaseline])
def test_a_critic_of_a_wrong_shape_is_named(kind, change, found):
    with pytest.raises(ValueError, match=rf"^critic: OwnCritic returned {found} for observations of the steps \["):
        train(kind(policy=Own(), critic=OwnCritic(change)))


class Ratios(pg.PPO):
    """PPO that notes π/π_old before its first update."""

    name = "ratios"

    def prepare(self, rollout):
        self.ratios = (self.distribution(rollout).log_prob(rollout.actions) - rollout.log_probs).exp()
        return super().prepare(rollout)


@pytest.mark.parametrize("layer", [lambda: nn.Dropout(0.5), lambda: nn.BatchNorm1d(8), lambda: nn.AlphaDropout(0.5)])
def test_ratios_are_one_before_the_first_update(layer):
    made = layer()
    with pytest.warns(UserWarning, match=f"policy: {type(made).__name__} of Own is put into evaluation mode"):
        agent = Ratios(policy=Own(layer=made), critic=OwnCritic(), num_steps=16, minibatch_size=32, epochs=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="policy")  # warned once
        train(agent)
    torch.testing.assert_close(agent.ratios, torch.ones(16, 2))
    agent.policy.train()
    with pytest.warns(UserWarning, match="evaluation mode"):  # again, as somebody has changed the mode
        train(agent)
    torch.testing.assert_close(agent.ratios, torch.ones(16, 2))


@pytest.mark.parametrize("layer", [lambda: nn.Dropout(0.0), lambda: nn.Dropout(0.5).eval(), lambda: nn.LayerNorm(8)])
def test_layers_that_change_nothing_are_left_alone(layer):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="policy")
        train(ppo(Own(layer=layer())))


class Noisy(Own):
    def forward(self, observations, memory=None, episode_starts=None):
        distribution = super().forward(observations)
        return Categorical(distribution.unnormalized + torch.randn(2))


def test_other_noise_is_found_by_the_audit():
    with pytest.raises(pg.AuditError, match="dropout, or other noise"):
        train(ppo(Noisy()))


def probes_of(found):
    def mine(run):
        return found

    return [mine]


@pytest.mark.parametrize(
    ("probes", "words"),
    [
        (
            probes_of(False),
            r"probes: .*mine returned False, expected metrics by name, or None; run.stop",
        ),
        (probes_of(3.0), "probes: .*mine returned 3.0, expected metrics by name, or None$"),
        (probes_of({"x": [1, 2]}), r"probes: .*mine returned \[1, 2\] for 'x', expected a number, a text or an array"),
        (probes_of({})[0], "probes must be a list of functions of the run, got <function.*write probes="),
        ({"x": 1}, "probes must be a list"),
    ],
)
def test_probes_that_return_something_else_are_refused(probes, words):
    with pytest.raises(ValueError, match=words):
        train(ppo(), probes=probes)


test_seeded_bugs = seeded(
    Bug("dropout stays on", base.without_noise, lambda policy: None, [test_ratios_are_one_before_the_first_update]),
)
