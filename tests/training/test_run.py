"""A run as probes see it, runs that are stopped, and how a folder tells a complete run from one that was cut off."""

import json
from contextlib import nullcontext
from dataclasses import asdict

import gymnasium as gym
import pytest
from support.bugs import Bug, seeded, with_arguments
from support.tiny_envs import Faulty, OneStep

import pg_agents as pg
from pg_agents.spaces import environments
from pg_agents.training.evaluations import Evaluations
from pg_agents.training.run import Run

BANDIT = "pg/TwoArmedBandit-v0"


def summary_of(run_dir):
    return json.loads((run_dir / "summary.json").read_text())


def rows_of(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def trained(run_dir=None, env_id=BANDIT, **arguments):
    """Train in four environments, 40 steps unless told otherwise, a row every 8; return agent and summary."""
    env = gym.make_vec(env_id, 4)
    agent = pg.Reinforce.for_env(env)
    settings = {"total_steps": 40, "log_every": 8, "progress": False, "run_dir": run_dir, **arguments}
    return agent, pg.train(agent, env, **settings)


# -- what probes see ---------------------------------------------------------------------------------------------------
def test_a_probe_sees_the_run_as_it_is():
    seen = []

    def probe(run):
        assert isinstance(run, Run) and run.steps == run.summary.total_steps and run.seconds == run.summary.wall_seconds
        seen.append((run.steps, run.total_steps, run.agent, run.rollout.num_transitions, run.summary.episodes))

    agent, summary = trained(probes=[probe])
    assert seen == [(steps, 40, agent, 4, steps) for steps in (8, 16, 24, 32, 40)]
    assert (summary.stopped, summary.cut_off) == (None, None)


def test_the_rollout_is_the_one_that_was_just_learned_from():
    env = gym.make_vec(BANDIT, 4)
    agent = pg.Reinforce.for_env(env)
    learn, learned = agent.update, []
    agent.update = lambda rollout: learned.append(rollout) or learn(rollout)
    probes = [lambda run: seen.append(run.rollout is learned[-1])]
    seen = []
    pg.train(agent, env, total_steps=40, log_every=4, progress=False, probes=probes)
    assert seen == [True] * 10


def test_the_summary_so_far_has_the_evaluations_so_far():
    seen = []
    probes = [lambda run: seen.append(list(run.summary.evaluations))]
    trained(probes=probes, eval_env=gym.make_vec(BANDIT, 2), eval_every=16, eval_episodes=2)
    assert seen == [[0], [0, 16], [0, 16], [0, 16, 32], [0, 16, 32, 40]]


# -- stopping ----------------------------------------------------------------------------------------------------------
def test_a_probe_stops_a_run_which_ends_as_others_do(tmp_path, capsys):
    def probe(run):
        if run.steps >= 16:
            run.stop("it is good enough")
            run.stop("a second reason")

    evaluated = {"eval_env": gym.make_vec(BANDIT, 2), "eval_every": 1_000, "eval_episodes": 2}
    agent, summary = trained(tmp_path / "r", probes=[probe], progress=True, **evaluated)
    assert (summary.stopped, summary.total_steps, summary.cut_off) == ("it is good enough", 16, None)
    assert list(summary.evaluations) == [0, 16]  # the last one is there
    assert summary_of(tmp_path / "r") == json.loads(json.dumps(asdict(summary)))
    last = rows_of(tmp_path / "r")[-1]
    assert last["step"] == 16 and "eval/ep_rew_mean" in last and "train/policy_loss" in last
    saved = pg.load(tmp_path / "r" / "agent")
    assert all((saved.state_dict()[name] == value).all() for name, value in agent.state_dict().items())
    assert "stopped  it is good enough\n" in capsys.readouterr().out


def test_an_evaluation_that_was_due_is_not_made_twice(monkeypatch):
    made = []
    monkeypatch.setattr(
        "pg_agents.training.evaluations.evaluate",
        lambda agent, env, **settings: made.append(1) or pg.Evaluation(1.0, 0.0, 1, [1.0], [1]),
    )
    probes = [lambda run: run.stop("now")]
    _, summary = trained(probes=probes, eval_env=gym.make_vec(BANDIT, 2), eval_every=8)
    assert list(summary.evaluations) == [0, 8] and len(made) == 2


def test_a_reason_of_escape_sequences_is_printed_as_text(capsys):
    trained(probes=[lambda run: run.stop("\x1b[31mred")], progress=True)
    assert "stopped  \\x1b[31mred" in capsys.readouterr().out


@pytest.mark.parametrize("reason", ["", None, 3])
def test_a_reason_is_a_text(reason):
    with pytest.raises(ValueError, match="reason must be a text that says why the run is to stop, got"):
        trained(probes=[lambda run: run.stop(reason)])


def test_the_return_that_was_asked_for_is_a_reason_like_others(tmp_path):
    env_args = {"probabilities": (1.0, 1.0)}
    env = gym.make_vec("pg/BernoulliBandit-v0", 10, **env_args)
    agent = pg.Reinforce.for_env(env)
    summary = pg.train(agent, env, total_steps=5_000, stop_return=1, progress=False, run_dir=tmp_path / "r")
    assert summary.stopped == "stop_return=1: the newest 100 episodes return 1" and summary.episodes == 100
    assert summary_of(tmp_path / "r")["stopped"] == summary.stopped


# -- cut off -----------------------------------------------------------------------------------------------------------
def test_a_complete_run_says_that_nothing_stopped_it(tmp_path):
    trained(tmp_path / "r")
    written = summary_of(tmp_path / "r")
    assert (written["stopped"], written["cut_off"], written["total_steps"]) == (None, None, 40)


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyboardInterrupt(), "KeyboardInterrupt"), (RuntimeError("of\nmine"), "RuntimeError: of\nmine")],
)
def test_an_error_or_an_interrupt_marks_the_run_as_cut_off(tmp_path, error, said):
    def probe(run):
        raise error

    with pytest.raises(type(error)):
        trained(tmp_path / "r", probes=[probe])
    assert (summary_of(tmp_path / "r")["cut_off"], summary_of(tmp_path / "r")["stopped"]) == (said, None)


