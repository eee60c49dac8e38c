"""Small runs of every agent, which write a checkpoint after every update."""

import shutil

import pg_agents as pg
from support.resumed import episodes_run, files, state_of, stopped_after

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
TOGETHER = (5, 2)  # seeds of learners
LENGTHS = {"pg/BernoulliBandit-v0": 1, "pg/Chain-v0": 100, "CartPole-v1": 25, "pg/Addition-v0": 3}  # of episodes


def cell(agent, task, **more):
    env, env_args, options = TASKS[task]
    return agent, env, env_args, {**options, **OPTIONS[agent], **more}


def named(cell):
    name, env, env_args, options = cell
    return "-".join([name, env, *env_args.values(), *(key for key in ("recurrent", "kl_weight") if key in options)])


def go(cell, run_dir, **more):
    """Train a new agent; return everything about it, and about its folder."""
    name, env, env_args, options = cell
    agent = pg.AGENTS[name].for_env(env, num_envs=4, env_args=env_args, seed=3, **options)
    of_an_update = 4 if name == "average-reward" else 4 * LENGTHS.get(env, 8) if name in EPISODES else 32
    total = UPDATES * of_an_update
    how = {"num_envs": 4, "env_args": env_args, "seed": 5, "progress": False, "total_steps": total}
    if name != "average-reward":  # its episodes never end
        how |= {"eval_env": env, "eval_every": total // 3, "eval_episodes": 2}
    how |= {"log_every": total // 4, "checkpoint_every": 1, "keep_checkpoints": 1000} | more
    pg.train(agent, env, run_dir=run_dir, **how)
    return state_of(agent) | files(run_dir)


def go_together(run_dir, total_steps=600, **more):
    """Train two learners as one batch; return everything about them, about their folders and the run's."""
    agent = pg.PPO.for_env("pg/CartPole-v1", num_envs=4, seeds=TOGETHER, hidden=(8,), target_kl=1e-5, **OPTIONS["ppo"])
    how = {"num_envs": 4, "progress": False, "checkpoint_every": 1, "keep_checkpoints": 1000, "log_every": 100}
    how |= {"eval_env": "pg/CartPole-v1", "eval_every": 200, "eval_episodes": 2} | more
    pg.train(agent, "pg/CartPole-v1", total_steps=total_steps, run_dir=run_dir, **how)
    return state_of(agent) | of_learners(run_dir)


def of_learners(run_dir):
    """Return all that the folder of a run of two learners says."""
    found = files(run_dir)
    for seed in TOGETHER:
        own = run_dir / f"seed-{seed}"
        agents = {name: pg.load(own / name).state_dict() for name in ("agent", "best") if (own / name).is_dir()}
        found |= {f"{seed}/{name}/{key}": value for name, state in agents.items() for key, value in state.items()}
        found |= {f"{seed}/{name}": value for name, value in files(own).items()}
    return found


CONTROL = cell("ppo", "cartpole-sync", normalize_rewards=True)


def resumed_at(cell, whole, place, cut):
    """Resume a copy of a run as it was after checkpoint number `cut`; return all about it, and the kind of cut."""
    stopped_after(whole, place, cut)
    kind = "in the middle of episodes" if episodes_run(place) else "between episodes"
    found = go(cell, place, resume=True)
    shutil.rmtree(place)
    return found, kind
