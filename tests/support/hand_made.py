"""Rollouts written by hand, gradients of agents' losses, and an episodic problem small enough to enumerate."""

from dataclasses import replace

import torch

from pg_agents.data.rollout import Rollout, TokenBlock
from pg_agents.data.tree import tree_map
from pg_agents.policies import TabularPolicy


def rollout(*columns, final=None, dtype=torch.float64):
    """Return the rollout whose columns are lists of (state, action, reward, end); end is "", "T", "X" or "TX".

    None stands for a row that is not valid; columns are padded with such rows. `final` maps (t, b) to the state that
    followed where an episode was truncated ("X") or the rollout stopped.
    """
    length = max(len(column) for column in columns)
    shape = (length, len(columns))
    fields = {"observations": torch.zeros(shape, dtype=torch.int64), "actions": torch.zeros(shape, dtype=torch.int64)}
    fields |= {"rewards": torch.zeros(shape, dtype=dtype), "times": torch.zeros(shape, dtype=torch.int64)}
    fields |= {
        name: torch.zeros(shape, dtype=torch.bool) for name in ("terminated", "truncated", "mask", "episode_starts")
    }
    for b, column in enumerate(columns):
        time = 0
        for t, row in enumerate(column):
            if row is None:
                continue
            state, action, reward, end = row
            flags = {
                "terminated": "T" in end,
                "truncated": "X" in end,
                "mask": True,
                "episode_starts": time == 0,
                "times": time,
            }
            row = {"observations": state, "actions": action, "rewards": reward} | flags
            for name, value in row.items():
                fields[name][t, b] = value
            time = 0 if end else time + 1
    final = final or {}
    return Rollout(
        **fields,
        log_probs=torch.zeros(shape, dtype=dtype),
        final_observations=torch.tensor(list(final.values()), dtype=torch.int64),
        final_rows=torch.tensor(list(final), dtype=torch.int64).reshape(-1, 2),
        episode_returns=torch.zeros(0, dtype=torch.float64),
        episode_lengths=torch.zeros(0, dtype=torch.int64),
    )


def column(record, b):
    """Return column b of a rollout as a rollout of its own."""
    return columns(record, b, b + 1)


def columns(record, first, end):
    """Return the columns first … end − 1 of a rollout as a rollout of its own."""
    mine = (record.final_rows[:, 1] >= first) & (record.final_rows[:, 1] < end)
    names = ("actions", "log_probs", "rewards", "terminated", "truncated", "mask", "episode_starts", "times")
    rows = record.final_rows[mine].clone()
    rows[:, 1] -= first
    return replace(
        record,
        **{name: getattr(record, name)[:, first:end] for name in names},
        observations=tree_map(lambda leaf: _columns(leaf, first, end), record.observations),
        memory=None if record.memory is None else tree_map(lambda leaf: leaf[first:end], record.memory),
        group_ids=None if record.group_ids is None else record.group_ids[first:end],
        final_observations=tree_map(lambda leaf: leaf[mine], record.final_observations),
        final_rows=rows,
    )


def _columns(leaf, first, end):
    if not isinstance(leaf, TokenBlock):
        return leaf[:, first:end]
    mask = None if leaf.mask is None else leaf.mask[:, first:end]
    return TokenBlock(leaf.tokens[first:end], leaf.lengths[:, first:end], mask)


def padded(record, rows):
    """Return the rollout with `rows` more rows that are not valid and hold nonsense."""
    _, envs = record.mask.shape

    def more(field, value):
        return torch.cat([field, torch.full((rows, *field.shape[1:]), value, dtype=field.dtype)])

    return replace(
        record,
        observations=more(record.observations, 1),
        actions=more(record.actions, 1),
        rewards=more(record.rewards, 0),
        log_probs=more(record.log_probs, 0),
        terminated=more(record.terminated, False),
        truncated=more(record.truncated, False),
        mask=more(record.mask, False),
        episode_starts=more(record.episode_starts, False),
        times=more(record.times, 0),
    )


@torch.no_grad()
def prepare(agent, record):
    """Return the batch and metrics of a rollout, without gradients as `Agent.update` makes them."""
    return agent.prepared(record)


def gradients(agent, record):
    """Return the gradient of the agent's loss on a rollout, by name of parameter."""
    batch, _ = prepare(agent, record)
    agent.zero_grad()
    agent(batch)[0].backward()
    return {name: one.grad.clone() for name, one in agent.named_parameters() if one.requires_grad}


LOGITS = torch.tensor([[[0.3, -0.2], [-0.5, 0.4]]], dtype=torch.float64)


def tabular(logits=LOGITS):
    """Return a tabular policy with these logits, [learners, S, A]."""
    policy = TabularPolicy(*logits.shape[1:], num_learners=len(logits)).double()
    policy.logits.data.copy_(logits)
    return policy


class Problem:
    """Two states, two actions, at most three steps: every trajectory can be listed, every expectation computed.

    P[s][a] gives the probabilities of going to state 0, to state 1 and of ending; R[s][a] the rewards of each. The
    third step ends the episode wherever it goes.
    """

    initial = (0.7, 0.3)
    transitions = (((0.5, 0.3, 0.2), (0.1, 0.6, 0.3)), ((0.4, 0.4, 0.2), (0.0, 0.5, 0.5)))
    rewards = (((1.0, -2.0, 0.5), (3.0, 0.3, -1.0)), ((0.0, 2.0, -0.7), (9.9, 1.1, 4.0)))
    horizon = 3

    def trajectories(self, policy, state=None, time=0):
        """Return all (rows, probability) from `state` at `time` under policy[s][a]."""
        if state is None:
            episode_starts = [(start, p) for start, p in enumerate(self.initial) if p]
            return [(rows, p * q) for start, p in episode_starts for rows, q in self.trajectories(policy, start)]
        found = []
        for action in range(2):
            for outcome, chance in enumerate(self.transitions[state][action]):
                probability = policy[state][action] * chance
                if chance == 0:
                    continue
                ends = outcome == 2 or time == self.horizon - 1
                row = (state, action, self.rewards[state][action][outcome], "T" if ends else "")
                rests = [([], 1.0)] if ends else self.trajectories(policy, outcome, time + 1)
                found += [([row, *rest], probability * q) for rest, q in rests]
        return found

    def expected_return(self, logits, discount):
        """Return J(θ) = E Σ_t γ^t R_{t+1}, differentiable in the logits [S, A], by dynamic programming."""
        policy = logits.softmax(-1)
        chances = torch.tensor(self.transitions, dtype=logits.dtype)
        rewards = (chances * torch.tensor(self.rewards, dtype=logits.dtype)).sum(-1)  # [S, A]
        values = torch.zeros(2, dtype=logits.dtype)
        for _ in range(self.horizon):
            values = (policy * (rewards + discount * chances[..., :2] @ values)).sum(-1)
        return (torch.tensor(self.initial, dtype=logits.dtype) * values).sum()


class Fork(Problem):
    """The same without chance: four trajectories, of one, two and three steps."""

    initial = (1.0, 0.0)
    transitions = (((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    rewards = (((0.0, 1.0, 0.0), (0.0, 0.0, 3.0)), ((0.5, 0.0, 0.0), (0.0, 0.0, -2.0)))


def exact_gradient(problem, discount):
    """Return ∇J in LOGITS, [S, A]."""
    logits = LOGITS[0].clone().requires_grad_()
    return torch.autograd.grad(problem.expected_return(logits, discount), logits)[0]
