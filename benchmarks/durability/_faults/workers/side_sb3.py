"""Stable-Baselines3: PPO on CartPole, `model.save` and `PPO.load`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import stable_baselines3  # type: ignore[import-not-found]
from faults import fingerprint, flat
from forks import Begin
from serve import serve
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback  # type: ignore[import-not-found]

STEPS = 512  # of a rollout
ENDLESS = 1_000_000_000
NUMBERS = ("gamma", "gae_lambda", "n_steps", "n_epochs", "batch_size", "ent_coef", "vf_coef", "num_timesteps", "seed")


def make(seed: int, *, large: bool = False) -> Any:  # noqa: ANN401
    """Return an agent, of 4 MiB (with its optimizer's state 12) or of a usual size."""
    arguments = {"policy_kwargs": {"net_arch": [512, 512]}} if large else {}
    model = PPO("MlpPolicy", "CartPole-v1", seed=seed, device="cpu", n_steps=STEPS, **arguments)
    return model


def of(model: Any) -> str:  # noqa: ANN401
    """Return an agent's fingerprint: parameters, the optimizer's state, and options."""
    parts = [*flat(model.policy.state_dict(), "policy"), *flat(model.policy.optimizer.state_dict(), "optimizer")]
    return fingerprint([*parts, *((name, getattr(model, name)) for name in NUMBERS)])


class Saved:
    """`model.save` and `PPO.load`."""

    def __init__(self, large: bool) -> None:
        self.things = [make(seed, large=large).learn(STEPS) for seed in (1, 2)]

    def save(self, number: int, folder: Path) -> None:
        """Save an agent."""
        self.things[number - 1].save(folder / "model.zip")

    def load(self, folder: Path) -> str:
        """Load it."""
        return of(PPO.load(folder / "model.zip", device="cpu"))


class Began(BaseCallback):
    """Tells when learning has begun."""

    def __init__(self, begin: Begin) -> None:
        super().__init__()
        self.begin = begin

    def _on_training_start(self) -> None:
        self.begin()

    def _on_step(self) -> bool:
        return True


class Plain:
    """`model.learn`, and `model.save` behind it."""

    def __init__(self, large: bool) -> None:
        self.callbacks: list[BaseCallback] = []

    def learn(self, folder: Path, begin: Begin) -> None:
        """Learn for long."""
        model = make(0)
        model.learn(ENDLESS, callback=[Began(begin), *self.saving(folder)])
        model.save(folder / "ppo_final.zip")

    def saving(self, folder: Path) -> list[BaseCallback]:
        """Return what saves while learning goes on."""
        return []

    def load(self, folder: Path) -> str:
        """Load the newest file."""
        found = sorted(folder.glob("ppo_*.zip"), key=lambda file: file.stat().st_mtime_ns)
        if not found:
            raise FileNotFoundError(folder)
        return of(PPO.load(found[-1], device="cpu"))


class Checkpoints(Plain):
    """`model.learn` with its `CheckpointCallback`."""

    def saving(self, folder: Path) -> list[BaseCallback]:
        """Return the callback, which saves once a rollout."""
        return [CheckpointCallback(STEPS, str(folder), name_prefix="ppo")]

    def whole(self, folder: Path, seed: int) -> str:
        """Train without a stop, in one go."""
        model = make(seed)
        model.learn(8 * STEPS, callback=CheckpointCallback(4 * STEPS, str(folder), name_prefix="ppo"))
        return fingerprint(flat(model.policy.state_dict()))

    def resumed(self, folder: Path, seed: int) -> str:
        """Go on, as its documentation has it."""
        model = PPO.load(folder / f"ppo_{4 * STEPS}_steps.zip", env=gymnasium.make("CartPole-v1"), device="cpu")
        model.learn(4 * STEPS, reset_num_timesteps=False)
        return fingerprint(flat(model.policy.state_dict()))


if __name__ == "__main__":
    ways = {"model.save": Saved, "model.learn": Plain, "CheckpointCallback": Checkpoints}
    serve(ways, [stable_baselines3])
