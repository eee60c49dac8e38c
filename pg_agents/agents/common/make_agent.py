"""An agent from the spaces of an environment."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import torch

from pg_agents.llm import language_networks
from pg_agents.policies import ActionCritic, Critic, Policy, make_networks
from pg_agents.policies.memory_limit import MemoryLimit
from pg_agents.seeding import Purpose, spawn
from pg_agents.spaces.conversion import space_to_json

GIVEN = {"observation_space", "action_space", "critic", "action_values"}
NETWORK_OPTIONS = dict.fromkeys(name for name in inspect.signature(make_networks).parameters if name not in GIVEN)
LANGUAGE_OPTIONS = dict.fromkeys(name for name in inspect.signature(language_networks).parameters if name not in GIVEN)
PRETRAINED: dict[str, Any] = {  # what suits a language model, of those arguments that an agent has
    "num_steps": None,
    "discount": 1.0,
    "learning_rate": 1e-5,
    "critic_learning_rate": 1e-5,
    "epochs": 1,
    "minibatch_size": None,
    "max_grad_norm": 1.0,
    "optimizer": "adam",
}
ELSEWHERE = {  # what other libraries call these arguments
    "gamma": "discount",
    "lr": "learning_rate",
    "n_steps": "num_steps",
    "n_epochs": "epochs",
    "batch_size": "minibatch_size",
    "clip_range": "clip",
    "clip_coef": "clip",
    "ent_coef": "entropy_weight",
    "vf_coef": "value_weight",
    "net_arch": "hidden",
    "num_generations": "group_size",
    "beta": "kl_weight",
    "kl_coef": "kl_weight",
    "init_kl_coef": "kl_weight",
}


def make_agent(
    form: type[Any],
    observation_space: Any,  # noqa: ANN401
    action_space: Any,  # noqa: ANN401
    seed: int,
    arguments: dict[str, Any],
    defaults_for: dict[str, Any],
) -> Any:  # noqa: ANN401
    """Return an agent of the class `form` with networks that suit the spaces of one environment.

    Args:
        form: its class.
        observation_space: of one environment.
        action_space: of one environment.
        seed: of the initial parameters and the order of minibatches.
        arguments: of the constructor, and of `make_networks`; with policy="hf:PATH" of `language_networks`.
        defaults_for: defaults that depend on the number of environments; those that suit the policy go first.
    """
    if "critic" in arguments or not isinstance(arguments.get("policy", ""), str):
        name = "critic" if "critic" in arguments else "policy"
        hint = f"with your own, {form.__name__}(policy=…, critic=…), whose defaults are for small networks"
        raise ValueError(f"{name}: for_env makes the networks (a language model's of policy='hf:PATH'); {hint}")
    check_names(form, arguments)
    asked = "policy" in arguments
    build, options = (language_networks, LANGUAGE_OPTIONS) if asked else (make_networks, NETWORK_OPTIONS)
    networks = {name: arguments[name] for name in options if name in arguments}
    arguments = {name: value for name, value in arguments.items() if name not in networks}
    for name in (NETWORK_OPTIONS if asked else LANGUAGE_OPTIONS).keys() & arguments.keys():
        needs = "no language model" if asked else "a language model, the policy hf:PATH"
        raise ValueError(f"{name} must be left out, or given with {needs}; got {arguments[name]!r}")
    if asked and form.differentiates_twice:
        raise ValueError(
            f"policy: {form.name} needs the KL divergence's second derivatives, which a language model's policy does "
            "not have; choose another agent, such as grpo or ppo"
        )
    needed = form.needs_critic(arguments)
    copies = 1 if asked else 4  # of a language model's parameters only some may learn
    with torch.random.fork_rng(devices=[]), MemoryLimit(copies):
        torch.random.default_generator.manual_seed(spawn(seed, Purpose.PARAMETERS))
        policy, critic = build(
            observation_space, action_space, critic=needed, action_values=form.action_values, **networks
        )
    arguments = defaults_for | defaults_for_policy(form, type(policy).__name__) | arguments
    if needed:
        arguments["critic"] = critic
    agent = form(policy=policy, **arguments)
    for space in (observation_space, action_space):
        space_to_json(space)  # what cannot be saved is refused before it is learned
    agent.spaces, agent.networks = (observation_space, action_space), networks
    agent.generator.manual_seed(spawn(seed, Purpose.MINIBATCHES))
    return agent


def defaults_for_env(form: type[Any], env: Any, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Return the defaults that an agent with these arguments has from an environment.

    They are what depends on how many environments there are, the size of the groups that they make, and, where a loss
    is divided by it, the most steps that an episode can have.
    """
    defaults_for = form.defaults_for(getattr(env, "num_envs", 1))
    groups = getattr(env.unwrapped, "group_size", 1)
    if "group_size" in defaults_for and groups > 1:
        defaults_for["group_size"] = groups
    if arguments.get("aggregation") == "constant-length":
        defaults_for["max_episode_steps"] = _longest_episode(env)
    return defaults_for


def _longest_episode(env: Any) -> int | None:  # noqa: ANN401
    """Return the most steps of an episode, as the task or a time limit has it; None: neither does."""
    one = getattr(env.unwrapped, "envs", [env])[0]
    own = one.unwrapped if hasattr(one, "num_envs") else None  # it cuts its rows itself, where others are wrapped
    limits = (
        getattr(getattr(one.unwrapped, "task", None), "max_new_tokens", None),
        getattr(own, "max_episode_steps", getattr(one.spec or env.spec, "max_episode_steps", None)),
    )
    return min((limit for limit in limits if limit is not None), default=None)


def defaults_for_policy(form: type[Any], kind: str) -> dict[str, Any]:
    """Return the defaults that an agent of the class `form` has with a policy of the class called `kind`."""
    general = {name: value for name, value in PRETRAINED.items() if name in form.argument_names()}
    return (general if kind == "HuggingFacePolicy" else {}) | form.policy_defaults.get(kind, {})


def check_networks(policy: Any, critic: Any) -> None:  # noqa: ANN401
    """Raise ValueError for networks that are no `Policy`, and no `Critic` or `ActionCritic` of as many learners."""
    if not isinstance(policy, Policy):
        found = f"{type(policy).__module__}.{type(policy).__name__}"
        raise ValueError(f"policy must be a pg_agents.Policy, got {found}; subclass it, or use for_env(env)")
    if critic is not None and not isinstance(critic, Critic | ActionCritic):
        found = f"{type(critic).__module__}.{type(critic).__name__}"
        raise ValueError(f"critic must be a pg_agents.Critic, got {found}; subclass it, or use for_env(env)")
    if critic is not None and critic.num_learners != policy.num_learners:
        raise ValueError(
            f"critic: it is of {critic.num_learners} learners, the policy of {policy.num_learners}; independent "
            "learners have a critic each"
        )


def check_names(form: type[Any], arguments: dict[str, Any]) -> None:
    """Raise TypeError for an argument that neither the agent nor its networks have, naming the nearest they have."""
    known = [*form.argument_names(), *NETWORK_OPTIONS, *LANGUAGE_OPTIONS]
    for name in arguments:
        if name not in known and name not in inspect.signature(form).parameters:
            meant = [ELSEWHERE[name]] if ELSEWHERE.get(name) in known else difflib.get_close_matches(name, known, 1)
            way_out = f"did you mean {meant[0]}?" if meant else f"it takes {', '.join(known)}"
            raise TypeError(f"{name}: {form.__name__} has no such argument; {way_out}")
