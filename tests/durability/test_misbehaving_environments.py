"""Environments that raise, exit, hang, are killed or return garbage: named within seconds, and nothing is left behind.

Each promise has a control arm: the same fault under Gymnasium alone, which shows that the fault fires.
"""

import gc
import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from support.bugs import Bug, seeded
from support.forks import CONTEXT
from support.loads import at_this_load
from support.misbehaving import Misbehaves

import pg_agents as pg
from pg_agents.errors import FaultyEnvironmentError, UserError
from pg_agents.spaces import time_limit, worker_envs
from pg_agents.spaces.closing import close, closing
from pg_agents.spaces.environments import make_env

SECONDS = 5.0  # within which each fault is an error on an idle machine
TIMEOUT = 0.4


def agent_for(env):
    return pg.PPO.for_env(env, num_steps=8, minibatch_size=None, epochs=1, hidden=(4,))


def play(env, **how):
    pg.train(agent_for(Misbehaves()), env, total_steps=200, progress=False, **how)


def several(kind, *faults, **options):
    """Return a vector environment whose row 1 misbehaves."""
    return kind([Misbehaves, partial(Misbehaves, *faults), Misbehaves], **options)


def alive(pid):
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def in_shared_memory():
    return {name for name in os.listdir("/dev/shm") if name.startswith(("sem.mp-", "pym-", "psm_"))}


def is_mapped(name):
    """Return whether a process that runs uses a file in shared memory."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            if f"/dev/shm/{name}" in maps.read_text():
                return True
        except OSError:  # the process has ended
            continue
    return not Path("/dev/shm", name).exists()


@pytest.fixture(autouse=True)
def nothing_is_left():
    """After every test: no process, nothing in shared memory, no alarm, and the handler of before."""
    before, handler = in_shared_memory(), signal.getsignal(signal.SIGALRM)
    running = set(multiprocessing.active_children())
    yield
    left = [one for one in multiprocessing.active_children() if one not in running]
    for one in left:
        one.kill()
    assert not left
    assert not [name for name in in_shared_memory() - before if not is_mapped(name)]  # others make some, too
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0) and signal.getsignal(signal.SIGALRM) is handler


@pytest.fixture(autouse=True, scope="module")
def everything_is_imported():
    """A first optimizer imports what takes seconds."""
    play(Misbehaves())


class Watch:
    """Measures the seconds in a context."""

    def __enter__(self):
        self.begun = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.begun


# -- R13: raise and exit -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("what", ["raise", "exit"])
@pytest.mark.parametrize("place", ["reset", "step"])
@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv, partial(AsyncVectorEnv, worker=pg.worker)])
def test_what_fails_is_named_with_row_step_and_seed(kind, place, what):
    env = several(kind, place, what)
    said = {"raise": "KeyError", "exit": r"sys.exit\(3\)|exit code 3"}[what]
    when = {"step": "at step 5", "reset": "(at step 9|at reset, after step 8)"}[place]
    name = "Misbehaves" if kind is SyncVectorEnv else "AsyncVectorEnv"  # without an id
    message = rf"{name} failed {when}, environment 1, seed \d+: .*({said})"
    with Watch() as watch, closing(env), pytest.raises(FaultyEnvironmentError, match=message):
        play(env)
    assert watch.seconds < at_this_load(SECONDS)


@pytest.mark.parametrize(
    ("what", "said"), [("raise", "KeyError"), ("exit", r"sys.exit\(3\)"), ("hang", "within 0.4 s")]
)
def test_what_fails_while_it_is_made_in_a_worker_is_named_with_its_row(what, said):
    arguments = {"vectorization_mode": "async", "place": "init", "what": what, "spared": os.getpid()}
    message = rf"Misbehaves-v0: environment \d cannot be made: .*{said}"
    with Watch() as watch, pytest.raises(FaultyEnvironmentError, match=message):
        make_env("Misbehaves-v0", 3, arguments, step_timeout=TIMEOUT if what == "hang" else None)
    assert watch.seconds < at_this_load(SECONDS)


def test_gymnasium_alone_does_not_say_what_failed_while_it_was_made():
    with pytest.raises((BrokenPipeError, EOFError, ConnectionError)):  # the control arm
        several(AsyncVectorEnv, "init", "raise", os.getpid())


def test_an_exception_that_cannot_be_sent_arrives_as_its_text():
    env = several(AsyncVectorEnv, "step", "unsendable", worker=pg.worker)
    message = "step 5, environment 1, .*LocalError: .*holds a lock"
    with closing(env), pytest.raises(FaultyEnvironmentError, match=message):
        play(env)


@pytest.mark.parametrize("what", ["raise", "exit", "hang"])
def test_what_fails_to_close_is_over_in_time(what):
    """A worker that hangs is killed; in one's own process the alarm interrupts."""
    for kind in (SyncVectorEnv, AsyncVectorEnv):
        env = several(kind, "close", what)
        with Watch() as watch:
            if kind is SyncVectorEnv:
                with pytest.raises((KeyError, SystemExit, FaultyEnvironmentError)):
                    close(env, TIMEOUT)
            else:
                close(env, TIMEOUT)
        assert watch.seconds < at_this_load(SECONDS)


