"""Environments of the command line: wrapped, in processes, of packages that register ids; trained, evaluated, drawn."""

import json

import gymnasium as gym
import pytest
import torch

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.spaces import environments
from pg_agents.spaces.wrappers import Wrapper

pytestmark = pytest.mark.usefixtures("folder")
STACKED = ["CartPole-v1", "--wrapper", "FrameStackObservation:stack_size=3", "--wrapper", "FlattenObservation"]
SHORT = ["--total-steps", "32", "--num-envs", "2", "--run-dir", "r", "--quiet"]
ATARI = ["--wrapper", "AtariPreprocessing", "--wrapper", "FrameStackObservation:stack_size=4"]


def evaluated(capsys, *typed):
    capsys.readouterr()
    assert main(["evaluate", "r", "--episodes", "2", "--json", *typed]) == 0
    out, err = capsys.readouterr()
    assert "Overwriting" not in err  # a warning of Gymnasium's video recorder
    return json.loads(out)["mean_return"]


def config(folder):
    return json.loads((folder / "r" / "config.json").read_text())


def test_a_run_in_wrapped_environments_is_evaluated_and_drawn_in_them(capsys, folder):
    typed = ["--wrapper", "ClipReward:max_reward=0.5", "--eval-every", "16", "--eval-episodes", "1"]
    assert main(["train", "a2c", *STACKED, *typed, *SHORT]) == 0
    names = ["FrameStackObservation", "FlattenObservation", "ClipReward"]
    assert [entry["name"] for entry in config(folder)["wrappers"]] == names
    assert config(folder)["wrappers"][0] == {"name": "FrameStackObservation", "arguments": {"stack_size": 3}}
    rewards = evaluated(capsys)
    assert evaluated(capsys) == rewards > 3 and (4 * rewards).is_integer()  # halves: the mean of two episodes
    assert evaluated(capsys, "--video") > 3
    (folder / "r" / "config.json").write_text(json.dumps(config(folder) | {"wrappers": []}))
    capsys.readouterr()
    assert main(["evaluate", "r"]) == 2
    assert "another observation space" in capsys.readouterr().err


def test_environments_in_processes_are_trained_evaluated_and_drawn(capsys, folder, monkeypatch):
    made, make_env = [], environments.make_env

    def seen(*args, **how):
        made.append(make_env(*args, **how))
        return made[-1]

    monkeypatch.setattr(environments, "make_env", seen)
    assert main(["train", "a2c", *STACKED, "--async", *SHORT]) == 0
    assert [type(env.unwrapped) for env in made] == [gym.vector.AsyncVectorEnv] and made[0].closed
    assert config(folder)["env_args"] == {"vectorization_mode": "async"}
    assert evaluated(capsys) == evaluated(capsys, "--env-arg", "vectorization_mode=sync") > 1
    assert evaluated(capsys, "--video") > 1


def test_environments_of_a_module_run_in_processes(folder):
    assert main(["train", "a2c", "support.broken_envs:Broken-v0", "--async", *SHORT]) == 0


def test_a_game_needs_no_module_and_points_are_counted_where_that_is_asked_for(capsys, folder):
    """Rewards are clipped to −1 … 1 in training; the evaluations' arguments change that."""
    pytest.importorskip("ale_py")
    typed = ["--eval-every", "16", "--eval-episodes", "1", "--eval-env-arg", "reward_clipping=False"]
    limit = ["--env-arg", "max_num_frames_per_episode=80", "--num-steps", "8"]
    assert main(["train", "a2c", "ALE/Pong-v5", *limit, *typed, *SHORT]) == 0
    assert config(folder)["wrappers"] == [] and config(folder)["env"] == "ALE/Pong-v5"
    assert evaluated(capsys, "--env-arg", "reward_clipping=False") == evaluated(capsys)
    assert evaluated(capsys, "--video") == evaluated(capsys)  # one game at a time, from the same pictures
    assert len(list((folder / "r" / "videos").glob("*.mp4"))) == 2


def test_a_game_with_gymnasiums_preprocessing_is_drawn(capsys, folder):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    game = ["--env-arg", "frameskip=1", "--env-arg", "max_num_frames_per_episode=200", "--num-steps", "8"]
    assert main(["train", "a2c", "ALE/Pong-v5", *ATARI, *game, *SHORT]) == 0
    assert evaluated(capsys, "--video") == evaluated(capsys)


