"""The comparisons: a peer's algorithm and our agent, with arguments that should give the same updates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.correctness._parity.tasks import MAX_NEW_TOKENS

UPDATES = 3  # rollouts that are collected and learned from
STEPS = 64  # of each environment in a rollout
DIMENSIONS = 3  # of the task "box"
Kind = Literal["same", "differs", "control"]
Arguments = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A row of the table.

    Attributes:
        name: the cell's name in the table.
        peer: "Stable-Baselines3", "sb3-contrib" or "TRL".
        algorithm: the peer's class.
        agent: our agent's name.
        task: "discrete", "box" or "texts" (`tasks`).
        theirs: the peer's arguments.
        ours: our agent's arguments.
        kind: "same": the sides should agree; "differs": no arguments make them agree; "control": one argument differs
            between the sides, which the table should notice.
        cause: why the sides differ.
    """

    name: str
    peer: str
    algorithm: str
    agent: str
    task: str
    theirs: Arguments = field(default_factory=dict)
    ours: Arguments = field(default_factory=dict)
    kind: Kind = "same"
    cause: str = ""


def ppo(name: str, theirs: Arguments, ours: Arguments, task: str = "discrete", **more: Any) -> Cell:  # noqa: ANN401
    """Return a cell of PPO in minibatches of 64, its arguments the peer's defaults unless they are given."""
    common = {"learning_rate": 1e-3}
    given = common | {"batch_size": 64, "n_epochs": 3, "ent_coef": 0.01}
    alike = {"num_steps": STEPS, "minibatch_size": 64, "epochs": 3, "entropy_weight": 0.01}
    conventions = {"adam_epsilon": 1e-5, "normalize_over": "minibatch"}
    mine = common | alike | conventions | ours
    return Cell(name, "Stable-Baselines3", "PPO", "ppo", task, given | theirs, mine, **more)


def a2c(name: str, theirs: Arguments, ours: Arguments, task: str = "discrete", **more: Any) -> Cell:  # noqa: ANN401
    """Return a cell of A2C, its arguments the peer's defaults unless they are given."""
    mine = {"num_steps": STEPS, "learning_rate": 7e-4, "gae_lambda": 1.0} | ours
    return Cell(name, "Stable-Baselines3", "A2C", "a2c", task, theirs, mine, **more)


def trpo(name: str, theirs: Arguments, ours: Arguments, task: str = "discrete", **more: Any) -> Cell:  # noqa: ANN401
    """Return a cell of TRPO, its arguments the peer's defaults unless they are given.

    The peer's critic goes down (V − G)², of which ours, ½ (V − G)², has half the gradient: Adam's steps are the same
    with half the ε.
    """
    given = {"batch_size": 64, "n_critic_updates": 3, "normalize_advantage": False}
    alike = {"num_steps": STEPS, "minibatch_size": 64, "epochs": 3, "cg_iterations": 15}
    conventions = {"adam_epsilon": 0.5e-5, "normalize_advantages": False}
    return Cell(name, "sb3-contrib", "TRPO", "trpo", task, given | theirs, alike | conventions | ours, **more)


def grpo(name: str, theirs: Arguments, ours: Arguments, **more: Any) -> Cell:  # noqa: ANN401
    """Return a cell of GRPO on 4 prompts with 4 texts each, in steps large enough for the ratio to be clipped."""
    common = {"learning_rate": 0.01, "max_grad_norm": 1.0, "adam_epsilon": 1e-5}
    given = common | {"num_generations": 4, "num_iterations": 3, "max_completion_length": MAX_NEW_TOKENS}
    alike = common | {"rows": 16, "group_size": 4, "epochs": 3, "minibatch_size": None}
    return Cell(name, "TRL", "GRPO", "grpo", "texts", given | {"loss_type": "grpo"} | theirs, alike | ours, **more)


def rloo(name: str, theirs: Arguments, ours: Arguments, **more: Any) -> Cell:  # noqa: ANN401
    """Return a cell of RLOO on 4 prompts with 4 texts each, one step a rollout."""
    common = {"learning_rate": 0.01, "max_grad_norm": 1.0, "adam_epsilon": 1e-5}
    given = common | {"num_generations": 4, "beta": 0.0, "max_completion_length": MAX_NEW_TOKENS}
    mine = common | {"rows": 16, "group_size": 4} | ours
    return Cell(name, "TRL", "RLOO", "rloo", "texts", given | theirs, mine, **more)


PLAIN = {"normalize_advantage": False, "max_grad_norm": 1e9}, {"normalize_advantages": False, "max_grad_norm": None}
WHOLE = {"batch_size": 256}, {"minibatch_size": 256}
AVERAGED = {"max_kl": 0.01 * DIMENSIONS, "damping": 0.1 * DIMENSIONS}  # the peer's KL is the mean over dimensions
DAPO = {"loss_type": "dapo", "epsilon_high": 0.28}, {"aggregation": "token-mean", "clip_high": 0.28}
KL = {"beta": 0.1, "use_bias_correction_kl": False}, {"kl_weight": 0.1, "kl_penalty": "k3-loss"}
DR = (
    {"loss_type": "dr_grpo", "scale_rewards": "none"},
    {"advantage": "centred", "aggregation": "constant-length", "max_episode_steps": MAX_NEW_TOKENS},
)
HALVES = (
    {"num_iterations": 1, "steps_per_generation": 2},
    {"epochs": 1, "minibatch_size": 48},
)  # of at most 96 decisions

