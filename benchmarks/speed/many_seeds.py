"""How fast do many learners as one batch learn, beside single runs, peers and loops without abstractions?

Every process has one thread. Steps are those of each seed; sides that do not stack learners run two seeds, one after
the other or in each of two processes, and are compared by the step.
"""

from __future__ import annotations

from benchmarks.speed._sides.running import run
from benchmarks.speed._sides.showing import Comparison
from benchmarks.speed._sides.workload import PPO, THEIR_PPO, Side, Workload, cells_of

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]

# Ours and the loop's have a generator a row; the peers have their own form of the same equations.
CARTPOLE = {"env": "pg/CartPole-v1", "num_envs": 8, "kind": "native", "threads": 1}
GYMNASIUM = {"env": "CartPole-v1"}

# As the peers do it: Adam's ε, and advantages standardised in each minibatch.
OURS = {"agent": "ppo", "arguments": PPO | {"adam_epsilon": 1e-5, "normalize_over": "minibatch"}}
REJAX = {
    "num_envs": 8,
    "num_steps": 128,
    "num_minibatches": 4,
    "num_epochs": 4,
    "learning_rate": 2.5e-4,
    "ent_coef": 0.01,
    "vf_coef": 0.5,
    "clip_eps": 0.2,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "max_grad_norm": 0.5,
    "agent_kwargs": {"activation": "tanh"},
}
LEARNERS = 16

# Steps are those of each seed. Sides that do not stack them run two seeds: they are compared by the step.
MANY_SEEDS = Workload(
    f"PPO, {LEARNERS} seeds, each on 8 CartPoles, 128 steps, 4 × 4 minibatches",
    CARTPOLE | {"total_steps": 100_000, "learners": LEARNERS},
    {
        "ours, in turn": Side("ours-in-turn", OURS | {"learners": 2}),
        "ours, two processes": Side("ours-in-turn", OURS | {"learners": 2, "processes": 2}),
        "sb3, two processes": Side("sb3", GYMNASIUM | {"algorithm": "PPO", "arguments": THEIR_PPO, "processes": 2}),
        "rejax": Side("rejax", GYMNASIUM | {"arguments": REJAX, "compiled": False}),
        "rejax, compiled": Side("rejax", GYMNASIUM | {"arguments": REJAX, "compiled": True}),
        "floor": Side("floor-learners", {"method": "ppo"}),
        "ours": Side("ours-learners", OURS),
    },
    at_least={
        "ours, in turn": 4.0,
        "ours, two processes": 2.0,
        "sb3, two processes": 4.0,
        "rejax": 0.0,
        "rejax, compiled": 0.0,
        "floor": 0.75,
    },
)

TD = {"agent": "actor-critic", "arguments": {"learning_rate": 3e-4, "critic_learning_rate": None}}

MANY_SEEDS_TD = Workload(
    "Actor-critic, one-step TD, 32 seeds, each on 16 CartPoles",
    CARTPOLE | {"num_envs": 16, "total_steps": 50_000, "learners": 32},
    {
        "ours, in turn": Side("ours-in-turn", TD | {"learners": 2}),
        "floor": Side("floor-learners", {"method": "td"}),
        "ours": Side("ours-learners", TD),
    },
    at_least={"ours, in turn": 18.0, "floor": 0.65},
)

WORKLOADS = {"many-seeds": MANY_SEEDS, "many-seeds-td": MANY_SEEDS_TD}

SEEDS = range(3)  # rounds
EXCLUSIVE = True
CELLS = cells_of(WORKLOADS)
COMPARISON = Comparison(WORKLOADS, "Many learners as one batch, beside single runs and peers")
table, numbers, plot = COMPARISON.table, COMPARISON.numbers, COMPARISON.plot
