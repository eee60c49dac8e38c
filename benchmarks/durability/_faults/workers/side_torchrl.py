"""TorchRL: PPO on CartPole, saved by `torchrl.checkpoint`, as its documentation advises, or by `torch.save`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import tensordict  # type: ignore[import-not-found]
import torch
import torchrl  # type: ignore[import-not-found]
from faults import fingerprint, flat
from forks import Begin
from serve import serve
from tensordict.nn import TensorDictModule  # type: ignore[import-not-found]
from torchrl.checkpoint import Checkpoint, CheckpointRotation, GlobalRNGState  # type: ignore[import-not-found]
from torchrl.collectors import Collector  # type: ignore[import-not-found]
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer  # type: ignore[import-not-found]
from torchrl.data.replay_buffers import SamplerWithoutReplacement  # type: ignore[import-not-found]
from torchrl.envs import GymEnv  # type: ignore[import-not-found]
from torchrl.modules import MLP, OneHotCategorical, ProbabilisticActor, ValueOperator  # type: ignore[import-not-found]
from torchrl.objectives import ClipPPOLoss  # type: ignore[import-not-found]
from torchrl.trainers.algorithms import PPOTrainer  # type: ignore[import-not-found]

STEPS = 128  # of a rollout
ENDLESS = STEPS * 1_000_000


class Agent:
    """A policy, a critic and their optimizer, which has taken a step."""

    def __init__(self, seed: int, width: int = 64) -> None:
        torch.manual_seed(seed)
        self.env = GymEnv("CartPole-v1")
        self.env.set_seed(seed)
        logits = TensorDictModule(MLP(4, 2, num_cells=[width, width]), ["observation"], ["logits"])
        self.policy = ProbabilisticActor(
            logits,
            in_keys=["logits"],
            distribution_class=OneHotCategorical,
            return_log_prob=True,
            spec=self.env.action_spec,
        )
        self.critic = ValueOperator(MLP(4, 1, num_cells=[width, width]))
        self.optimizer = torch.optim.Adam([*self.policy.parameters(), *self.critic.parameters()], lr=3e-4)
        sum(parameter.square().sum() for parameter in self.parameters()).backward()
        self.optimizer.step()

    def parameters(self) -> Any:  # noqa: ANN401
        """Return those of both networks."""
        return itertools.chain(self.policy.parameters(), self.critic.parameters())

    def parts(self) -> dict[str, Any]:
        """Return what is saved, by name."""
        return {"policy": self.policy, "critic": self.critic, "optimizer": self.optimizer}

    def fingerprint(self) -> str:
        """Return the fingerprint of all of it."""
        return fingerprint(flat({name: part.state_dict() for name, part in self.parts().items()}))


class Checkpoints:
    """`Checkpoint(…).save` over an earlier one, and its `load`."""

    def __init__(self, large: bool) -> None:
        self.width = 512 if large else 64
        self.things = [Agent(seed, self.width) for seed in (1, 2)]

    def save(self, number: int, folder: Path) -> None:
        """Save an agent."""
        Checkpoint(**self.things[number - 1].parts()).save(folder / "checkpoint")

    def load(self, folder: Path) -> str:
        """Load it."""
        agent = Agent(3, self.width)
        Checkpoint(**agent.parts()).load(folder / "checkpoint")
        return agent.fingerprint()


class Rotation(Checkpoints):
    """`CheckpointRotation(…, keep_last=1)`, its `save` and `load_latest`."""

    def save(self, number: int, folder: Path) -> None:
        """Save an agent."""
        CheckpointRotation(folder, keep_last=1).save(Checkpoint(**self.things[number - 1].parts()), step=number)

    def load(self, folder: Path) -> str:
        """Load the newest."""
        agent = Agent(3, self.width)
        CheckpointRotation(folder, keep_last=1).load_latest(Checkpoint(**agent.parts()))
        return agent.fingerprint()


class TorchSave(Checkpoints):
    """`torch.save` of state dictionaries, and `torch.load`."""

    def save(self, number: int, folder: Path) -> None:
        """Save an agent."""
        parts = self.things[number - 1].parts()
        torch.save({name: part.state_dict() for name, part in parts.items()}, folder / "agent.pt")

    def load(self, folder: Path) -> str:
        """Load it."""
        agent = Agent(3, self.width)
        for name, state in torch.load(folder / "agent.pt", weights_only=True).items():
            agent.parts()[name].load_state_dict(state)
        return agent.fingerprint()


class Training:
    """`PPOTrainer` with `CheckpointRotation`: policy, optimizer, collector, counts and random numbers are saved."""

    def make(self, folder: Path, seed: int, steps: int, every: int = STEPS) -> tuple[Agent, Any]:
        """Return an agent and its trainer, which saves once in `every` steps."""
        agent = Agent(seed)
        collector = Collector(agent.env, agent.policy, frames_per_batch=STEPS, total_frames=steps)
        trainer = PPOTrainer(
            collector=collector,
            total_frames=steps,
            frame_skip=1,
            optim_steps_per_batch=None,
            loss_module=ClipPPOLoss(agent.policy, agent.critic),
            optimizer=agent.optimizer,
            progress_bar=False,
            enable_logging=False,
            replay_buffer=TensorDictReplayBuffer(
                storage=LazyTensorStorage(STEPS), sampler=SamplerWithoutReplacement(), batch_size=64
            ),
            seed=seed,
            save_trainer_interval=every - 1,
            checkpoint=Checkpoint(rng=GlobalRNGState()),
            checkpoint_rotation=CheckpointRotation(folder, keep_last=100),
        )
        return agent, trainer

    def learn(self, folder: Path, begin: Begin) -> None:
        """Learn for long."""
        trainer = self.make(folder, 0, ENDLESS)[1]
        begin()
        trainer.train()

    def load(self, folder: Path) -> str:
        """Load the newest checkpoint."""
        agent, trainer = self.make(folder, 1, ENDLESS)
        trainer.load_from_file(CheckpointRotation(folder, keep_last=100).latest() or folder)
        return agent.fingerprint()

    def whole(self, folder: Path, seed: int) -> str:
        """Train without a stop."""
        agent, trainer = self.make(folder, seed, 8 * STEPS)
        trainer.train()
        return fingerprint(flat([*agent.parameters()]))

    def resumed(self, folder: Path, seed: int) -> str:
        """Go on from the checkpoint on half of the way."""
        agent, trainer = self.make(folder / "resumed", seed, 8 * STEPS)
        found = CheckpointRotation(folder, keep_last=100).checkpoints()
        half = next(path for path in found if _step(path) == 4 * STEPS)
        trainer.load_from_file(half)
        trainer.train()
        if trainer.collected_frames != 8 * STEPS:
            raise RuntimeError(f"it went on to step {trainer.collected_frames}")
        return fingerprint(flat([*agent.parameters()]))


def _step(path: Path) -> int:
    """Return the step in a checkpoint's name."""
    return int("".join(filter(str.isdigit, path.stem)))


if __name__ == "__main__":
    saves = {"Checkpoint.save": Checkpoints, "CheckpointRotation.save": Rotation, "torch.save": TorchSave}
    serve(saves | {"PPOTrainer": lambda _: Training()}, [torchrl, tensordict])
