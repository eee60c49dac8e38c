"""What other libraries call things, and what they are called here: for errors in Python and on the command line."""

from __future__ import annotations

from collections.abc import Iterable

METHODS = {  # of an agent, and what to write here
    "learn": "pg_agents.train(agent, env, total_steps=…)",
    "predict": "actions, memory = agent.act(observations, greedy=True)",
}
_OPTIONS = {  # here → elsewhere
    # of agents
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
    # of networks
    "hidden": "net_arch hidden_size hidden_sizes hidden_dim hidden_dims hidden_layers fcnet_hiddens",
    "activation": "activation_fn",
    "initial_log_std": "log_std_init",
    "normalize_observations": "norm_obs",
    "policy": "model model_id model_name_or_path",
    "lora": "lora_r lora_rank",
    # of runs
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


def agent_for(name: str) -> str | None:
    """Return what to say of an agent that other libraries have under this name; None: nothing."""
    name = name.lower().replace("_", "-")
    if (who := OFF_POLICY.get(name)) is not None:
        return (
            f"it learns values off-policy, from a replay buffer, and the agents here are policy gradients; {who}, and "
            "here ppo is the first to try"
        )
    return f"here it is {AGENTS[name]}" if name in AGENTS else None
