"""Making agents: sorts and checks options, makes networks for spaces, chooses defaults for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from pg_agents.agents.common.config import AgentConfig
from pg_agents.agents.common.make_learners import networks_of_learners
from pg_agents.elsewhere import check_names, refuse_policy_names
from pg_agents.llm import LanguageConfig, language_networks
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.policies import ActionCritic, Critic, NetworkConfig, Policy, make_networks
from pg_agents.policies.memory_limit import MemoryLimit
from pg_agents.spaces.conversion import space_to_json

PRETRAINED: dict[str, Any] = {  # defaults with a language model, for the options that an agent has
    "num_steps": None,
    "discount": 1.0,
    "learning_rate": 1e-5,
    "critic_learning_rate": 1e-5,
    "epochs": 1,
    "minibatch_size": None,
    "max_grad_norm": 1.0,
    "optimizer": "adam",
}


@dataclass(frozen=True)
class Form:
    """The facts about an agent's class that are needed to make an agent.

    Attributes:
        title: the class's name.
        name: the agent's name on the command line.
        config_class: the class of its configuration.
        policy_defaults: defaults for each class of policies, or of parts of them.
        needs_critic: function of a configuration: whether the agent has a critic.
        action_values: whether the critic is Q(s,·).
        differentiates_twice: whether the agent needs second derivatives of its policy.
        separate_networks: whether policy and critic must not share parameters.
    """

    title: str
    name: str
    config_class: type[AgentConfig]
    policy_defaults: dict[type[nn.Module], dict[str, Any]]
    needs_critic: Callable[[Any], bool]
    action_values: bool
    differentiates_twice: bool
    separate_networks: bool

    def defaults_for(self, *classes: type[nn.Module]) -> dict[str, Any]:
        """Return the defaults for a policy of some class, whose parts are of the others."""
        general = PRETRAINED if any(issubclass(one, HuggingFacePolicy) for one in classes) else {}
        found = {name: value for name, value in general.items() if name in self.config_class.options()}
        for kind, defaults in self.policy_defaults.items():
            if any(issubclass(one, kind) for one in classes):
                found |= defaults
        return found


@dataclass
class Parts:
    """The parts of which an agent is made.

    Attributes:
        networks: arguments of the constructor: policy and, if the agent has them, critic and reference.
        options: arguments of the constructor: the agent's options.
        network_options: the given options of the networks, which are saved with the agent.
    """

    networks: dict[str, Any]
    options: dict[str, Any]
    network_options: dict[str, Any]


def make_parts(
    form: Form,
    spaces: tuple[Any, Any],
    seeds: Sequence[int],
    options: dict[str, Any],
    *,
    config: AgentConfig | None = None,
    network: NetworkConfig | LanguageConfig | None = None,
    env_defaults: dict[str, Any] | None = None,
) -> Parts:
    """Return networks that suit the spaces of one environment, and an agent's options.

    A given option takes precedence over one that was given to `config`; then come defaults for the class of policies,
    defaults for the environment, and the defaults of the configuration.

    Args:
        form: facts about the agent's class.
        spaces: the spaces of observations and actions.
        seeds: of the initial parameters, one for each learner.
        options: options of the agent and of its networks; also `reference`, a frozen policy, and `encoder`, a module.
        config: the agent's configuration.
        network: the networks' configuration.
        env_defaults: defaults that depend on the environment.
    """
    if "critic" in options or not isinstance(options.get("policy", ""), str):
        name = "critic" if "critic" in options else "policy"
        hint = f"with your own, {form.title}(policy=…, critic=…), whose defaults are for small networks"
        raise ValueError(f"{name}: for_env makes the networks (a language model's of policy='hf:PATH'); {hint}")
    given = {name: options[name] for name in ("reference",) if name in options}
    encoder = options.get("encoder")
    network_options, own = _told_apart(form, network, options)
    pretrained = "policy" in network_options
    if pretrained and encoder is not None:
        raise ValueError("encoder must be left out for a language model, which reads its texts itself")
    if pretrained and form.differentiates_twice:
        raise ValueError(
            f"policy: {form.name} needs the KL divergence's second derivatives, which a language model's policy does "
            "not have; choose another agent, such as grpo or ppo"
        )
    if config is not None:
        check_kind("config", config, form.config_class)
        own = config.given_options() | own
    needed = form.needs_critic(form.config_class(**(env_defaults or {}) | own))
    build: Callable[..., Any] = language_networks if pretrained else partial(make_networks, encoder=encoder)
    copies = 1 if pretrained else 4  # a language model may have few parameters that learn
    layout = network_options if pretrained else _sharing(form, network_options)
    build = partial(build, *spaces, critic=needed, action_values=form.action_values, **layout)
    with torch.random.fork_rng(devices=[]), MemoryLimit(copies):
        policy, critic = networks_of_learners(build, seeds, layout.get("num_learners", 1))
    own = (env_defaults or {}) | form.defaults_for(*map(type, policy.modules())) | own
    if encoder is not None:
        network_options["encoder"] = type(encoder).__name__
    if critic is not None and critic.shared_encoder is not None:
        network_options["share_encoder"] = True
    for space in spaces:
        space_to_json(space)  # refuses a space that cannot be saved, before any learning
    networks = given | {"policy": policy} | ({"critic": critic} if needed else {})
    return Parts(networks, own, network_options)


def _sharing(form: Form, network_options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the networks, an encoder not shared where the agent has to keep its networks apart."""
    if not form.separate_networks:
        return network_options
    if network_options.get("share_encoder"):
        raise ValueError(
            f"share_encoder: True would let the critic's gradient steps move the policy of {form.name} out of its "
            "trust region: leave it out"
        )
    return network_options | {"share_encoder": False}