# -- R14: hang ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", ["reset", "step"])
@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_what_hangs_is_an_error_after_the_timeout_and_is_not_stepped_again(kind, place):
    env = several(kind, place, "hang")
    collector = pg.collect_steps(env, agent_for(env).policy, 16, step_timeout=TIMEOUT)
    with Watch() as watch, pytest.raises(FaultyEnvironmentError, match=r", environment 1, seed \d+: .* within 0.4 sec"):
        next(collector)
    assert TIMEOUT < watch.seconds < TIMEOUT + at_this_load(2)
    calls = collector.adapter.steps
    with Watch() as watch, pytest.raises(FaultyEnvironmentError, match="within 0.4 seconds"):
        next(collector)
    assert watch.seconds < at_this_load(1) and collector.adapter.steps <= calls + 1
    assert kind is SyncVectorEnv or (env.closed and not any(one.is_alive() for one in env.processes))


def test_gymnasium_alone_waits_for_ever_and_then_takes_a_late_answer_for_the_next():
    env = several(AsyncVectorEnv, "step", "hang")  # the control arm
    try:
        env.reset(seed=0)
        for _ in range(4):
            env.step(np.zeros(3, np.int64))
        env.step_async(np.zeros(3, np.int64))
        with pytest.raises(multiprocessing.TimeoutError):
            env.step_wait(TIMEOUT)
        assert env.processes[1].is_alive()
    finally:
        env.close(terminate=True)


@pytest.mark.parametrize("place", ["reset", "step"])
def test_workers_are_limited_in_other_threads_too(place):
    env = several(AsyncVectorEnv, place, "hang")
    caught = []

    def go():
        try:
            play(env, step_timeout=TIMEOUT)
        except FaultyEnvironmentError as error:
            caught.append(str(error))

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    thread.join(at_this_load(SECONDS))
    assert not thread.is_alive() and "environment 1, seed" in caught[0] and "within 0.4 seconds" in caught[0]


def test_evaluation_and_training_by_id_end_in_time_and_close_what_they_made():
    arguments = {"place": "step", "what": "hang"}
    agent = agent_for(Misbehaves())
    for how in ({}, {"vectorization_mode": "async"}):
        for go in (partial(pg.train, agent, total_steps=99, progress=False), partial(pg.evaluate, agent)):
            with Watch() as watch, pytest.raises(FaultyEnvironmentError, match="at step 5, environment 0, seed"):
                go(env="Misbehaves-v0", num_envs=2, env_args=arguments | how, step_timeout=TIMEOUT)
            assert watch.seconds < at_this_load(SECONDS)


