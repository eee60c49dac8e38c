"""A run that was stopped goes on with the bits of one that was not: everything it learns, draws and writes.

Each run writes a checkpoint after every update; for each cut its folder is copied as a process that was killed there
would have left it, with all that was written later still in its files, and resumed with new objects.
"""

import os
import random
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from support.resumed import differences, files, newest, state_of, stopped_after

import pg_agents as pg
from pg_agents.checkpoints.store import checkpoints_in
from pg_agents.cli import main
from pg_agents.training import resuming

TASKS = {  # id, arguments for its constructor, arguments of agents
    "bandit": ("pg/BernoulliBandit-v0", {}, {}),
    "chain": ("pg/Chain-v0", {}, {}),
    "tokens": ("pg/Addition-v0", {}, {}),
    "cartpole": ("CartPole-v1", {}, {"hidden": (8,)}),
    "cartpole-sync": ("CartPole-v1", {"vectorization_mode": "sync"}, {"hidden": (8,), "normalize_observations": True}),
}
EPISODES = ("reinforce", "reinforce-baseline", "grpo", "rloo")
OPTIONS = {
    "reinforce": {"normalize_rewards": True},
    "reinforce-baseline": {"baseline": "running-average"},
    "actor-critic": {"num_steps": 8, "learning_rate": "1e-2:0"},
    "a2c": {"num_steps": 8, "normalize_rewards": True},
    "ppo": {"num_steps": 8, "minibatch_size": 16, "epochs": 2, "learning_rate": "1e-2:0"},
    "grpo": {"group_size": 2, "minibatch_size": 16, "epochs": 2},
    "rloo": {"group_size": 2},
    "trpo": {"num_steps": 8, "minibatch_size": 16},
    "npg": {"num_steps": 8, "minibatch_size": 16, "fisher_fraction": 0.5},
    "average-reward": {},
}
UPDATES = 6
LENGTHS = {"pg/BernoulliBandit-v0": 1, "pg/Chain-v0": 100, "CartPole-v1": 25, "pg/Addition-v0": 3}  # of episodes


def cell(agent, task, **more):
    env, env_args, options = TASKS[task]
    return agent, env, env_args, {**options, **OPTIONS[agent], **more}


EVERY = [cell(agent, task) for agent in OPTIONS if agent != "average-reward" for task in TASKS]
OTHERS = {
    "average-reward": ("average-reward", "pg/TwoStateMDP-v0", {}, {}),
    "memory": ("ppo", "pg/Recall-v0", {}, {"recurrent": 4, **OPTIONS["ppo"]}),
    "reference": cell("ppo", "tokens", kl_weight=0.1),
    "pictures": ("ppo", "pg/Catch-v0", {}, {"hidden": (8,), **OPTIONS["ppo"]}),
}
FEW = [
    cell("reinforce", "chain"), cell("reinforce-baseline", "cartpole"), cell("actor-critic", "cartpole-sync"),
    cell("a2c", "cartpole"), cell("ppo", "cartpole-sync"), cell("grpo", "tokens"), cell("rloo", "tokens"),
    cell("trpo", "cartpole"), cell("npg", "bandit"), *OTHERS.values(),
]  # fmt: skip


def go(cell, run_dir, **more):
    """Train a new agent; return everything about it, and about its folder."""
    name, env, env_args, options = cell
    agent = pg.AGENTS[name].for_env(env, num_envs=4, env_args=env_args, seed=3, **options)
    of_an_update = 4 if name == "average-reward" else 4 * LENGTHS.get(env, 8) if name in EPISODES else 32
    total = UPDATES * of_an_update
    how = {"num_envs": 4, "env_args": env_args, "seed": 5, "progress": False, "total_steps": total}
    if name != "average-reward":  # its episodes never end
        how |= {"eval_env": env, "eval_every": total // 3, "eval_episodes": 2}
    how |= {"log_every": total // 4} | more
    pg.train(agent, env, run_dir=run_dir, checkpoint_every=1, keep_checkpoints=1000, **how)
    return state_of(agent) | files(run_dir)


def resumes_everywhere(cell, folder, cuts):
    whole = go(cell, folder / "whole")
    count = len(list(checkpoints_in(folder / "whole" / "checkpoints"))) - 1
    assert count >= 3
    for cut in sorted({round(count * cut) for cut in cuts}):
        again = go(cell, stopped_after(folder / "whole", folder / "again", cut), resume=True)
        assert differences(whole, again) == [], f"after update {cut} of {count}"
        shutil.rmtree(folder / "again")


def named(cell):
    name, env, env_args, options = cell
    return "-".join([name, env, *env_args.values(), *(key for key in ("recurrent", "kl_weight") if key in options)])


@pytest.mark.parametrize("cell", FEW, ids=named)
def test_every_agent_goes_on_with_the_same_bits(cell, tmp_path):
    resumes_everywhere(cell, tmp_path, [0.5])


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*EVERY, *OTHERS.values()], ids=named)
def test_every_agent_goes_on_with_the_same_bits_everywhere(cell, tmp_path):
    resumes_everywhere(cell, tmp_path, [0, 0.3, 0.6, 1])


# -- what is left out is missed ----------------------------------------------------------------------------------------
CONTROL = cell("ppo", "cartpole-sync", normalize_rewards=True)