def test_an_error_after_a_stop_still_cuts_it_off(tmp_path):
    def probe(run):
        run.stop("enough")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trained(tmp_path / "r", probes=[probe])
    written = summary_of(tmp_path / "r")
    assert (written["stopped"], written["cut_off"]) == ("enough", "ZeroDivisionError")


def test_a_failing_environment_cuts_the_run_off(tmp_path):
    env = Faulty("nan reward", at=20)
    with pytest.raises(pg.FaultyEnvironmentError):
        pg.train(pg.ActorCritic.for_env(env), env, total_steps=1000, run_dir=tmp_path / "r", progress=False)
    assert summary_of(tmp_path / "r")["cut_off"].startswith("FaultyEnvironmentError: Faulty ")


# -- environments by their ids -----------------------------------------------------------------------------------------
def test_an_id_trains_as_its_environment_does(tmp_path):
    """The same bits, the id and its arguments in config.json, and what was made is closed."""
    env = gym.make_vec("pg/GridWorld-v0", 8, slip=0.1)
    eval_env = gym.make_vec("pg/GridWorld-v0", 3, slip=0.1)
    settings = {"total_steps": 400, "seed": 2, "progress": False, "eval_episodes": 3}
    found = []
    for name, first, rest in (
        ("made", env, {"eval_env": eval_env}),
        ("id", "pg/GridWorld-v0", {"env_args": {"slip": 0.1}, "eval_env": "pg/GridWorld-v0"}),
    ):
        agent, used = pg.ReinforceBaseline.for_env(env, seed=2), []
        probes = [lambda run, used=used: used.append(run.collector.adapter.env) or used.append(run.evaluations.env)]
        summary = pg.train(agent, first, run_dir=tmp_path / name, probes=probes, **rest, **settings)
        found.append((agent.policy.probabilities().tolist(), summary.evaluations))
        assert {made.closed for made in used} == {name == "id"}
    assert found[0] == found[1]
    written = json.loads((tmp_path / "id" / "config.json").read_text())
    assert (written["env"], written["env_args"], written["num_envs"]) == ("pg/GridWorld-v0", {"slip": 0.1}, 8)
    assert "env_args" not in json.loads((tmp_path / "made" / "config.json").read_text())


