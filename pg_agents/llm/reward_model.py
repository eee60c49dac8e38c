"""Reward models trained on preferences between pairs of texts, which score texts for an environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from pg_agents.checks import whole_number
from pg_agents.data.devices import on_device
from pg_agents.data.rollout import Rollout, TokenBlock
from pg_agents.functional.losses import preference_loss
from pg_agents.policies import Critic
from pg_agents.seeding import Purpose, spawn

Texts = dict[str, Tensor]  # {"tokens": [N, W], "length": [N]}


@dataclass(frozen=True)
class Preferences:
    """N pairs of texts that answer the same prompt, and which of the two was preferred.

    Attributes:
        preferred: {"tokens": int64 [N, W], "length": int64 [N]}, prompts with their completions.
        other: the texts that were not preferred, in the same form.

    Raises:
        ValueError: the sides have different numbers of texts, or a length is not within the window.
    """

    preferred: Texts
    other: Texts

    def __post_init__(self) -> None:
        counts = {len(side[name]) for side in (self.preferred, self.other) for name in ("tokens", "length")}
        if len(counts) > 1:
            raise ValueError(f"preferred, other: they must hold the same number of texts, got {sorted(counts)}")
        for name, side in (("preferred", self.preferred), ("other", self.other)):
            if ((side["length"] < 1) | (side["length"] > side["tokens"].shape[1])).any():
                raise ValueError(f"{name}: lengths must be from 1 to the window's, {side['tokens'].shape[1]}")

    def __len__(self) -> int:
        return len(self.preferred["length"])

    def part(self, rows: Tensor) -> Self:
        """Return the pairs `rows`, int64 [n]."""
        sides = ({name: leaf[rows] for name, leaf in side.items()} for side in (self.preferred, self.other))
        return type(self)(*sides)


def whole_texts(rollout: Rollout) -> Texts:
    """Return the prompts and completions of a rollout of token episodes, the last token included."""
    block = rollout.observations
    if not isinstance(block, TokenBlock):
        raise ValueError("rollout must be of whole token episodes; collect it with collect_episodes")
    prompt, steps = block.lengths[0], rollout.mask.sum(0)
    rows = torch.arange(len(prompt), device=prompt.device)
    tokens = torch.cat([block.tokens, torch.zeros_like(block.tokens[:, :1])], 1)
    length = prompt + steps
    tokens[rows, length - 1] = rollout.actions[steps - 1, rows]
    position = torch.arange(tokens.shape[1], device=tokens.device)
    return {"tokens": tokens * (position < length[:, None]), "length": length}


def simulated_preferences(rollout: Rollout, generator: torch.Generator | None = None) -> Preferences:
    """Return preferences of a simulated person whose utility u is the episodes' score; rows 2i and 2i + 1 are a pair.

        P(y preferred to y′) = σ(u(x, y) − u(x, y′))

    Args:
        rollout: token episodes in groups of two that share a prompt.
        generator: the random numbers of the choices; None: torch's default generator.

    Reference: Bradley & Terry (1952).
    """
    utility = (rollout.rewards * rollout.mask).sum(0)
    if len(utility) % 2 or (
        rollout.group_ids is not None and (rollout.group_ids[::2] != rollout.group_ids[1::2]).any()
    ):
        raise ValueError("rollout must hold pairs of episodes of the same prompt; give its environment group_size=2")
    chance = torch.sigmoid(utility[::2] - utility[1::2])
    first = torch.rand(chance.shape, generator=generator, device=chance.device) < chance
    even = torch.arange(0, len(utility), 2, device=utility.device)
    texts = whole_texts(rollout)
    preferred = even + (~first).long()
    sides = ({name: leaf[rows] for name, leaf in texts.items()} for rows in (preferred, 2 * even + 1 - preferred))
    return Preferences(*sides)


class RewardModel(nn.Module):
    """r_φ(x, y), the reward of a completion: σ(r_φ(x, y) − r_φ(x, y′)) is the probability that y is preferred to y′.

    Preferences do not determine a constant added to all rewards; `fit` chooses it so that the mean reward of its texts
    is 0.

    Args:
        network: maps texts {"tokens": [N, W], "length": [N]} to values [N], like `TransformerCritic` and
            `HuggingFaceCritic`.

    Reference: Christiano et al. (2017); Ouyang et al. (2022).
    """

    mean: Tensor

    def __init__(self, network: Critic) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, texts: Texts) -> Tensor:
        """Return the rewards, [N]."""
        return self.network(texts) - self.mean

    @torch.no_grad()
    def scores(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], _: object = None
    ) -> list[float]:
        """Return the rewards of completions, in the form of a token environment's `score_batch`."""
        texts = [[*prompt, *completion] for prompt, completion in zip(prompts, completions, strict=True)]
        length = torch.tensor([len(text) for text in texts])
        tokens = torch.zeros(len(texts), int(length.max()), dtype=torch.int64)
        for row, text in zip(tokens, texts, strict=True):
            row[: len(text)] = torch.tensor(text)
        return self(on_device({"tokens": tokens, "length": length}, self.mean.device)).tolist()

    @torch.no_grad()
    def accuracy(self, preferences: Preferences) -> float:
        """Return the share of pairs whose preferred text has the higher reward."""
        return float((self(preferences.preferred) > self(preferences.other)).float().mean())

    def fit(
        self,
        preferences: Preferences,
        *,
        epochs: int = 5,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> list[float]:
        """Minimise −ln σ(r(x, y⁺) − r(x, y⁻)) over the pairs with Adam; return the mean loss of each epoch.

        Args:
            preferences: the pairs.
            epochs: the number of passes over them.
            batch_size: the number of pairs in a step.
            learning_rate: Adam's initial learning rate, which falls linearly to 0; 1e-5 suits a pretrained model.
            seed: the seed of the order of pairs.

        Raises:
            ValueError: there are no pairs, or an argument is below 1.
        """
        epochs, batch_size = whole_number("epochs", epochs, 1), whole_number("batch_size", batch_size, 1)
        if not len(preferences):
            raise ValueError("preferences must hold at least one pair, got none")
        generator = torch.Generator().manual_seed(spawn(seed, Purpose.PREFERENCES))
        optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate)
        steps = epochs * -(-len(preferences) // batch_size)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
        means = []
        for _ in range(epochs):
            losses = []
            for rows in torch.randperm(len(preferences), generator=generator).split(batch_size):
                pairs = preferences.part(rows.to(self.mean.device))
                loss = preference_loss(self(pairs.preferred), self(pairs.other)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(float(loss.detach()) * len(pairs))
            means.append(sum(losses) / len(preferences))
        with torch.no_grad():
            self.mean += torch.cat([self(preferences.preferred), self(preferences.other)]).mean()
        return means
