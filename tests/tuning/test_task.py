"""What a trial's learners return, in the evaluations' environment; reports rise, and end in what is returned."""

import pytest
from support.bugs import Bug, seeded

from pg_agents.tuning import task as tuning_task
from pg_agents.tuning.task import Task, refused_batch, returns_of


def task_of(agent, env, total_steps, **how):
    given = {"fixed": {}, "num_envs": 2, "env_args": {}, "eval_env_args": {}, "wrappers": ()} | how
    return Task(agent, env, (100, 101, 102, 103), total_steps, **given)


def run(task, seeds, num_envs=2, **arguments):
    """Return what seeds return, and what was reported."""
    reports = []
    settings = task.settings(num_envs, task.fixed | arguments)
    found = returns_of(task, settings, seeds, lambda point, returns: reports.append((point, [*returns])))
    return found, reports


@pytest.mark.parametrize("total_steps", [93, 96, 5])
def test_reports_rise_to_the_last_eighth_and_end_in_what_is_returned(total_steps):
    found, reports = run(task_of("actor-critic", "CartPole-v1", total_steps), (100, 101), hidden=(4,))
    points = [point for point, _ in reports]
    assert points == sorted(set(points)) and points[-1] == 8 and len(points) <= 9
    assert reports[-1][1] == found and len(found) == 2
    if total_steps > 8:
        assert points[-8:] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_seeds_that_learn_one_after_the_other_are_reported_from_the_third_on():
    task = task_of("actor-critic", "pg/TwoArmedBandit-v0", 32)
    found, reports = run(Task(**vars(task) | {"together": False}), task.seeds)
    assert reports == [(3, found[:3]), (4, found)]
    assert found == run(task, task.seeds)[0]  # as together
    assert run(Task(**vars(task) | {"together": False}), (100, 101))[1][0][0] == 2


@pytest.mark.parametrize("seeds", [(100,), (100, 101)])
def test_returns_are_those_in_the_environment_of_the_evaluations(seeds):
    wrapped = {"wrappers": ("ClipReward:max_reward=0",), "env_args": {"sutton_barto_reward": False}}
    task = task_of("a2c", "CartPole-v1", 32, **wrapped, eval_env_args={"sutton_barto_reward": True})
    found, _ = run(task, seeds, num_steps=8, hidden=(4,))
    assert found == [-1.0] * len(seeds)


def test_episodes_in_groups_begin_in_the_same_states_and_evaluations_need_no_groups():
    found, reports = run(task_of("grpo", "CartPole-v1", 64), (100, 101), num_envs=4, group_size=4, hidden=(4,))
    assert len(found) == 2 and reports[-1] == (8, found)


def test_why_seeds_cannot_learn_as_one_batch_is_said():
    env = "pg/TwoArmedBandit-v0"
    for task, reason in (
        (task_of("a2c", env, 32), None),
        (task_of("a2c", env, 32, fixed={"policy": "a folder"}), "language models cannot be stacked"),
        (task_of("a2c", env, 32, env_args={"vectorization_mode": "async"}), "the environments of each have processes"),
        (task_of("trpo", env, 32), "num_learners must be 1"),
    ):
        found = refused_batch(task, task.settings(2, task.fixed))
        assert found is None if reason is None else found.startswith(reason)
    with pytest.raises(ValueError, match="^total_steps must be"):
        refused_batch(task_of("a2c", env, 0), task.settings(2, {}))


def without_groups(self, opened, num_envs, learners, *, evaluated=False, right=Task.open):
    return right(self, opened, num_envs, learners)


def without_an_end(total, every, report, right=tuning_task._reporting):
    return right(2 * total, every, report)


test_seeded_bugs = seeded(
    Bug("evaluations in the environment of learning", Task.open, without_groups,
        [test_returns_are_those_in_the_environment_of_the_evaluations]),
    Bug("the end of a run that is not its last eighth", tuning_task._reporting, without_an_end,
        [test_reports_rise_to_the_last_eighth_and_end_in_what_is_returned]),
)  # fmt: skip