def _told_apart(
    form: Form, network: NetworkConfig | LanguageConfig | None, options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the networks, and those of the agent.

    Raises:
        TypeError: there is no such option.
        ValueError: options of new networks together with a language model, or the other way round.
    """
    refuse_policy_names([options.get("policy")], "leave it out", called=form.title)
    options = {name: value for name, value in options.items() if name not in ("reference", "encoder", "seeds")}
    known = [*form.config_class.options(), *NetworkConfig.options(), *LanguageConfig.options()]
    check_names(form.title, options, known)
    pretrained = isinstance(network, LanguageConfig) or "policy" in options
    mine, other = (LanguageConfig, NetworkConfig) if pretrained else (NetworkConfig, LanguageConfig)
    for name in other.options().keys() & options.keys():
        needs = "no language model" if pretrained else "a language model, the policy hf:PATH"
        raise ValueError(f"{name} must be left out, or given with {needs}; got {options[name]!r}")
    if network is not None:
        check_kind("network", network, mine)
    given = {} if network is None else network.given_options()
    return (
        given | {name: value for name, value in options.items() if name in mine.options()},
        {name: value for name, value in options.items() if name not in mine.options()},
    )


def env_defaults(form: Form, env: Any, aggregation: str | None, num_learners: int = 1) -> dict[str, Any]:  # noqa: ANN401
    """Return the defaults of an agent's options that depend on the environment.

    They follow from the number of environments of each learner, from the environment's own group size and, for a loss
    that is divided by it ("constant-length"), from the largest possible number of steps in an episode.
    """
    found = form.config_class.defaults_for(max(1, getattr(env, "num_envs", 1) // num_learners))
    groups = getattr(env.unwrapped, "group_size", 1)
    if "group_size" in found and groups > 1:
        found["group_size"] = groups
    if aggregation == "constant-length":
        found["max_episode_steps"] = _longest_episode(env)
    return found


def _longest_episode(env: Any) -> int | None:  # noqa: ANN401
    """Return the most steps of an episode, by its task or a time limit; None if there is neither."""
    one = getattr(env.unwrapped, "envs", [env])[0]
    own = one.unwrapped if hasattr(one, "num_envs") else None  # it cuts its rows itself; other environments are wrapped
    limits = (
        getattr(getattr(one.unwrapped, "task", None), "max_new_tokens", None),
        getattr(own, "max_episode_steps", getattr(one.spec or env.spec, "max_episode_steps", None)),
    )
    return min((limit for limit in limits if limit is not None), default=None)


def check_networks(policy: Any, critic: Any) -> None:  # noqa: ANN401
    """Raise ValueError unless the networks are a `Policy` and a `Critic` or `ActionCritic` with as many learners."""
    if not isinstance(policy, Policy):
        found = f"{type(policy).__module__}.{type(policy).__name__}"
        raise ValueError(f"policy must be a pg_agents.Policy, got {found}; subclass it, or use for_env(env)")
    if critic is not None and not isinstance(critic, Critic | ActionCritic):
        found = f"{type(critic).__module__}.{type(critic).__name__}"
        raise ValueError(f"critic must be a pg_agents.Critic, got {found}; subclass it, or use for_env(env)")
    check_sharing(policy, critic)
    if critic is not None and critic.num_learners != policy.num_learners:
        raise ValueError(
            f"critic has {critic.num_learners} learners, the policy {policy.num_learners}; each independent "
            "learner needs its own critic"
        )


def check_sharing(policy: Policy, critic: Any) -> None:  # noqa: ANN401
    """Raise ValueError if the critic shares an encoder that is not the policy's."""
    shared = None if critic is None else critic.shared_encoder
    if shared is not None and shared is not getattr(policy, "encoder", None):
        raise ValueError(
            "critic: it shares the encoder of another policy, or the one that this policy had; make both together with "
            "for_env(env), and load parameters into the encoder (load_state_dict) instead of replacing it"
        )


def check_needs(form: Form, config: AgentConfig, policy: Policy, critic: Any, reference: Any) -> None:  # noqa: ANN401
    """Raise ValueError for a network or a learning rate that the agent does not use, or for a missing critic."""
    if (critic is not None) != form.needs_critic(config):
        wanted = "has no critic: leave it out" if critic is not None else "needs one"
        raise ValueError(f"critic: {form.title} with these options {wanted}")
    if critic is not None and config.given_options().get("critic_learning_rate") is not None:
        shared = set(policy.parameters())
        if all(parameter in shared for parameter in critic.parameters()):
            raise ValueError("critic_learning_rate: the critic has no parameters of its own; leave it out")
    if reference is not None and "kl_weight" not in form.config_class.options():
        raise ValueError(f"reference: {form.title} has no KL penalty: leave it out")


def check_kind(name: str, given: Any, kind: type) -> None:  # noqa: ANN401
    """Raise TypeError where the argument `name` is no configuration of the class that is needed."""
    if not isinstance(given, kind):
        raise TypeError(f"{name} must be a {kind.__name__}(...), got {str(given)[:80]}")