def test_minigrid_says_how_its_text_is_left_out(capsys, folder):
    pytest.importorskip("minigrid")
    assert main(["train", "ppo", "MiniGrid-Empty-5x5-v0", *SHORT]) == 2
    err = capsys.readouterr().err
    assert "'mission' (MissionSpace)" in err and err.count("\n") == 1 and "policy=" not in err
    typed = err.partition("(--wrapper ")[2].strip().rstrip(")").strip("'")
    assert typed == "FilterObservation:filter_keys=[direction,image]"
    assert main(["train", "a2c", "MiniGrid-Empty-5x5-v0", "--wrapper", typed, *SHORT]) == 0


@pytest.mark.parametrize("given", ["encoder", "policy"])
def test_networks_of_the_users_own_are_given_in_python(capsys, folder, given):
    env = gym.make_vec("CartPole-v1", 2)
    layer = torch.nn.Linear(4, 8)
    layer.size = 8
    agent = pg.Reinforce.for_env(env, encoder=layer)
    if given == "policy":
        agent = pg.Reinforce(policy=agent.policy)
    pg.train(agent, "CartPole-v1", num_envs=2, total_steps=16, run_dir="r", progress=False)
    assert main(["evaluate", "r"]) == 2
    assert f"in Python: pg_agents.evaluate(pg_agents.load('r/agent', {given}=…), …)" in capsys.readouterr().err


def test_minigrid_is_trained_without_its_text(capsys, folder):
    pytest.importorskip("minigrid")
    keys = ["--wrapper", "FilterObservation:filter_keys=[image,direction]", "--env-arg", "max_steps=8"]
    assert main(["train", "a2c", "MiniGrid-DoorKey-5x5-v0", *keys, *SHORT]) == 0
    assert Wrapper(**config(folder)["wrappers"][0]).arguments == {"filter_keys": ("image", "direction")}
    assert evaluated(capsys) >= 0


def test_tuned_games_are_stepped_in_processes_and_drawn_without_a_warning(capsys, folder):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    small = ["--num-steps", "8", "--minibatch-size", "8"]
    assert main(["train", "ppo", "ALE/Breakout-v5", "--tuned", "--async", *small, *SHORT]) == 0
    assert config(folder)["env_args"] == {"episodic_life": True, "vectorization_mode": "async"}
    assert evaluated(capsys, "--video", "--max-episode-steps", "20") >= 0
    assert len(list((folder / "r" / "videos").glob("*.mp4"))) == 2


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ["ALE/Breakout-v5", "--tuned", "--wrapper", "AtariPreprocessing"],
            "--wrapper: AtariPreprocessing does not go with the tuned settings of ALE/Breakout-v5",
        ),
        (["CartPole-v1", "--async", "--env-arg", "vectorization_mode=sync"], "--async: it is vectorization_mode=async"),
        ([*STACKED, "--env-arg", "wrappers=3"], "--env-arg: wrappers=3 is no argument of an environment"),
    ],
)
def test_options_of_which_one_would_be_dropped_are_one_sentence(capsys, folder, typed, said):
    assert main(["train", "ppo", *typed, *SHORT]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {said}") and err.count("\n") == 1 and out == "" and not (folder / "r").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["CartPole-v1", "--wrapper", "FrameStak"], "--wrapper: gymnasium.wrappers has no 'FrameStak'"),
        (["CartPole-v1", "--wrapper", "FlattenObservation:x=1"], "--wrapper: FlattenObservation takes no argument 'x'"),
        (["CartPole-v1", *ATARI], "--wrapper: AtariPreprocessing cannot be applied to CartPole-v1: it is for games"),
        (["CartPole-v1", "--wrapper", "RecordVideo:video_folder=x"], "--wrapper: RecordVideo cannot be used here"),
        (
            [*STACKED, "--env-arg", "vectorization_mode=vector_entry_point"],
            "ENV: 'CartPole-v1' cannot be made with vectorization_mode='vector_entry_point'",
        ),
    ],
)
@pytest.mark.parametrize("more", [[], ["--async"]])
def test_wrappers_that_cannot_be_used_are_one_sentence(capsys, folder, typed, said, more):
    if more and "--env-arg" in typed:
        pytest.skip("--async says how environments are stepped")
    assert main(["train", "a2c", *typed, *more, *SHORT]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {said}") and err.count("\n") == 1 and out == "" and not (folder / "r").exists()