@pytest.mark.parametrize(("num_envs", "expected"), [(None, 8), (3, 3)])
def test_there_are_as_many_as_are_asked_for(num_envs, expected):
    seen = []
    agent = pg.A2C.for_env(gym.make_vec("CartPole-v1", expected))
    probes = [lambda run: seen.append(run.collector.adapter.num_envs)]
    pg.train(agent, "CartPole-v1", total_steps=10, num_envs=num_envs, progress=False, probes=probes)
    assert seen[0] == expected


def test_groups_get_environments_that_take_a_seed_each():
    agent = pg.RLOO.for_env(gym.make_vec("CartPole-v1", 4, "sync"))
    assert pg.train(agent, "CartPole-v1", total_steps=10, num_envs=4, progress=False).episodes == 4


def test_an_id_is_evaluated_in_as_its_environment_is():
    env = gym.make_vec("pg/GridWorld-v0", 8, slip=0.1)
    agent = pg.Reinforce.for_env(env)
    for episodes, count in ((20, 8), (3, 3)):
        own = gym.make_vec("pg/GridWorld-v0", count, slip=0.1)
        by_id = pg.evaluate(agent, "pg/GridWorld-v0", episodes=episodes, env_args={"slip": 0.1}, greedy=False)
        assert by_id == pg.evaluate(agent, own, episodes=episodes, greedy=False)
    two = pg.evaluate(agent, "pg/GridWorld-v0", episodes=3, num_envs=2, env_args={"slip": 0.1}, greedy=False)
    assert two == pg.evaluate(agent, gym.make_vec("pg/GridWorld-v0", 2, slip=0.1), episodes=3, greedy=False)


def test_what_cannot_be_made_is_said_before_anything_is_written(tmp_path):
    agent = pg.A2C.for_env(gym.make("CartPole-v1"))
    settings = {"total_steps": 10, "run_dir": tmp_path / "r"}
    with pytest.raises(pg.UserError, match="^env: there is no environment 'CartPoole-v1'; did you mean CartPole-v1"):
        pg.train(agent, "CartPoole-v1", **settings)
    with pytest.raises(pg.UserError, match="^eval_env: there is no environment 'CartPoole-v1'; did you mean"):
        pg.train(agent, "CartPole-v1", eval_env="CartPoole-v1", **settings)
    with pytest.raises(pg.UserError, match="^env: there is no environment 'CartPoole-v1'; did you mean CartPole-v1"):
        pg.evaluate(agent, "CartPoole-v1")
    with pytest.raises(ValueError, match="^eval_episodes must be a whole number, 1 or above, got 0"):
        pg.train(agent, "CartPole-v1", eval_env="CartPole-v1", eval_episodes=0, **settings)
    with pytest.raises(ValueError, match="^env: its observation space is Discrete"):
        pg.train(agent, "pg/Chain-v0", **settings)
    for name, value in (("num_envs", 2), ("env_args", {})):
        with pytest.raises(ValueError, match=f"^{name}=.*: env is made already"):
            pg.train(agent, OneStep(), **{name: value}, **settings)
    assert not (tmp_path / "r").exists()


test_seeded_bugs = seeded(
    Bug("nothing stops a run", Run.stop, lambda self, reason: None, [test_a_probe_stops_a_run_which_ends_as_others_do]),
    Bug(
        "the last reason stands",
        Run.stop,
        lambda self, reason: setattr(self, "stopped", reason),
        [test_a_probe_stops_a_run_which_ends_as_others_do],
    ),
    Bug(
        "a stopped run has no last evaluation",
        Evaluations.__call__,
        lambda self, agent, steps, own=None, last=False, right=Evaluations.__call__: right(self, agent, steps, own),
        [test_a_probe_stops_a_run_which_ends_as_others_do],
    ),
    Bug(
        "what was made of an id stays open",
        environments.closing,
        lambda env, *_: nullcontext(env),
        [test_an_id_trains_as_its_environment_does],
    ),
    Bug(
        "groups share a seed in environments of an id",
        environments.open_env,
        with_arguments(environments.open_env, a_seed_each=lambda _: False),
        [test_groups_get_environments_that_take_a_seed_each],
        raises=ValueError,
    ),
)
