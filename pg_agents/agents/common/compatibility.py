"""Checks that an agent and an environment fit together."""

from __future__ import annotations

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


def check_batch(
    policy: Policy, cadence: StepCadence | EpisodeCadence, minibatch_size: int | None, num_envs: int
) -> None:
    """Raise ValueError if an agent cannot learn from `num_envs` environments.

    Reasons: too few steps for one minibatch, another number of independent learners, or an incomplete group (but a
    single environment is accepted, to act in).
    """
    check_learners(policy, num_envs)
    each, whose = num_envs // policy.num_learners, "of each learner, " if policy.num_learners > 1 else ""
    if isinstance(cadence, EpisodeCadence) and num_envs > 1 and each % cadence.group_size:
        raise ValueError(
            f"group_size must divide the number of environments, {whose}got {cadence.group_size} for {each}"
        )
    if minibatch_size is None or not isinstance(cadence, StepCadence):
        return
    steps = cadence.num_steps * each
    if minibatch_size > steps:
        raise ValueError(
            f"minibatch_size must not be above the steps of a rollout, {cadence.num_steps} of each of {each} "
            f"environments, {whose}got {minibatch_size}"
        )
