"""An update of ranks that share out a language model's parameters is the update of one process on the whole."""

import copy
import os
import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
from support.bugs import Bug, seeded
from support.forks import CONTEXT
from support.hand_made import columns
from support.tiny_llama import llama, token_env
from transformers.models.llama import modeling_llama

import pg_agents as pg
from pg_agents.agents.common import gradient_accumulation
from pg_agents.agents.common.sharded_optimizer import ShardedOptimizer
from pg_agents.checkpoints.agent_state import FrozenParameters, agent_state
from pg_agents.data.rollout import map_steps
from pg_agents.data.shares import ALONE
from pg_agents.errors import UserError
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.huggingface_critic import HuggingFaceCritic
from pg_agents.llm.lora import with_lora
from pg_agents.llm.sharding import CutModel
from pg_agents.training.loop import make_collector
from pg_agents.training.ranks import ranks_of_group
from pg_agents.training.sharding import share_parameters

B = 12
ORIGINAL = {"step": ShardedOptimizer.step, "gradients": gradient_accumulation._gradients}  # which no bug replaces
CASES = {
    "grpo, a reference, micro-batches": ("grpo", {"kl_weight": 0.1, "micro_batch_size": 7}, False),
    "grpo, LoRA, its reference": ("grpo", {"kl_weight": 0.1, "kl_penalty": "k3-loss", "micro_batch_size": 9}, True),
    "rloo, clipped, LoRA": ("rloo", {"max_grad_norm": 0.01}, True),
    "ppo, a critic, minibatches": (
        "ppo",
        {"num_steps": 3, "minibatch_size": 12, "micro_batch_size": 2, "epochs": 1},
        False,
    ),
    "actor-critic, one pass": ("actor-critic", {"num_steps": 3, "optimizer": "rmsprop"}, False),
    "reinforce, sgd": ("reinforce", {"optimizer": "sgd"}, False),
}


