"""Published objectives of language-model post-training, by name: arguments of the agents.

| name | advantage | aggregation | ratio | KL | J | J − 0.1 KL |
|---|---|---|---|---|---|---|
| GRPO | (R − mean) / std in the group | mean of a text's tokens, then of texts | clipped | k3-loss | 0.95 | 0.73 |
| GRPO without deviation | R − mean | as GRPO | clipped | – | 0.95 | 0.92 |
| Dr. GRPO | R − mean | sum over tokens / the longest text's | clipped | – | 1 | 0.94 |
| DAPO | as GRPO | mean over all tokens | clipped, higher above | – | 0.99 | 0.86 |
| RLOO | R − mean of the others | sum over tokens, mean over texts | – | reward | 1 | 1 |
| REINFORCE++ | return to go, standardised over the batch | as RLOO | – | reward | 0.99 | 0.96 |
| RLHF's PPO | GAE(0.95) of every token, γ = 1 | mean over all tokens | clipped | reward | 1.00 | 1.00 |

The last two columns are cosines with the exact gradient, means over 20 random policies that write up to three tokens,
in groups of three, with one update per rollout (`python -m benchmarks run objectives` has minima and scales too); for a
paper without KL, J − 0.1 KL has it in the reward. Only 1 is exact, for Dr. GRPO up to a factor: its mean contains the
text itself, which scales the scores' part, not the KL's, by (G − 1)/G. PPO's bias is that of its critic, here learned
from 64 texts.

The arguments reproduce each paper's loss, not its schedule, sizes or filters of prompts. In the first gradient step on
a batch the ratio is 1, and clipping has no effect. RLOO's paper subtracts the whole text's divergence from R; here a
token is charged for the divergence after it, which has the same expectation. REINFORCE++ clips the ratio too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pg_agents.agents.base import Agent
from pg_agents.agents.grpo import GRPO
from pg_agents.agents.ppo import PPO
from pg_agents.agents.reinforce import Reinforce
from pg_agents.agents.rloo import RLOO


@dataclass(frozen=True)
class Published:
    """A published objective.

    Attributes:
        agent: the agent's class.
        arguments: the arguments of its constructor.
        paper: the paper that published it.
        command: its name on the command line, distinct from the agents' names.
    """

    agent: type[Agent]
    arguments: dict[str, Any]
    paper: str
    command: str

    def make(self, **arguments: Any) -> Agent:  # noqa: ANN401
        """Return the agent; `arguments` are the networks, and options to change."""
        return self.agent(**self.arguments | arguments)

    def for_env(self, env: Any, **arguments: Any) -> Agent:  # noqa: ANN401
        """Return the agent with networks and defaults that suit the environment, or the model of policy="hf:PATH".

        Args:
            env: as in the agent's `for_env`.
            **arguments: arguments of `for_env`, and options to change.
        """
        return self.agent.for_env(env, **self.arguments | arguments)


PUBLISHED: dict[str, Published] = {
    "GRPO": Published(
        GRPO,
        {"advantage": "standardized", "aggregation": "sequence-mean", "kl_weight": 0.04, "kl_penalty": "k3-loss"},
        "Shao et al. (2024), DeepSeekMath",
        "deepseekmath",
    ),
    "GRPO without deviation": Published(
        GRPO,
        {"advantage": "centred", "aggregation": "sequence-mean"},
        "Liu et al. (2025), one of its two changes",
        "grpo-centred",
    ),
    "Dr. GRPO": Published(
        GRPO, {"advantage": "centred", "aggregation": "constant-length"}, "Liu et al. (2025)", "dr-grpo"
    ),
    "DAPO": Published(
        GRPO,
        {"advantage": "standardized", "aggregation": "token-mean", "clip": 0.2, "clip_high": 0.28},
        "Yu et al. (2025)",
        "dapo",
    ),
    "RLOO": Published(RLOO, {"kl_weight": 0.05, "kl_penalty": "reward"}, "Ahmadian et al. (2024)", "rloo-kl"),
    "REINFORCE++": Published(
        Reinforce,
        {"discount": 1.0, "normalize_advantages": True, "kl_weight": 0.01, "kl_penalty": "reward"},
        "Hu (2025)",
        "reinforce++",
    ),
    "RLHF's PPO": Published(
        PPO,
        {"discount": 1.0, "gae_lambda": 0.95, "kl_weight": 0.02, "kl_penalty": "reward"},
        "Ouyang et al. (2022), InstructGPT",
        "rlhf-ppo",
    ),
}
