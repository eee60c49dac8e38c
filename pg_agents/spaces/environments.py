"""Environments by their ids: made for Python and the command line alike; what is wrong becomes one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
from gymnasium.error import DependencyNotInstalled, Error, UnregisteredEnv
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from pg_agents.checks import whole_number
from pg_agents.elsewhere import POLICIES
from pg_agents.errors import UserError
from pg_agents.extras import install_line
from pg_agents.shown import nearest, shown
from pg_agents.spaces.atari import one_by_one
from pg_agents.spaces.closing import closing
from pg_agents.spaces.conversion import check_env
from pg_agents.spaces.given_envs import given_env
from pg_agents.spaces.packages import game_of, how_to_install, import_module, registering_module
from pg_agents.spaces.time_limit import checked_timeout
from pg_agents.spaces.worker_envs import make_vec, mode_of
from pg_agents.spaces.wrappers import Wrapper, wrappers_of

NUM_ENVS = 8  # environments that are stepped together, unless somebody says how many


@contextmanager
def open_env(
    env: gym.Env | VectorEnv | str,
    num_envs: int | None = None,
    env_args: Mapping[str, Any] | None = None,
    *,
    wrappers: Iterable[str | Wrapper] | None = None,
    a_seed_each: bool = False,
    num_learners: int = 1,
    step_timeout: float | None = None,
    argument: str = "env",
) -> Iterator[Any]:
    """A context with an environment: the one that is given, which stays open, or one made of its id and closed again.

    Args:
        env: an environment, or the id of one.
        num_envs: copies of it that are stepped together, for each learner; None: 8.
        env_args: for its constructor.
        wrappers: as in `make_env`.
        a_seed_each: as in `make_env`.
        num_learners: independent learners; several get the vector form with a generator for each row, if there is one.
        step_timeout: seconds that making them, and closing them, may take.
        argument: what `env` is called in messages.

    Raises:
        ValueError: `num_envs`, `env_args` or `wrappers` is given for an environment that is made already.
        UserError: as `make_env`.
    """
    if isinstance(env, str):
        count = num_learners * whole_number("num_envs", NUM_ENVS if num_envs is None else num_envs, 1)
        how: dict[str, Any] = {"wrappers": wrappers or (), "a_seed_each": a_seed_each, "argument": argument}
        name = id_for(env, num_learners, env_args, wrappers)
        with closing(make_env(name, count, env_args or {}, step_timeout=step_timeout, **how), step_timeout) as made:
            yield made
        return
    check_env(env, argument)
    for name, value in (("num_envs", num_envs), ("env_args", env_args), ("wrappers", wrappers)):
        if value is not None:
            raise ValueError(f"{name}={shown(value)}: {argument} is made already; leave it out, or give the id of one")
    yield env


def make_env(
    env_id: str,
    num_envs: int,
    arguments: Mapping[str, Any],
    *,
    wrappers: Iterable[str | Wrapper] = (),
    a_seed_each: bool = False,
    step_timeout: float | None = None,
    argument: str = "env",
) -> VectorEnv:
    """Return `num_envs` copies of an environment: its own vector form where it has one, else a SyncVectorEnv.

    Args:
        env_id: of Gymnasium's registry; "module:id" imports the module first.
        num_envs: how many.
        arguments: for the environment's constructor; vectorization_mode="async" steps each copy in a process of its
            own (AsyncVectorEnv).
        wrappers: of `gymnasium.wrappers`, applied in this order to each single environment, like
            "FrameStackObservation:stack_size=4" (see `Wrapper`); a vector form of its own is then not used.
        a_seed_each: they are to take a seed each, as groups that begin alike need it; a vector form that takes one for
            all is then not used.
        step_timeout: seconds that making them may take (see `worker_envs.make_vec`).
        argument: what `env_id` is called in messages.

    Raises:
        ValueError: `num_envs` is below 1, or `step_timeout` no number above 0.
        UserError: an unknown id, a module or dependency that is missing, arguments the environment refuses; a wrapper
            that does not exist, refuses its arguments or does not fit.
        FaultyEnvironmentError: an environment cannot be made in its worker, or not in time.
    """
    applied = wrappers_of(wrappers)
    checked_timeout(step_timeout)
    num_envs = whole_number("num_envs", num_envs, 1)
    if "wrappers" in arguments:
        raise UserError(
            f"env_args: wrappers={shown(arguments['wrappers'])} is no argument of an environment; wrappers have an "
            "argument of their own, wrappers=[…] (--wrapper)"
        )
    name = import_module(env_id, argument)
    with refusals(env_id, arguments, argument):
        if applied or mode_of(arguments) in ("sync", "async"):
            return make_vec(name, num_envs, _one_by_one(name, arguments, applied), step_timeout)
        env = make_vec(name, num_envs, arguments, step_timeout)
        if not a_seed_each or takes_seeds(env):
            return env
        env.close()
        separate = make_vec(
            name, num_envs, _one_by_one(name, {**arguments, "vectorization_mode": "sync"}, ()), step_timeout
        )
        if separate.single_observation_space == env.single_observation_space:
            return separate
        separate.close()
    raise UserError(
        f"{argument}: {env_id} takes one seed for all environments, but groups of episodes need one each, and single "
        "ones have other observations: give env_args vectorization_mode=sync (--env-arg vectorization_mode=sync)"
    )


def _one_by_one(name: str, arguments: Mapping[str, Any], wrappers: Sequence[Wrapper]) -> dict[str, Any]:
    """Return the arguments of `make_vec` for environments of which each is made on its own."""
    given, around = one_by_one(name, arguments, wrappers)
    return {"vectorization_mode": "sync", **given, "wrappers": list(around)}


def made_by(
    env: gym.Env | VectorEnv | str,
    arguments: Mapping[str, Any] | None,
    wrappers: Iterable[Wrapper] | None,
    num_learners: int = 1,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what a run's config.json says of how its environments were made, and `more` that the caller knows."""
    if isinstance(env, str):
        made = {"env": id_for(env, num_learners, arguments, wrappers), "env_args": dict(arguments or {})}
        return made | {"wrappers": [vars(wrapper) for wrapper in wrappers or ()], **(more or {})}
    known = "env_args" in (more or {}) or not isinstance(env, gym.Env | VectorEnv)
    return ({} if known else given_env(env)) | dict(more or {})