@pytest.fixture(autouse=True)
def norms_in_64_bits(monkeypatch):
    """Let transformers normalise in the precision of the model, not in 32 bits."""

    def forward(self, hidden):
        return self.weight * hidden * (hidden.square().mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()

    monkeypatch.setattr(modeling_llama.LlamaRMSNorm, "forward", forward)


def made(case):
    name, options, lora = CASES[case]
    model = llama(dtype=torch.float64, tie_word_embeddings=True, num_hidden_layers=2)
    critic = {"critic": HuggingFaceCritic(model).double()} if name in ("ppo", "actor-critic") else {}
    model = with_lora(model, 2) if lora else model
    grouped = {"group_size": 3} if name in ("grpo", "rloo") else {}
    if "optimizer" not in options:
        options = {"adam_epsilon": 1e-2, **options}  # so that rounding of a small gradient does not turn a step
    return pg.AGENTS[name](policy=HuggingFacePolicy(model).double(), **critic, **grouped, **options)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def on_processes(count, work):
    """Return [work() for each of `count` processes], forks of this one in a group of gloo."""
    port, ends = free_port(), [CONTEXT.Pipe(duplex=False) for _ in range(count)]

    def run(number):
        try:
            torch.set_num_threads(1)
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            dist.init_process_group("gloo", rank=number, world_size=count)
            ends[number][1].send(work())
            dist.barrier()
        except BaseException as error:
            ends[number][1].send(f"{type(error).__name__}: {error}")
        finally:
            os._exit(0)

    processes = [CONTEXT.Process(target=run, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    try:
        found = [receive.recv() if receive.poll(50) else "it is silent" for receive, _ in ends]
    finally:
        for process in processes:
            process.kill()
            process.join(60)
    assert not any(isinstance(one, str) for one in found), found
    return found


def in_64_bits(leaf):
    return leaf.double() if getattr(leaf, "dtype", None) == torch.float32 else leaf


def learned(agent, rollouts):
    return [{name: float(value) for name, value in agent.update(one).items()} for one in rollouts]


def shared_out(case, rollouts):
    """Return what an agent of one of several processes has reported, its parameters and its optimizer's memory."""
    agent, ranks = made(case), ranks_of_group()
    agent.ranks = ranks
    share_parameters(agent)
    width, frozen, before = B // ranks.count, FrozenParameters(agent), agent.policy.version()
    found = learned(agent, [columns(one, ranks.number * width, (ranks.number + 1) * width) for one in rollouts])
    assert agent.policy.version() > before  # caches of acting notice that the parameters are others
    state = agent_state(agent, frozen)
    learning = {name for name, one in agent.named_parameters() if one.requires_grad}
    assert state.networks.keys() == learning | dict(agent.named_buffers()).keys()  # frozen ones are as they were
    agent.ranks = ALONE
    with pytest.raises(RuntimeError, match=f"shared out among {ranks.count} processes; learn by train"):
        agent.update(rollouts[0])
    parameters = {name: value.detach().clone().numpy() for name, value in agent.named_parameters()}
    moments = {name: value.clone().numpy() for name, value in state.moments.items()}
    return found, parameters, moments, state.rest["layout"]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_an_update_is_that_of_the_whole(case, count):
    agent = made(case)
    collector = make_collector(made(case), token_env(B), seed=0)
    rollouts = [map_steps(in_64_bits, next(collector)) for _ in range(2)]
    expected = learned(agent, rollouts)
    whole = agent_state(agent, FrozenParameters(agent))
    results = on_processes(count, lambda: shared_out(case, rollouts))
    for found, parameters, _, _ in results:
        for name, value in agent.named_parameters():
            np.testing.assert_allclose(parameters[name], value.detach(), rtol=1e-6, atol=1e-9, err_msg=name)
            assert (parameters[name] == results[0][1][name]).all()
        for mine, wanted in zip(found, expected, strict=True):
            assert mine == pytest.approx(wanted, rel=1e-6, abs=1e-9, nan_ok=True)
    _, _, moments, layout = results[0]  # the optimizer's memory is whole on the first
    assert moments.keys() == whole.moments.keys()
    for name, value in whole.moments.items():
        np.testing.assert_allclose(moments[name].reshape(value.shape), value, rtol=1e-5, atol=1e-12, err_msg=name)
    assert [one["learning_rate"] for one in layout["groups"]] == [
        one["learning_rate"] for one in whole.rest["layout"]["groups"]
    ]


def frozen_late(rollouts):
    """Return whether a parameter that is frozen after an update is what it was, and whether others are, after more."""
    agent, ranks = made("grpo, a reference, micro-batches"), ranks_of_group()
    agent.ranks, width = ranks, B // ranks.count
    share_parameters(agent)
    mine = [columns(one, ranks.number * width, (ranks.number + 1) * width) for one in rollouts]
    learned(agent, mine[:1])
    first, *_, last = agent.policy.parameters()
    first.requires_grad_(False)
    before = first.detach().clone(), last.detach().clone()
    learned(agent, mine[1:])
    return torch.equal(first, before[0]), torch.equal(last, before[1])


@pytest.mark.slow
def test_a_parameter_that_is_frozen_during_a_run_stays_as_it_is():
    collector = make_collector(made("reinforce, sgd"), token_env(B), seed=0)
    rollouts = [next(collector) for _ in range(2)]
    assert on_processes(2, lambda: frozen_late(rollouts)) == [(True, False)] * 2


def not_finite_on_one(rollout):
    """Return what an update raises whose gradient is infinite on the last rank, and whether nothing has changed."""
    agent, ranks = made("ppo, a critic, minibatches"), ranks_of_group()
    agent.ranks, width = ranks, B // ranks.count
    share_parameters(agent)
    before = [one.detach().clone() for one in agent.parameters()]
    mine = columns(rollout, ranks.number * width, (ranks.number + 1) * width)
    try:
        agent.update(mine)
    except FloatingPointError as error:
        return str(error).split(";")[0], all(map(torch.equal, before, agent.parameters()))


@pytest.mark.slow
def test_a_gradient_that_is_not_finite_on_one_rank_changes_nothing_on_all():
    rollout = next(make_collector(made("ppo, a critic, minibatches"), token_env(B), seed=0))
    rollout.log_probs[:, B // 2 :] = -1e6  # ratios that are infinite
    found = on_processes(2, lambda: not_finite_on_one(rollout))
    assert found == [("the gradient of PPO is not finite", True)] * 2


def test_what_cannot_be_shared_out_is_refused():
    agent = pg.PPO.for_env("CartPole-v1")
    with pytest.raises(UserError, match="^shard: there is one process"):
        share_parameters(agent)
    agent.ranks = type("Ranks", (), {"count": 2, "number": 0})()
    with pytest.raises(UserError, match="^shard: a MLPPolicy is no language model"):
        share_parameters(agent)


def case(name):
    return test_an_update_is_that_of_the_whole, f"{name}-2"


def alone(optimizer):
    """Return an optimizer's double whose ranks add up nothing."""
    double = copy.copy(optimizer)
    double.ranks = ALONE
    return double


test_seeded_bugs = seeded(
    Bug(
        "what others found while one had no part is lost",
        gradient_accumulation._gradients,
        lambda loss, parameters: [one * (loss.detach() != 0) for one in ORIGINAL["gradients"](loss, parameters)],
        [case("ppo, a critic, minibatches")],
    ),
    Bug(
        "a gradient is scaled down by one's own norm",
        ShardedOptimizer.step,
        lambda self, loss, max_norm, steps=None, ranks=None: ORIGINAL["step"](alone(self), loss, max_norm),
        [case("rloo, clipped, LoRA")],
    ),
    Bug(
        "caches of acting do not notice an update",
        CutModel.gather,
        CutModel._gather,
        [case("reinforce, sgd")],
    ),
    Bug(
        "own rows are those of the first",
        CutModel.rows,
        lambda self, value, like: value[: len(like)],
        [case("reinforce, sgd")],
    ),
    Bug(
        "the optimizer's memory is not gathered",
        ShardedOptimizer._gathered,
        lambda self, rows: rows,
        [case("grpo, a reference, micro-batches")],
        ValueError,
    ),
)
