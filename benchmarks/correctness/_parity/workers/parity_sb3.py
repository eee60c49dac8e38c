"""Stable-Baselines3 or sb3-contrib learns from recorded rollouts, in the peers' own Python.

`model.learn` is the peer's own, from the rollout buffer to the last gradient step. What it would draw is replaced by
what was recorded: the environment gives the recorded observations and rewards, the policy takes the recorded actions,
minibatches come in the recorded orders. TRPO's conjugate gradients begin at 0, as ours do, instead of at small noise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import gymnasium as gym
import numpy as np
import sb3_contrib  # type: ignore[import-not-found]
import stable_baselines3  # type: ignore[import-not-found]
import torch
from stable_baselines3.common.buffers import RolloutBuffer  # type: ignore[import-not-found]
from stable_baselines3.common.callbacks import BaseCallback  # type: ignore[import-not-found]
from stable_baselines3.common.vec_env import DummyVecEnv  # type: ignore[import-not-found]

Arrays = dict[str, Any]


class Recorded(gym.Env[Any, Any]):
    """One column of the record, whatever is done in it; what follows a termination is NaN, as nobody should look."""

    def __init__(self, record: Arrays, column: int) -> None:
        self.record = {name: record[name][:, column] for name in ("observations", "rewards", "final")}
        self.ends = record["terminated"][:, column], record["truncated"][:, column]
        size, actions = record["observations"].shape[2:], record["actions"]
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, size, record["observations"].dtype)
        continuous = actions.dtype.kind == "f"
        count = record["initial/action_net.bias"].shape[0]
        self.action_space = gym.spaces.Box(-1, 1, actions.shape[2:]) if continuous else gym.spaces.Discrete(count)
        self.row = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return the observation of the present row."""
        return self.record["observations"][min(self.row, len(self.ends[0]) - 1)], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Go on to the next row."""
        row, self.row = self.row, self.row + 1
        terminated, truncated = (bool(ends[row]) for ends in self.ends)
        over = terminated or truncated or self.row == len(self.ends[0])
        after = self.record["final"][row] if over else self.record["observations"][self.row]
        return after, float(self.record["rewards"][row]), terminated, truncated, {}


class InOrder(RolloutBuffer):
    """A rollout buffer whose minibatches come in the recorded orders."""

    orders: Iterator[Any] = iter(())

    def get(self, batch_size: int | None = None) -> Iterator[Any]:
        """Yield minibatches; the whole rollout in its own order."""
        rows = np.arange(self.buffer_size * self.n_envs)
        if batch_size is not None:
            recorded = next(self.orders)  # row t · B + b there is row b · T + t here
            rows = recorded % self.n_envs * self.buffer_size + recorded // self.n_envs
        with mock.patch("numpy.random.permutation", return_value=rows):
            yield from super().get(batch_size)


class Watch(BaseCallback):
    """Writes down advantages, and gradients as the optimizer sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[Any]] = {}

    def add(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Append a copy of an array."""
        self.seen.setdefault(name, []).append(np.array(value))

    def _init_callback(self) -> None:
        named = dict(self.model.policy.named_parameters())
        surrogate = getattr(self.model, "_compute_actor_grad", None)

        def note(*_: Any) -> None:  # noqa: ANN401
            for name, parameter in named.items():
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                self.add(f"gradients/{name}", gradient)

        def watched(*arguments: Any) -> Any:  # noqa: ANN401
            found = surrogate(*arguments)
            parts = found[1].split([parameter.numel() for parameter in found[0]])
            slopes = {id(parameter): part.view_as(parameter) for parameter, part in zip(found[0], parts, strict=True)}
            for name, parameter in named.items():
                slope = slopes.get(id(parameter), torch.zeros_like(parameter))
                self.add(f"gradients/{name}", slope.detach())
            return found

        if surrogate is None:
            self.model.policy.optimizer.register_step_pre_hook(note)
        else:  # TRPO, whose policy no optimizer moves
            self.model._compute_actor_grad = watched

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.add("advantages", self.model.rollout_buffer.advantages)


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Learn from the record, write the results to `settings["result"]`, and return the versions."""
    torch.set_num_threads(settings["threads"])
    with np.load(settings["record"], allow_pickle=False) as file:
        record = dict(file)
    columns = record["rewards"].shape[1]
    env = DummyVecEnv([lambda column=column: Recorded(record, column) for column in range(columns)])
    InOrder.orders = iter(record["orders"])
    algorithm = getattr(stable_baselines3, settings["algorithm"], None) or getattr(sb3_contrib, settings["algorithm"])
    steps = len(record["rewards"]) // settings["updates"]
    given = {"n_steps": steps, "rollout_buffer_class": InOrder, "device": "cpu"}
    model = algorithm("MlpPolicy", env, **given, **settings["arguments"])
    model.policy.load_state_dict({name[8:]: torch.as_tensor(record[name]) for name in record if name[:8] == "initial/"})
    actions = iter(record["actions"])

    def act(observations: Any, deterministic: bool = False) -> Any:  # noqa: ANN401
        taken = torch.as_tensor(next(actions))
        values, log_probs, _ = model.policy.evaluate_actions(observations, taken)
        return taken, values, log_probs

    model.policy.forward = act
    watch = Watch()
    with mock.patch("torch.randn_like", torch.zeros_like):  # where TRPO's conjugate gradients begin
        model.learn(len(record["rewards"]) * columns, callback=watch)
    weights = {f"weights/{name}": value.numpy() for name, value in model.policy.state_dict().items()}
    np.savez(settings["result"], **{name: np.stack(each) for name, each in watch.seen.items()}, **weights)
    return {"versions": {module.__name__: module.__version__ for module in (stable_baselines3, sb3_contrib, torch)}}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
