"""How fast do we learn from pictures, and in how much memory, beside Stable-Baselines3 and a loop without abstractions?

Eight synchronous Pongs of Atari, four frames of 84×84 bytes each, one thread; `pictures-collection` is the emulator
alone.
"""

from __future__ import annotations

from benchmarks.speed._sides.running import run
from benchmarks.speed._sides.showing import Comparison
from benchmarks.speed._sides.workload import PPO, THEIR_PPO, Side, Workload, cells_of

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]

EXTRAS = ("ale_py", "cv2")

PONG = {"env": "ale_py:ALE/Pong-v5", "num_envs": 8, "threads": 1}
# One thread for everybody: ALE's vector form would start one for each core.
FORMS = {
    "sync": {
        "kind": "sync",
        "env_args": {"frameskip": 1},  # AtariPreprocessing skips frames itself
        "wrappers": [["AtariPreprocessing", {}], ["FrameStackObservation", {"stack_size": 4}]],
    },
    "ALE's vector form": {"kind": "native", "env_args": {"num_threads": 1}},
}

OUR_SIDE = {
    "agent": "ppo",
    "arguments": PPO | {"clip": 0.1, "max_grad_norm": 0.5, "adam_epsilon": 1e-5, "normalize_over": "minibatch"},
}
THEIR_SIDE = {
    "algorithm": "PPO",
    "policy": "CnnPolicy",
    "arguments": THEIR_PPO
    | {"clip_range": 0.1, "max_grad_norm": 0.5, "vf_coef": 0.5},  # of a squared error; ours is of half of it
}

# 8 environments × 128 steps, 4 epochs of 4 minibatches of 256, one network of Mnih et al. (2015) for policy and critic.
PICTURES = Workload(
    "PPO on 8 synchronous Pongs, 4 frames of 84×84, 128 steps, 4 × 4 minibatches",
    PONG | {"total_steps": 4 * 1024},
    {
        "ours, ALE's vector form": Side("ours", FORMS["ALE's vector form"] | OUR_SIDE),
        "sb3": Side("sb3", FORMS["sync"] | THEIR_SIDE),
        "ours": Side("ours", FORMS["sync"] | OUR_SIDE),
        "floor": Side("floor-pictures", FORMS["sync"]),
    },
    at_least={"sb3": 1.5, "floor": 0.9, "ours, ALE's vector form": 0.0},
    memory_at_most={"sb3": 1.0},
)

PICTURES_COLLECTION = Workload(
    "The emulator alone: random actions in 8 Pongs, in ALE's vector form and in Gymnasium's synchronous one",
    PONG | {"total_steps": 4 * 1024},
    {"synchronous": Side("bare", FORMS["sync"]), "ALE's vector form": Side("bare", FORMS["ALE's vector form"])},
    at_least={"synchronous": 0.0},
    subject="ALE's vector form",
)

WORKLOADS = {"pictures": PICTURES, "pictures-collection": PICTURES_COLLECTION}

SEEDS = range(3)  # rounds
EXCLUSIVE = True
CELLS = cells_of(WORKLOADS)
COMPARISON = Comparison(WORKLOADS, "Learning from pictures: ours beside Stable-Baselines3")
table, numbers, plot = COMPARISON.table, COMPARISON.numbers, COMPARISON.plot
