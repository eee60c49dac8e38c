"""Bandits, decision processes, classic control, pictures and texts; importing it registers the ids pg/…."""

from pg_envs.bandits.bernoulli import BernoulliBandit, BernoulliBanditVector, ContextualBandit, ContextualBanditVector
from pg_envs.bandits.gaussian import (
    GaussianBandit,
    GaussianBanditVector,
    NonStationaryBandit,
    NonStationaryBanditVector,
)
from pg_envs.classic.acrobot import Acrobot, AcrobotVector
from pg_envs.classic.cart_pole import CartPole, CartPoleVector
from pg_envs.classic.mountain_car import MountainCar, MountainCarVector
from pg_envs.classic.mountain_car_continuous import MountainCarContinuous, MountainCarContinuousVector
from pg_envs.classic.pendulum import Pendulum, PendulumVector
from pg_envs.core.known import KnownReturns, known_returns
from pg_envs.core.mdp import TabularMDP
from pg_envs.core.registration import register
from pg_envs.core.rows import RowEnv, RowsVectorEnv
from pg_envs.mdps.grids import CliffEnv, GridWorldEnv
from pg_envs.mdps.mdp_envs import MDPEnv, MDPVectorEnv, ProblemEnv, ProblemVectorEnv
from pg_envs.mdps.problems import ChainEnv, GarnetEnv, RiverSwimEnv, TwoStateMDPEnv
from pg_envs.mdps.recall import Recall, RecallVector
from pg_envs.pictures.catch import Catch, CatchVector
from pg_envs.tokens.task_envs import AdditionEnv, CopyEnv, ParityEnv, ReverseEnv, ShorterEnv, SortEnv
from pg_envs.tokens.text_tasks import addition_pairs, addition_text, reasoning_gym_task
from pg_envs.tokens.texts import text_task
from pg_envs.tokens.token_env import TokenEnv
from pg_envs.tokens.token_task import EvaluationError, TokenTask
from pg_envs.tokens.tokens import TokenVectorEnv

__all__ = [
    "Acrobot",
    "AcrobotVector",
    "BernoulliBandit",
    "BernoulliBanditVector",
    "CartPole",
    "CartPoleVector",
    "Catch",
    "CatchVector",
    "ContextualBandit",
    "ContextualBanditVector",
    "EvaluationError",
    "GaussianBandit",
    "GaussianBanditVector",
    "KnownReturns",
    "MDPEnv",
    "MDPVectorEnv",
    "MountainCar",
    "MountainCarContinuous",
    "MountainCarContinuousVector",
    "MountainCarVector",
    "NonStationaryBandit",
    "NonStationaryBanditVector",
    "Pendulum",
    "PendulumVector",
    "ProblemEnv",
    "ProblemVectorEnv",
    "Recall",
    "RecallVector",
    "RowEnv",
    "RowsVectorEnv",
    "TabularMDP",
    "TokenEnv",
    "TokenTask",
    "TokenVectorEnv",
    "addition_pairs",
    "addition_text",
    "known_returns",
    "reasoning_gym_task",
    "register",
    "text_task",
]

register("BernoulliBandit-v0", BernoulliBandit)
register("TwoArmedBandit-v0", BernoulliBandit, probabilities=(0.6, 0.4))
register("TwoArmedBanditClose-v0", BernoulliBandit, probabilities=(0.96, 0.94))
register("ContextualBandit-v0", ContextualBandit)
register("GaussianBandit-v0", GaussianBandit)
register("NonStationaryBandit-v0", NonStationaryBandit)

register("Chain-v0", ChainEnv, max_episode_steps=100)
register("GridWorld-v0", GridWorldEnv, max_episode_steps=100)
register("Cliff-v0", CliffEnv, max_episode_steps=200)
register("RiverSwim-v0", RiverSwimEnv)
register("Garnet-v0", GarnetEnv)
register("TwoStateMDP-v0", TwoStateMDPEnv)

register("Recall-v0", Recall)

register("CartPole-v1", CartPole, max_episode_steps=500, reward_threshold=475.0)
register("Acrobot-v1", Acrobot, max_episode_steps=500, reward_threshold=-100.0)
register("MountainCar-v0", MountainCar, max_episode_steps=200, reward_threshold=-110.0)
register("MountainCarContinuous-v0", MountainCarContinuous, max_episode_steps=999, reward_threshold=90.0)
register("Pendulum-v1", Pendulum, max_episode_steps=200)

register("Catch-v0", Catch)

register("Copy-v0", CopyEnv)
register("Reverse-v0", ReverseEnv)
register("Sort-v0", SortEnv)
register("Addition-v0", AdditionEnv)
register("Parity-v0", ParityEnv)
register("Shorter-v0", ShorterEnv)