# -- R15: killed workers -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_worker_is_named_in_time(count, record_property):
    generator = np.random.default_rng(count)
    for _ in range(count):
        env = AsyncVectorEnv([Misbehaves] * 3, worker=pg.worker)
        row, wait = int(generator.integers(3)), float(generator.uniform(0, 0.2))
        timer = threading.Timer(wait, os.kill, (env.processes[row].pid, signal.SIGKILL))
        timer.start()
        with Watch() as watch, closing(env), pytest.raises(FaultyEnvironmentError, match="killed by SIGKILL"):
            pg.train(agent_for(env), env, total_steps=10**7, progress=False)
        assert watch.seconds < at_this_load(SECONDS) + wait
    record_property("workers killed", count)


def test_gymnasium_alone_does_not_name_a_killed_worker(record_property):
    env = several(AsyncVectorEnv, "step", "kill")  # the control arm
    try:
        env.reset(seed=0)
        with pytest.raises(EOFError):
            for _ in range(5):
                env.step(np.zeros(3, np.int64))
        record_property("killed and not named", 1)
    finally:
        env.close(terminate=True)


# -- the run is killed -------------------------------------------------------------------------------------------------
def step_until_one_hangs(pids, how):
    """Be a run, one of whose workers hangs; send the ids of its workers."""
    env = AsyncVectorEnv([Misbehaves, partial(Misbehaves, "step", "hang")], **how)
    env.reset(seed=0)
    pids.send([one.pid for one in env.processes])
    while True:
        env.step(np.zeros(2, np.int64))


