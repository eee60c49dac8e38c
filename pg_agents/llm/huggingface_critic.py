"""A critic on the hidden states of a language model."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from pg_agents.data.tree import Tree
from pg_agents.llm.hidden_states import decision_states, turn_off_dropout
from pg_agents.llm.precision import compute_again, computed_kept
from pg_agents.policies.policy import Critic, Memory


class HuggingFaceCritic(Critic):
    """V_ψ(s) of a window of tokens: a linear function of the hidden states of a language model.

    The critic trains a copy of the model's trunk: its gradients never change the policy, and values are more than a
    linear function of the policy's features. Freezing `trunk` saves memory and time; values are then linear in the
    features before training.

    Args:
        model: any causal language model of transformers; its trunk is copied.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.trunk = copy.deepcopy(model.get_decoder())
        turn_off_dropout(self.trunk)
        compute_again(self.trunk)
        parameter = next(self.trunk.parameters())
        self.head = nn.Linear(model.get_output_embeddings().in_features, 1).to(parameter)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:  # noqa: ANN401 - every move and cast of a module
        with computed_kept(self):
            return super()._apply(fn, recurse)

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values, 0 where no decision was taken; see `decision_states` for the forms of observations."""
        hidden, where = decision_states(self.trunk, observations)
        values = self.head(hidden).squeeze(-1)
        spread = values.new_zeros(where.shape)
        spread[where] = values
        return spread