def make_single_env(env_id: str, arguments: Mapping[str, Any]) -> gym.Env:
    """Return one environment.

    Raises:
        UserError: as `make_env`.
    """
    name = import_module(env_id)
    with refusals(env_id, arguments):
        return gym.make(name, **arguments)


def id_for(env_id: str, num_learners: int, arguments: Any, wrappers: Any) -> str:  # noqa: ANN401
    """Return the id from which the environment of so many learners is made.

    For several it is that with a generator for each row, where the environment's own vector form has one for all.
    """
    if num_learners == 1 or arguments or wrappers:
        return env_id
    spec, seeded = gym.registry.get(env_id), f"pg/{env_id}"
    classic = spec is not None and str(spec.entry_point).startswith("gymnasium.envs.classic_control")
    return seeded if classic and seeded in gym.registry else env_id


def takes_seeds(env: VectorEnv) -> bool:
    """Return whether the environment takes a seed for each row; Gymnasium's native vector environments take one."""
    several = isinstance(env.unwrapped, SyncVectorEnv | AsyncVectorEnv)
    return several or bool(env.metadata.get("seeds_per_environment"))


@contextmanager
def refusals(env_id: str, arguments: Mapping[str, Any], argument: str = "env") -> Iterator[None]:
    """A context in which an environment is made of its id; what that raises becomes a sentence, a UserError."""
    given = f" with {', '.join(f'{k}={shown(v)}' for k, v in arguments.items())}" if arguments else ""
    try:
        yield
    except UserError:  # of a wrapper
        raise
    except UnregisteredEnv as error:
        raise _unknown(env_id, error, argument) from error
    except DependencyNotInstalled as error:
        raise UserError(
            f"{argument}: {env_id} needs a package that is not installed. {how_to_install(str(error))}"
        ) from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"{argument}: {env_id} needs {error.name!r}, which is not installed: pip install {error.name}"
        ) from error
    except (TypeError, LookupError, AttributeError) as error:
        if not arguments:  # nobody's arguments: a mistake in the environment's code, to be seen in full
            raise
        raise UserError(f"env_args: {env_id} cannot be made{given}: {error}") from error
    except SystemExit as error:
        raise UserError(f"{argument}: {env_id!r} cannot be made{given}: it called sys.exit({error.code!r})") from error
    except (EOFError, ConnectionError) as error:
        raise UserError(f"{argument}: {env_id!r} cannot be made{given}: one of its processes has ended") from error
    except (ValueError, ArithmeticError, AssertionError, ImportError, OSError, MemoryError, Error) as error:
        raise UserError(f"{argument}: {env_id!r} cannot be made{given}: {error}") from error


def _unknown(env_id: str, error: Error, argument: str) -> UserError:
    name = env_id.rpartition(":")[2]
    module = registering_module(name)
    near = nearest(name, gym.registry)
    game = game_of(name)
    if name in POLICIES:
        way_out = "networks follow from an environment's spaces: for_env(env), with hidden=(64, 64) for their size"
    elif module is not None and module not in sys.modules:
        way_out = f"{module} registers it: {install_line(module)}"
    elif game is not None:
        way_out = f"did you mean {game}?"
    else:
        way_out = f"did you mean {' or '.join(near)}?" if near else f"`pg-agents list` shows some ({error})"
    own = "" if module or game else "; one of your own: import its module first (in the shell: --import)"
    return UserError(f"{argument}: there is no environment {env_id!r}; {way_out}{own}")
