"""What other libraries call things, and what they are called here: for errors in Python and on the command line."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

METHODS = {  # of an agent, and what to write here
    "learn": "pg_agents.train(agent, env, total_steps=…)",
    "predict": "actions, memory = agent.act(observations, greedy=True)",
    "set_env": "pg_agents.train(agent, env, total_steps=…) with another env",
    "get_env": "your env where you gave it; an agent holds none",
}
FUNCTIONS = {  # of another library's modules, and what to write here
    "make_vec_env": 'gymnasium.make_vec("CartPole-v1", num_envs=8), or give for_env and train the id and num_envs=8',
    "make_env": 'gymnasium.make("CartPole-v1"), or give for_env and train the id',
    "make": 'gymnasium.make("CartPole-v1"), or give for_env and train the id',
    "evaluate_policy": "pg_agents.evaluate(agent, env, episodes=20)",
    "VecNormalize": "normalize_observations=True, normalize_rewards=True of for_env",
    "DummyVecEnv": "gymnasium.vector.SyncVectorEnv",
    "SubprocVecEnv": "gymnasium.vector.AsyncVectorEnv",
    "BaseCallback": "probes=[…] of pg_agents.train: functions of the run",
    "EvalCallback": "eval_env=…, eval_every=… of pg_agents.train",
    "CheckpointCallback": "run_dir=…, checkpoint_every=… of pg_agents.train",
}
_SAID = {  # options that are no single option here
    "policy_kwargs": "its entries are options of their own: hidden (net_arch), activation (activation_fn), encoder, …",
}
_IN_PYTHON = {  # options of the command line → what does the same in Python
    "device": 'agent.to("cuda") moves an agent to a device',
    "quiet": "progress=False of pg_agents.train",
    "threads": "torch.set_num_threads(1)",
    "video": "gymnasium.wrappers.RecordVideo around an env records it, or pg-agents evaluate RUN --video",
}
POLICIES = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy", "MlpLstmPolicy", "CnnLstmPolicy", "MultiInputLstmPolicy")
RUNS = (
    *("total_steps", "run_dir", "log_every", "stop_return", "eval_env", "eval_every", "eval_episodes"),
    *("checkpoint_every", "keep_checkpoints", "resume", "progress", "probes", "track", "step_timeout"),
)  # arguments of `pg_agents.train` that no agent has
FOR_ENV = ("env", "num_envs", "env_args", "wrappers", "seed")  # arguments of `for_env` that are no options
P = ParamSpec("P")
R = TypeVar("R")

_OF_AGENTS = {  # here → elsewhere: of agents and their networks
    "discount": "gamma",
    "learning_rate": "lr actor_lr pi_lr policy_lr lr_schedule anneal_lr",
    "critic_learning_rate": "critic_lr vf_lr value_lr",
    "num_steps": "n_steps rollout_length rollout_steps steps_per_epoch rollout_fragment_length",
    "epochs": "n_epochs num_epochs update_epochs num_ppo_epochs num_iterations num_sgd_iter noptepochs",
    "minibatch_size": "batch_size mini_batch_size sgd_minibatch_size",
    "micro_batch_size": "per_device_train_batch_size gradient_accumulation_steps",
    "clip": "clip_range clip_coef clip_ratio clip_param cliprange clip_eps epsilon",
    "clip_high": "epsilon_high clip_range_high",
    "entropy_weight": "ent_coef entropy_coef entropy_coeff entropy_cost",
    "value_weight": "vf_coef value_coef vf_loss_coeff value_loss_coef baseline_cost",
    "gae_lambda": "lam lambda lmbda gae_lam",
    "kl_weight": "beta kl_coef kl_coeff init_kl_coef",
    "target_kl": "desired_kl kl_target",
    "max_kl": "target_kl delta step_size",
    "group_size": "num_generations rloo_k",
    "aggregation": "loss_type",
    "advantage": "scale_rewards",
    "max_grad_norm": "grad_clip gradient_clip clip_grad_norm max_gradient_norm",
    "adam_epsilon": "eps adam_eps rms_prop_eps",
    "normalize_advantages": "normalize_advantage norm_adv whiten_advantages",
    "normalize_rewards": "norm_reward norm_rewards",
    "cg_iterations": "cg_max_steps cg_iters",
    "damping": "cg_damping",
    "hidden": "net_arch hidden_size hidden_sizes hidden_dim hidden_dims hidden_layers fcnet_hiddens",
    "activation": "activation_fn",
    "initial_log_std": "log_std_init",
    "normalize_observations": "norm_obs",
    "policy": "model model_id model_name_or_path",
    "lora": "lora_r lora_rank",
}
_OPTIONS = _OF_AGENTS | {  # and of runs
    "total_steps": "total_timesteps timesteps num_timesteps num_env_steps max_steps total_env_steps n_timesteps",
    "num_envs": "n_envs num_env n_env num_workers n_workers num_environments",
    "env": "env_id env_name gym_id environment",
    "env_args": "env_kwargs",
    "env_arg": "env_kwargs env_args",
    "wrapper": "wrappers wrapper_class",
    "wrappers": "wrapper wrapper_class",
    "run_dir": "output_dir save_path save_dir log_dir logdir tensorboard_log exp_name run_name tb_log_name",
    "log_every": "log_interval logging_steps log_freq",
    "eval_every": "eval_freq eval_interval eval_steps evaluation_interval",
    "eval_episodes": "n_eval_episodes num_eval_episodes",
    "episodes": "n_eval_episodes num_eval_episodes n_episodes num_episodes",
    "greedy": "deterministic",
    "checkpoint_every": "save_freq save_steps save_interval checkpoint_freq",
    "keep_checkpoints": "save_total_limit",
    "probes": "callback callbacks",
    "progress": "verbose progress_bar",
    "quiet": "verbose progress_bar",
    "stop_return": "reward_threshold stop_reward",
    "seed": "random_seed random_state",
    "seeds": "n_seeds num_seeds",
    "jobs": "n_jobs num_processes",
    "trials": "n_trials",
    "budget": "timeout",
    "threads": "num_threads n_threads",
    "device": "cuda gpu use_cuda",
    "video": "capture_video record_video render",
}
OFF_POLICY = {  # agents that are none of this package's → who has them
    **dict.fromkeys(("dqn", "sac", "td3", "ddpg"), "Stable-Baselines3 and CleanRL have it"),
    **dict.fromkeys(("qrdqn", "qr-dqn", "tqc", "crossq"), "sb3-contrib has it"),
    **dict.fromkeys(("c51", "rainbow"), "CleanRL has it"),
    **dict.fromkeys(("ddqn", "double-dqn", "iqn", "redq", "q-learning", "sarsa"), "other libraries have it"),
}
AGENTS = {  # what other libraries call an agent of this package
    **dict.fromkeys(("vpg", "policy-gradient", "pg"), "reinforce-baseline"),
    **dict.fromkeys(("a3c", "impala"), "a2c"),
    **dict.fromkeys(("ppo2", "appo", "recurrent-ppo", "ppo-lstm", "maskable-ppo"), "ppo"),
    **dict.fromkeys(("acktr", "natural-gradient"), "npg"),
}


def option_for(name: str, known: Iterable[str]) -> str | None:
    """Return which of the options `known` is what other libraries call `name`; None: none is."""
    known = set(known)
    return next((here for here, names in _OPTIONS.items() if here in known and name in names.split()), None)


def agent_name(name: str) -> str:
    """Return the name of an agent as the command line writes it."""
    return name.lower().replace("_", "-")


def agent_for(name: str) -> str | None:
    """Return what to say of an agent that other libraries have under this name; None: nothing."""
    name = agent_name(name)
    if (who := OFF_POLICY.get(name)) is not None:
        return (
            f"it learns values off-policy, from a replay buffer, and the agents here are policy gradients; {who}, and "
            "here ppo is the first to try"
        )
    return f"here it is {AGENTS[name]}" if name in AGENTS else None


def said_of(name: str) -> str | None:
    """Return what to say of an option that other libraries have, and that is no single option here; None: nothing."""
    return _SAID.get(name)


def here_of(name: str) -> str | None:
    """Return what to write for what other libraries call `name`, an agent or a function of theirs; None: nothing."""
    return FUNCTIONS.get(name) or agent_for(name)


def check_names(title: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raise TypeError for an argument of Python's that there is not, with what is meant.

    Args:
        title: what takes the arguments: an agent's class or a function.
        given: the names that were given.
        known: the names that it takes.
    """
    for name in given:
        if name not in known:
            raise TypeError(f"{name}: {title} has no such argument; {_meant(name, known)}")


