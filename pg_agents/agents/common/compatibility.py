"""Checks that an agent and an environment fit together."""

from __future__ import annotations

import warnings
from typing import Any

from pg_agents.data.rollout import EpisodeCadence, StepCadence
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies import Policy, check_learners
from pg_agents.spaces.conversion import brief, difference, space_to_json, spaces_of


def check_spaces(
    policy: Policy,
    made_for: tuple[Any, Any] | None,
    env: Any,  # noqa: ANN401
    *,
    name: str = "env",
) -> None:
    """Raise ValueError if an environment's spaces, or its number of rows, differ from those the agent was made for.

    Args:
        policy: the agent's policy.
        made_for: the observation and action space of one environment; None: unknown, for an agent made of the user's
            networks.
        env: the environment, single or vector.
        name: the argument's name, for the message.
    """
    check_learners(policy, getattr(env, "num_envs", 1), name)
    if made_for is None:
        return
    for kind, mine, theirs in zip(("observation", "action"), made_for, spaces_of(env), strict=True):
        if different := difference(theirs, mine):
            raise ValueError(
                f"{name}: its {kind} space is {brief(theirs)}, the agent was made for {brief(mine)} ({different}); "
                "use for_env(env)"
            )


def remember_spaces(agent: Any, env: Any) -> None:  # noqa: ANN401
    """Let an agent of the user's networks act as in `env`, in which it is about to learn.

    Spaces that no file can hold are not remembered; the agent then acts as one that has learned nowhere.
    """
    if agent.spaces is not None:
        return
    found = spaces_of(env)
    try:
        for space in found:
            space_to_json(space)
    except UnsupportedSpaceError:
        return
    agent.learned_in = found


def check_batch(agent: Any, num_envs: int) -> None:  # noqa: ANN401
    """Raise ValueError if an agent cannot learn from `num_envs` environments, and warn of a default for others.

    Reasons: too few steps for one minibatch, another number of independent learners, or an incomplete group (but a
    single environment is accepted, to act in).
    """
    policy, cadence, minibatch_size = agent.policy, agent.cadence, agent.current("minibatch_size")
    check_learners(policy, num_envs)
    each, whose = num_envs // policy.num_learners, "of each learner, " if policy.num_learners > 1 else ""
    if isinstance(cadence, EpisodeCadence) and num_envs > 1 and each % cadence.group_size:
        raise ValueError(
            f"group_size must divide the number of environments, {whose}got {cadence.group_size} for {each}"
        )
    if not isinstance(cadence, StepCadence):
        return
    steps = cadence.num_steps * each
    if minibatch_size is not None and minibatch_size > steps:
        default = "" if "minibatch_size" in agent.config.given_options() else ", its default"
        raise ValueError(
            f"minibatch_size must not be above the steps of a rollout, {cadence.num_steps} of each of {each} "
            f"environments, {whose}got {minibatch_size}{default}; give minibatch_size={steps} "
            "or less, or more num_steps"
        )
    _warn_of_steps(agent, cadence.num_steps, each)


def _warn_of_steps(agent: Any, num_steps: int, num_envs: int) -> None:  # noqa: ANN401
    """Warn once where the number of steps is the default for another number of environments than there are."""
    meant = agent.steps_for_envs
    if meant is None or meant == num_envs:
        return
    agent.steps_for_envs = None
    warnings.warn(
        f"num_envs: num_steps={num_steps} is the default for the {meant} environments that for_env was told of; with "
        f"{num_envs}, an update learns from {num_steps * num_envs:,} steps instead of {num_steps * meant:,}. Give "
        "for_env the same num_envs, or num_steps",
        UserWarning,
        stacklevel=2,
    )