SAME = [
    ppo("PPO, Discrete", {}, {}),
    ppo("PPO, Box", {}, {}, "box"),
    ppo("PPO, Discrete, the whole rollout in each step", *WHOLE),
    ppo("PPO, Box, advantages as they are, gradients of any length", *PLAIN, "box"),
    ppo("PPO, Discrete, ended by target_kl", {"target_kl": 5e-4}, {"target_kl": 5e-4}),
    a2c("A2C, Discrete", {}, {}),
    a2c(
        "A2C, Box, λ = 0.9, entropy",
        {"gae_lambda": 0.9, "ent_coef": 0.01},
        {"gae_lambda": 0.9, "entropy_weight": 0.01},
        "box",
    ),
    trpo("TRPO, Discrete", {}, {}),
    trpo("TRPO, Box: δ and damping times the 3 dimensions", {}, AVERAGED, "box"),
    grpo("GRPO", {}, {}),
    grpo("GRPO, KL in the loss", *KL),
    grpo("GRPO, two minibatches", *HALVES),
    grpo("GRPO, scores standardised over the batch", {"scale_rewards": "batch"}, {"advantage": "batch-standardized"}),
    grpo("Dr. GRPO", *DR),
    grpo("Dr. GRPO, KL in the loss", DR[0] | KL[0], DR[1] | KL[1]),
    grpo("DAPO", *DAPO),
    grpo("DAPO, two minibatches", DAPO[0] | HALVES[0], DAPO[1] | HALVES[1]),
    grpo(
        "DAPO, KL in the loss, entropy",
        DAPO[0] | KL[0] | {"entropy_coef": 0.02},
        DAPO[1] | KL[1] | {"entropy_weight": 0.02},
    ),
    rloo("RLOO", {}, {}),
]

DIFFERS = [
    ppo(
        "PPO, values clipped",
        {"clip_range_vf": 0.2},
        {},
        kind="differs",
        cause="clip_range_vf bounds how far a step's value may move from the old one; ours has no such argument",
    ),
    a2c(
        "A2C, advantages standardised",
        {"normalize_advantage": True},
        {"normalize_advantages": True},
        kind="differs",
        cause="the deviation is over n − 1 there and over n here (PPO has normalize_over, A2C has not)",
    ),
    trpo(
        "TRPO, advantages standardised",
        {"normalize_advantage": True},
        {"normalize_advantages": True},
        kind="differs",
        cause="n − 1 there and n here: gradients differ by √(n/(n − 1)), the step of a given divergence does not",
    ),
    grpo(
        "GRPO, KL in the loss, times the ratio",
        {"beta": 0.1},
        KL[1],
        kind="differs",
        cause="TRL multiplies k3 by ρ, which is differentiated too, unless use_bias_correction_kl=False; ours does not",
    ),
    grpo(
        "GRPO, entropy",
        {"entropy_coef": 0.02},
        {"entropy_weight": 0.02},
        kind="differs",
        cause="TRL's entropy is a mean over all tokens; ours is put together as the loss is, here text by text",
    ),
    rloo(
        "RLOO, KL in the reward",
        {"beta": 0.1},
        {"kl_weight": 0.1},
        kind="differs",
        cause="TRL takes a text's whole KL off its score; ours takes off each token what follows it: one expectation",
    ),
]

CONTROLS = [
    ppo("PPO: γ = 0.98 there", {"gamma": 0.98}, {}, kind="control"),
    ppo("PPO: entropy with the other sign there", {"ent_coef": -0.01}, {}, kind="control"),
    ppo("PPO: deviation over n here", WHOLE[0], WHOLE[1] | {"normalize_over": "rollout"}, kind="control"),
    ppo("PPO: standardised over the rollout here", {}, {"normalize_over": "rollout"}, "box", kind="control"),
    ppo("PPO: Adam's ε 1e-8 here", {}, {"adam_epsilon": 1e-8}, kind="control"),
    a2c("A2C: γ = 0.98 there", {"gamma": 0.98}, {}, kind="control"),
    trpo("TRPO, Discrete: γ = 0.98 there", {"gamma": 0.98}, {}, kind="control"),
    trpo("TRPO, Box: δ and damping as they are there", {}, {}, "box", kind="control"),
    grpo("GRPO: scores with the other sign there", {"reward_weights": [-1.0]}, {}, kind="control"),
    grpo("GRPO: γ = 0.99 here", {}, {"discount": 0.99}, kind="control"),
    grpo("DAPO: clip_high 0.2 here", DAPO[0], DAPO[1] | {"clip_high": 0.2}, kind="control"),
    rloo("RLOO: scores with the other sign there", {"reward_weights": [-1.0]}, {}, kind="control"),
]

CELLS = [*SAME, *DIFFERS, *CONTROLS]
