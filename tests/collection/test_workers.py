"""Environments that fail inside a vector environment, workers that are gone: errors that name them, and no waiting."""

import os
import signal
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from support.broken_envs import Broken, Quits, TwoArgumentsError
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.collection import workers as collection_workers
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.errors import FaultyEnvironmentError
from pg_agents.spaces.closing import at_rest, close, closing

STILL = np.zeros(3, np.int64)


def workers(**arguments):
    return AsyncVectorEnv([lambda: Quits("nowhere"), lambda: Quits(**arguments), lambda: Quits("nowhere")])


def kill(env, row):
    os.kill(env.processes[row].pid, signal.SIGKILL)
    env.processes[row].join(60)


def within(seconds, call):
    """Call something that may never return, and fail in that case."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"


# -- workers that are gone ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize("call", ["step", "reset"])
def test_a_killed_worker_is_named_and_nobody_waits_for_the_others(call, row):
    env = workers()
    adapter = EnvAdapter(env, 4)
    adapter.step(STILL)
    kill(env, row)
    message = rf"step {2 if call == 'step' else 1}, environment {row}, seed {adapter.seeds[row]}: .* killed by SIGKILL"
    with pytest.raises(FaultyEnvironmentError, match=message):
        adapter.step(STILL) if call == "step" else adapter.reset()
    assert not any(process.is_alive() for process in env.processes)
    within(10, env.close)


def test_a_worker_that_is_killed_while_it_works_is_named():
    class Slow(Broken):
        def step(self, action):
            time.sleep(0.3)
            return super().step(action)

    env = AsyncVectorEnv([Broken, Slow])
    adapter = EnvAdapter(env, 0)
    threading.Timer(0.1, lambda: os.kill(env.processes[1].pid, signal.SIGKILL)).start()
    with pytest.raises(FaultyEnvironmentError, match="step 1, environment 1.*SIGKILL"):
        adapter.step(STILL[:2])
    within(10, env.close)


@pytest.mark.parametrize("state", ["at rest", "killed", "at work", "killed at work", "read at work"])
def test_whatever_has_become_of_workers_they_can_be_closed(state):
    env = workers()
    env.reset(seed=0)
    if "work" in state:
        env.step_async(STILL)
    if "killed" in state:
        kill(env, 1)
    if "read" in state:  # as an interrupt leaves it
        env.parent_pipes[0].recv()
    within(10, lambda: close(env))
    assert env.closed and not any(process.is_alive() for process in env.processes)


def test_an_environment_that_is_closed_at_rest_may_finish_what_it_does(tmp_path):
    class Writes(Broken):
        def close(self):
            (tmp_path / "closed").touch()

    with closing(AsyncVectorEnv([Writes])) as env:
        (tmp_path / "closed").unlink(missing_ok=True)  # of the environment that told the spaces
        EnvAdapter(env, 0).step(STILL[:1])
    assert (tmp_path / "closed").exists()


def test_training_and_evaluation_end_with_the_error():
    for go in (lambda env, agent: pg.train(agent, env, total_steps=99, progress=False), lambda e, a: pg.evaluate(a, e)):
        env = workers(where="step", code=3)
        with pytest.raises(FaultyEnvironmentError, match="step 5, environment 1, seed .* ended with exit code 3"):
            go(env, pg.ActorCritic.for_env(env))
        within(10, env.close)


# -- environments that raise what is hard to tell ----------------------------------------------------------------------
@pytest.mark.parametrize("where", ["step", "reset"])
@pytest.mark.parametrize("code", [0, None, "bye"])
def test_sys_exit_in_an_environment_is_a_fault(where, code):
    adapter = EnvAdapter(SyncVectorEnv([lambda: Quits("nowhere"), lambda: Quits(where, code)]), 0)
    with pytest.raises(FaultyEnvironmentError, match=rf"Quits .*, environment 1, seed .*sys.exit\({code!r}\)"):
        for _ in range(12):
            adapter.step(STILL[:2])


def test_sys_exit_is_a_fault_in_resets_of_rows_too():
    adapter = EnvAdapter(SyncVectorEnv([lambda: Quits("reset")], autoreset_mode=AutoresetMode.DISABLED), 0)
    with pytest.raises(FaultyEnvironmentError, match=r"at reset, after step 10, environment 0.*sys.exit\(0\)"):
        for _ in range(12):
            adapter.step(STILL[:1])


def failed(**arguments):
    env = workers(**arguments)
    adapter = EnvAdapter(env, 0)
    try:
        for _ in range(5):
            adapter.step(STILL)
    finally:
        within(10, lambda: close(env))


def test_a_percent_sign_in_a_workers_error_does_not_hide_it():
    with pytest.raises(FaultyEnvironmentError, match="step 5, environment 1, seed .*: KeyError: '100% of %s'"):
        failed(where="percent")


def test_an_interrupt_in_a_worker_is_one_whatever_stands_in_it():
    with pytest.raises(KeyboardInterrupt):
        failed(where="interrupt")


def test_exceptions_that_cannot_be_sent_say_so():
    with pytest.raises(FaultyEnvironmentError, match="step 5, environment 1, seed .* cannot be sent"):
        failed(where="two arguments")
    adapter = EnvAdapter(SyncVectorEnv([lambda: Quits("two arguments")]), 0)
    message = f"Quits failed at step 5, environment 0, seed {adapter.seeds[0]}: TwoArgumentsError: 1 and 2"
    with pytest.raises(FaultyEnvironmentError, match=message) as caught:
        for _ in range(5):
            adapter.step(STILL[:1])
    assert isinstance(caught.value.__cause__, TwoArgumentsError)


def test_errors_of_a_vector_environment_that_is_one_piece_have_no_row():
    env = gym.make_vec("CartPole-v1", 2, vectorization_mode="vector_entry_point")
    adapter = EnvAdapter(env, 5)
    assert isinstance(adapter.seeds, int) and adapter.where() == f"at step 0, seed {adapter.seeds}"
    env.step = lambda actions: int("no number")
    with pytest.raises(FaultyEnvironmentError, match=rf"failed at step 1, seed {adapter.seeds}: invalid literal"):
        adapter.step(STILL[:2])


class Old(gym.Env):
    """An environment of the interface before 0.26: step returns four values."""

    observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 1.0, False, {}


def test_four_values_of_a_step_are_a_fault():
    with pytest.raises(FaultyEnvironmentError, match=r"Old failed at step 1.*expected 5, got 4"):
        next(pg.collect_steps(Old(), pg.PPO.for_env(Old()).policy, 4))


test_seeded_bugs = seeded(
    Bug(
        "an environment that calls sys.exit ends the run in silence",
        EnvAdapter._step,
        lambda adapter, actions: adapter.env.step(actions),
        [test_sys_exit_in_an_environment_is_a_fault],
        raises=SystemExit,
    ),
    Bug(
        "workers are left behind by one that has died",
        collection_workers.kill,
        lambda core: None,
        [test_a_killed_worker_is_named_and_nobody_waits_for_the_others],
    ),
    Bug(
        "answers of workers that have been read are waited for",
        at_rest,
        lambda core: True,
        [(test_whatever_has_become_of_workers_they_can_be_closed, "read at work")],
    ),
    Bug(
        "a percent sign in a worker's error hides it",
        collection_workers._in_worker,
        lambda core, error: collection_workers.Cause(str(error), None, error),
        [test_a_percent_sign_in_a_workers_error_does_not_hide_it],
    ),
)