def left_after_a_kill(how, wait):
    """Return the workers that are alive `wait` seconds after their process was killed while one of them hung."""
    receive, send = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=step_until_one_hangs, args=(send, how))
    process.start()
    assert receive.poll(60)
    workers = receive.recv()
    time.sleep(0.3)
    process.kill()
    process.join(60)
    end = time.monotonic() + wait
    while (left := [pid for pid in workers if alive(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


def test_workers_end_with_a_run_that_is_killed_though_they_hang():
    assert not left_after_a_kill({"worker": pg.worker}, at_this_load(SECONDS))


@pytest.mark.slow
def test_gymnasium_alone_leaves_a_worker_that_hangs():
    assert left_after_a_kill({}, 1.0)  # the control arm


# -- what is returned --------------------------------------------------------------------------------------------------
class Garbage(Misbehaves):
    """Returns something else than the API says in its fifth step."""

    def step(self, action):
        observation, reward, *rest = super().step(action)
        if self.clock == 5:
            return {
                "a text as reward": (observation, "much", *rest),
                "three values": (observation, reward, False),
                "a long observation": (np.zeros(7, np.float32), reward, *rest),
                "no observation": (None, reward, *rest),
                "infinite reward": (observation, np.inf, *rest),
                "nan": (observation * np.nan, reward, *rest),
            }[self.what]
        return observation, reward, *rest


@pytest.mark.parametrize(
    "what", ["a text as reward", "three values", "a long observation", "no observation", "infinite reward", "nan"]
)
def test_garbage_is_named_with_its_row(what):
    for worker in (None, pg.worker):
        env = AsyncVectorEnv([Misbehaves, partial(Garbage, "nowhere", what)], worker=worker)
        with closing(env), pytest.raises(FaultyEnvironmentError, match=r"at step 5, environment 1, seed \d+"):
            play(env)


class Trash:
    """A pipe's end whose next message is of no worker's."""

    def __init__(self, pipe, message):
        self.pipe, self.message = pipe, message

    def __getattr__(self, name):
        return getattr(self.pipe, name)

    def recv(self):
        self.pipe.recv()
        return self.message


@pytest.mark.parametrize("message", [7, (), ((1, 2), True)])
def test_a_message_that_is_none_of_a_workers_ends_the_run(message):
    with closing(AsyncVectorEnv([Misbehaves] * 2)) as env:
        collector = pg.collect_steps(env, agent_for(env).policy, 4)
        env.parent_pipes[1] = Trash(env.parent_pipes[1], message)
        with pytest.raises(FaultyEnvironmentError, match="failed at step 1, environment 1"):
            next(collector)


# -- R19: nothing piles up ---------------------------------------------------------------------------------------------
MANY = [("sync", 1000), ("async", 100)]


def held():
    """Return how many descriptors, threads and bytes of memory this process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/fd")), threading.active_count(), pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("mode", "count"), [("sync", 5), ("async", 3), *(pytest.param(*c, marks=pytest.mark.slow) for c in MANY)]
)
def test_making_and_closing_leaves_no_descriptor_no_thread_and_no_memory(mode, count, record_property):
    def once():
        with closing(make_env("Misbehaves-v0", 2, {"vectorization_mode": mode})) as env:
            next(pg.collect_steps(env, policy, 2, step_timeout=60.0))

    policy = agent_for(Misbehaves()).policy
    for _ in range(3):
        once()
    descriptors, threads, memory = held()
    for _ in range(count):
        once()
    after = held()
    assert after[0] <= descriptors and after[1] <= threads and after[2] <= memory + 16 * 2**20
    record_property("environments built and closed", count)


def test_control_what_is_not_closed_keeps_its_descriptors():
    before = held()[0]
    with closing(AsyncVectorEnv([Misbehaves] * 2)):
        assert held()[0] > before


# -- alarms ------------------------------------------------------------------------------------------------------------
def test_an_alarm_that_was_set_before_keeps_its_time_and_its_handler():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(time.monotonic()))
    try:
        begun = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.6)
        env = SyncVectorEnv([Misbehaves], autoreset_mode=AutoresetMode.SAME_STEP)
        collector = pg.collect_steps(env, agent_for(env).policy, 16, step_timeout=2.0)
        while not rung and time.monotonic() < begun + 60:
            next(collector)
        assert len(rung) == 1 and 0.55 < rung[0] - begun < at_this_load(1.2)  # ours look twice a second
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), "soon", True])
def test_a_timeout_that_is_no_time_is_refused(wrong):
    for env in (Misbehaves(), "CartPole-v1"):
        with pytest.raises(ValueError, match="^step_timeout must be"):
            play(env, step_timeout=wrong)


def test_no_time_limit_can_be_asked_for():
    env = SyncVectorEnv([Misbehaves])
    assert pg.collect_steps(env, agent_for(env).policy, 4, step_timeout=float("inf")).adapter.limit.seconds is None
    assert pg.collect_steps(env, agent_for(env).policy, 4).adapter.limit.seconds is None
    with closing(AsyncVectorEnv([Misbehaves])) as env:
        assert pg.collect_steps(env, agent_for(env).policy, 4, step_timeout=float("inf")).adapter.limit.seconds is None
        assert pg.collect_steps(env, agent_for(env).policy, 4).adapter.limit.seconds == 120


test_seeded_bugs = seeded(
    Bug(
        "what fails while it is made in a worker is a broken pipe",
        worker_envs.make_vec,
        lambda env_id, num_envs, arguments, step_timeout=None: gym.make_vec(env_id, num_envs, **arguments),
        [(test_what_fails_while_it_is_made_in_a_worker_is_named_with_its_row, "raise-KeyError")],
        raises=UserError,
    ),
    Bug(
        "nobody knows which worker hangs",
        worker_envs.waited_for,
        lambda core, error: None,
        [(test_what_fails_while_it_is_made_in_a_worker_is_named_with_its_row, "hang-within 0.4 s")],
    ),
    Bug(
        "a timeout is not checked",
        time_limit.checked_timeout,
        lambda step_timeout: None,
        [(test_a_timeout_that_is_no_time_is_refused, "-1")],
    ),
)
