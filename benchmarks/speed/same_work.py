"""How fast do we do the same work on one thread, beside other libraries and a loop without abstractions?

Every run is a process of its own, of the peers in theirs (`python -m benchmarks peers install`; PG_AGENTS_PEERS names
another folder). Sides take turns, a round for each seed, every second round backwards; a ratio is the median over
rounds of two runs of one round. How it is measured stands in benchmarks/speed/README.md. Two rows are not the same
work: in `cartpole-475` ours has 32 environments in vector form and the settings that ship for it, theirs 8 and its
zoo's; in `a2c` each has its defaults.
"""

from __future__ import annotations

from benchmarks.speed._sides.running import run
from benchmarks.speed._sides.showing import Comparison
from benchmarks.speed._sides.workload import PPO, THEIR_PPO, Side, Workload, cells_of

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]

# Stable-Baselines3 2.9.2's hyperparameters for CartPole-v1 in rl_zoo3 2.9.2 (hyperparams/ppo.yml), written as numbers.
ZOO = {
    "n_steps": 32,
    "batch_size": 256,
    "n_epochs": 20,
    "gamma": 0.98,
    "gae_lambda": 0.8,
    "ent_coef": 0.0,
    "learning_rate": ["linear", 1e-3, 0.0],
    "clip_range": ["linear", 0.2, 0.0],
}

CARTPOLE = {"env": "CartPole-v1", "num_envs": 8, "kind": "sync", "threads": 1}

CARTPOLE_475 = Workload(
    "CartPole-v1, seconds until 100 training episodes return 475 on average, each with settings of its own",
    {"env": "CartPole-v1", "stop_return": 475.0, "threads": 1},
    {
        "sb3": Side("sb3", {"algorithm": "PPO", "num_envs": 8, "total_steps": 100_000, "arguments": ZOO}),
        "ours": Side("ours", {"agent": "ppo", "kind": "native", "tuned": "CartPole-v1"}),
    },
    at_least={"sb3": 10.0},
    by_time=True,
)

# 8 environments × 128 steps, 4 epochs of 4 minibatches of 256, 64×64 tanh networks, Adam at 2.5e-4, values not clipped.
SAME_WORK = Workload(
    "PPO on 8 synchronous CartPoles, 128 steps, 4 × 4 minibatches",
    CARTPOLE | {"total_steps": 100 * 1024},
    {
        "sb3": Side(
            "sb3",
            {
                "algorithm": "PPO",
                "arguments": THEIR_PPO,
            },
        ),
        "cleanrl": Side(
            "cleanrl",
            {
                "script": "ppo",
                "arguments": {
                    "num-steps": 128,
                    "num-minibatches": 4,
                    "update-epochs": 4,
                    "clip-vloss": False,
                    "anneal-lr": False,
                },
            },
        ),
        "floor": Side("floor"),
        "ours": Side(
            "ours",
            {
                "agent": "ppo",
                "arguments": PPO,
            },
        ),
    },
    at_least={"sb3": 2.0, "cleanrl": 2.0, "floor": 0.8},
)

A2C = Workload(
    "A2C on 8 synchronous CartPoles, each with its defaults (16 steps an update, theirs 5)",
    CARTPOLE | {"total_steps": 80_000},
    {
        "sb3": Side("sb3", {"algorithm": "A2C", "arguments": {}}),
        "ours": Side("ours", {"agent": "a2c", "arguments": {}}),
    },
    at_least={"sb3": 2.0},
)

A2C_SAME_WORK = Workload(
    "A2C on 8 synchronous CartPoles, 5 steps, the whole return (λ = 1)",
    CARTPOLE | {"total_steps": 80_000},
    {
        "sb3": Side("sb3", {"algorithm": "A2C", "arguments": {}}),
        "ours": Side("ours", {"agent": "a2c", "arguments": {"num_steps": 5, "learning_rate": 7e-4, "gae_lambda": 1.0}}),
    },
    at_least={"sb3": 2.0},
)

HALFCHEETAH = Workload(
    "PPO on one HalfCheetah-v5, 2048 steps, 10 epochs, minibatches of 64",
    {"env": "HalfCheetah-v5", "num_envs": 1, "kind": "single", "threads": 1, "total_steps": 10 * 2048},
    {
        "sb3": Side("sb3", {"algorithm": "PPO", "arguments": {"n_steps": 2048, "batch_size": 64, "n_epochs": 10}}),
        "cleanrl": Side(
            "cleanrl",
            {
                "script": "ppo_continuous_action",
                "arguments": {
                    "num-steps": 2048,
                    "num-minibatches": 32,
                    "update-epochs": 10,
                    "clip-vloss": False,
                    "anneal-lr": False,
                },
            },
        ),
        "ours": Side("ours", {"agent": "ppo", "arguments": {"num_steps": 2048, "minibatch_size": 64, "epochs": 10}}),
    },
    at_least={"sb3": 2.0, "cleanrl": 0.0},
)

COLLECTION = Workload(
    "Collection with an MLP policy, 8 synchronous CartPoles",
    CARTPOLE | {"total_steps": 400_000},
    {"bare": Side("bare"), "ours": Side("collect", {"arguments": {"num_steps": 128}})},
    at_least={"bare": 0.35},
)

COLLECTION_NATIVE = Workload(
    "Collection with an MLP policy, 1,024 native vector CartPoles",
    CARTPOLE | {"num_envs": 1024, "kind": "native", "total_steps": 8_000_000},
    {"bare": Side("bare"), "ours": Side("collect", {"arguments": {"num_steps": 128}})},
    at_least={"bare": 0.0},
    steps_per_second=0.8e6,
)

WORKLOADS = {
    "cartpole-475": CARTPOLE_475,
    "same-work": SAME_WORK,
    "a2c": A2C,
    "a2c-same-work": A2C_SAME_WORK,
    "halfcheetah": HALFCHEETAH,
    "collection": COLLECTION,
    "collection-native": COLLECTION_NATIVE,
}

SEEDS = range(5)  # rounds
EXCLUSIVE = True
CELLS = cells_of(WORKLOADS)
COMPARISON = Comparison(WORKLOADS, "The same work: ours beside other libraries")
table, numbers, plot = COMPARISON.table, COMPARISON.numbers, COMPARISON.plot