def _meant(name: str, known: Sequence[str]) -> str:
    """Return what is meant by an argument that is not `known`."""
    if (here := option_for(name, known)) is not None:
        return f"did you mean {here}?"
    if (said := _SAID.get(name)) is not None:
        return said
    if (here := name if name in RUNS else option_for(name, RUNS)) is not None:
        return f"it is {here}=… of pg_agents.train"
    if (here := name if name in FOR_ENV else option_for(name, FOR_ENV)) is not None:
        return f"it is {here}=… of for_env(env)"
    if (here := name if name in _IN_PYTHON else option_for(name, _IN_PYTHON)) is not None:
        return _IN_PYTHON[here]
    if (meant := difflib.get_close_matches(name, known, 1)) or "learning_rate" in known:
        return f"did you mean {meant[0]}?" if meant else f"it takes {', '.join(known)}"
    if (here := name if name in _OF_AGENTS else option_for(name, _OF_AGENTS)) is not None:
        return f"it is an option of agents: for_env(env, {here}=…)"
    return f"it takes {', '.join(known)}"


def with_names_checked(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function`, which raises TypeError for unknown arguments and names what they are called here."""
    parameters = inspect.signature(function).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.name != "self"]
    ordered = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not takes_any:
            check_names(function.__name__, kwargs, known)
        if len(args) > len(ordered):
            first = [name for name in ordered if name not in ("self", "cls")]
            refuse_policy_names(args, "write it without", called=function.__name__)
            more = f"{', '.join(first)} by position and all else by name"
            raise TypeError(f"{function.__name__} takes {more}, got {len(args) - len(ordered)} more by position")
        return function(*args, **kwargs)

    return checked


def refuse_policy_names(given: Iterable[Any], way_out: str, *, called: str) -> None:
    """Raise TypeError where another library's name of a policy is given, like "MlpPolicy"."""
    for value in given:
        if isinstance(value, str) and value in POLICIES:
            size = "its networks follow from the spaces, and hidden=(64, 64) sizes them"
            raise TypeError(f"{called} takes no {value!r}: {way_out}; {size}")