def without(part):
    """Return a function that reads a run's newest checkpoint and leaves a part of it out."""
    read = resuming.newest_good

    def newest(folder):
        found, wrong = read(folder)
        agent, run = found.agent, found.run
        generator = torch.Generator().manual_seed(7).get_state().numpy()
        if part == "moments":
            agent = replace(agent, moments={name: value * 0 for name, value in agent.moments.items()})
        elif part == "minibatches":
            agent = replace(agent, rest=agent.rest | {"generator": generator})
        elif part == "observation scale":
            scales = {name: value * 0 for name, value in agent.networks.items() if name.endswith("moments.count")}
            agent = replace(agent, networks=agent.networks | scales)
        elif part == "running returns":
            agent = replace(
                agent, networks={n: v * (n != "reward_scale.accumulated") for n, v in agent.networks.items()}
            )
        elif part == "actions":
            actor = run["collector"]["actor"] | {"generator": generator}
            run = run | {"collector": run["collector"] | {"actor": actor}}
        elif part == "environment":
            run = run | {"collector": None}
        elif part == "episodes' returns":
            adapter = run["collector"]["adapter"]
            adapter = adapter | {"returns": adapter["returns"] * 0}
            run = run | {"collector": run["collector"] | {"adapter": adapter}}
        elif part in ("steps", "episodes"):
            run = run | {"progress": run["progress"] | {part: run["progress"][part] - 1}}
        elif part == "metrics":
            run = run | {"progress": run["progress"] | {"metrics": {}}}
        elif part == "newest episodes":
            run = run | {"progress": run["progress"] | {"recent": run["progress"]["recent"][:-1]}}
        elif part == "evaluations":
            run = run | {"evaluations": run["evaluations"] | {"due": 0}}
        elif part == "written":
            run = run | {"position": run["position"] | {"bytes": {name: 10**9 for name in run["position"]["bytes"]}}}
        return replace(found, agent=agent, run=run), wrong

    return newest


PARTS = (
    *("moments", "minibatches", "observation scale", "running returns", "actions", "environment", "episodes' returns"),
    *("steps", "episodes", "metrics", "newest episodes", "evaluations", "written"),
)


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control") / "whole"
    return folder, go(CONTROL, folder)


def test_nothing_is_missed_where_nothing_is_left_out(control, tmp_path):
    whole, found = control
    assert differences(found, go(CONTROL, stopped_after(whole, tmp_path / "again", 3), resume=True)) == []


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_a_checkpoint_is_missed(control, tmp_path, monkeypatch, part):
    whole, found = control
    place = stopped_after(whole, tmp_path / "again", 3)
    monkeypatch.setattr(resuming, "newest_good", without(part))
    assert differences(found, go(CONTROL, place, resume=True)) != []


# -- killed ------------------------------------------------------------------------------------------------------------
def killed_until_it_ends(cell, run_dir, kills):
    """Resume a run in new processes, of which `kills` are killed at random; return the exit code of the last one."""
    chance = random.Random(0)
    started = time.monotonic()
    go(cell, run_dir.with_name("timed"))
    longest = time.monotonic() - started
    for attempt in range(kills + 1):
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                go(cell, run_dir, resume=True)
                os._exit(0)
            os._exit(1)
        if attempt < kills:
            time.sleep(chance.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status)


def kills_change_nothing(folder, kills):
    whole = go(CONTROL, folder / "whole")
    assert killed_until_it_ends(CONTROL, folder / "killed", kills) == 0
    assert differences(newest(folder / "whole"), newest(folder / "killed")) == []
    assert differences({name: whole[name] for name in ("rows", "points", "summary")}, files(folder / "killed")) == []


def test_a_run_that_is_killed_three_times_is_the_run_that_was_not(tmp_path):
    kills_change_nothing(tmp_path, 3)


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_is_the_run_that_was_not(tmp_path):
    kills_change_nothing(tmp_path, 20)


LINES = {
    "episodes in between": "ppo CartPole-v1 --num-steps 16 --minibatch-size 32 --hidden 8 --total-steps 2500",
    "memory": "ppo pg/Recall-v0 --num-steps 16 --minibatch-size 32 --recurrent 4 --total-steps 3000",
    "texts": "rloo pg/Addition-v0 --kl-weight 0.1 --total-steps 1500",
    "wrappers": "a2c CartPole-v1 --wrapper FrameStackObservation:stack_size=2 --hidden 8 --total-steps 3000",
}


def another_process_goes_on(line, folder, start):
    """Kill a run that was typed once it has a few checkpoints, and resume it by the command line."""
    typed = ["train", *line.split(), "--num-envs", "4", "--checkpoint-every", "200", "--eval-every", "500", "--quiet"]
    assert main([*typed, "--run-dir", str(folder / "whole")]) == 0
    process = start(*typed, "--run-dir", str(folder / "killed"))
    while not any(path.name > "step-000000000500" for path in checkpoints_in(folder / "killed" / "checkpoints")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (folder / "killed" / "summary.json").exists()
    assert main(["resume", str(folder / "killed"), "--quiet"]) == 0
    assert differences(newest(folder / "whole"), newest(folder / "killed")) == []
    assert differences(files(folder / "whole"), files(folder / "killed")) == []


def test_another_process_goes_on_with_the_same_bits(tmp_path, start):
    another_process_goes_on(LINES["episodes in between"], tmp_path, start)


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_another_process_goes_on_with_the_same_bits_whatever_it_learns(line, tmp_path, start):
    another_process_goes_on(line, tmp_path, start)
