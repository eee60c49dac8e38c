"""Seeded bugs, and the tests that must catch them: what the tests are held to.

Each bug is a change of one place in the source. A new algorithm adds the bugs it could have.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """A bug: in `module`, `right` (which stands there once) becomes `wrong`; each of `tests` must then fail."""

    name: str
    module: str
    right: str
    wrong: str
    tests: tuple[str, ...]


MUTATIONS = [
    Mutation(
        "what rounding makes of equal policies is a divergence",
        "pg_agents.agents.common.kl_regularization",
        "(ratios.abs() > rounding)",
        "(ratios.abs() >= 0)",
        ("tests/agents/common/test_kl_regularization.py::test_what_rounding_makes_of_equal_policies_is_no_divergence",),
    ),
    Mutation(
        "a batch mean leaves out the episodes that have ended",
        "pg_agents.agents.common.baselines",
        "rollout.mask.any(0).sum().clamp(min=1)",
        "rollout.mask.sum(1, keepdim=True).clamp(min=1).expand_as(returns)[rollout.times, 0]",
        ("tests/agents/test_reinforce_baseline.py::test_batch_mean_by_hand",),
    ),
    Mutation(
        "γ^t is left out where it was asked for",
        "pg_agents.agents.common.advantages",
        "return discount ** rollout.times",
        "return 1.0 ** rollout.times",
        (
            "tests/agents/test_reinforce.py::test_expected_gradient_is_the_exact_gradient",
            "tests/agents/test_actor_critic.py::test_discounted_time_weighs_by_the_time_in_the_episode",
        ),
    ),
    Mutation(
        "γ^t is counted from the rollout's start, not the episode's",
        "pg_agents.agents.common.advantages",
        "return discount ** rollout.times.to(rollout.rewards.dtype)",
        "return discount ** torch.ones_like(rollout.rewards).cumsum(0) / discount",
        ("tests/agents/test_actor_critic.py::test_discounted_time_weighs_by_the_time_in_the_episode",),
    ),
    Mutation(
        "the next value is that of the same state",
        "pg_agents.agents.common.advantages",
        "torch.cat([values[1:], torch.zeros_like(values[:1])])",
        "values.clone()",
        ("tests/agents/common/test_advantages.py::test_state_values_by_hand",),
    ),
    Mutation(
        "the final observation is not looked at",
        "pg_agents.agents.common.advantages",
        "    next_values[tuple(rollout.final_rows.T)] = final_values",
        "    pass",
        (
            "tests/agents/test_actor_critic.py::test_targets_by_hand",
            "tests/agents/test_actor_critic.py::test_targets_from_an_environment_in_every_mode",
        ),
    ),
    Mutation(
        "the running average includes the return it is compared with",
        "pg_agents.agents.common.baselines",
        "        average = (self.total / self.count.clamp(min=1)).to(returns.dtype)  # [L], L = 1 or B\n",
        "        average = (returns * rollout.mask).sum() / rollout.mask.sum() + 0 * self.total.to(returns.dtype)\n",
        ("tests/agents/test_reinforce_baseline.py::test_running_average_is_equation_13",),
    ),
    Mutation(
        "a baseline that sees the action",
        "pg_agents.agents.common.baselines",
        "return torch.full_like(returns, self.constant)",
        "return self.constant * rollout.actions.to(returns.dtype)",
        ("tests/agents/test_reinforce_baseline.py::test_constants_and_values_leave_the_expected_gradient_alone",),
    ),
    Mutation(
        "the baseline is added",
        "pg_agents.agents.reinforce_baseline",
        "advantages = returns - baseline",
        "advantages = returns + baseline",
        (
            "tests/agents/test_reinforce_baseline.py::test_value_baseline_by_hand",
            "tests/agents/test_reinforce_baseline.py::test_running_average_is_equation_13",
        ),
    ),
    Mutation(
        "the entropy bonus is a penalty",
        "pg_agents.agents.reinforce",
        "entropy, self.current(",
        "entropy, -self.current(",
        ("tests/agents/test_reinforce.py::test_gradient_of_the_entropy_bonus",),
    ),
    Mutation(
        "the advantage of the actor-critic has the wrong sign",
        "pg_agents.agents.actor_critic",
        "advantages = targets - values",
        "advantages = values - targets",
        ("tests/agents/test_actor_critic.py::test_gradients_by_hand",),
    ),
    Mutation(
        "the gain moves away from the rewards",
        "pg_agents.agents.average_reward",
        "self.gain += rate * differences",
        "self.gain -= rate * differences",
        ("tests/agents/test_average_reward.py::test_three_steps_of_one_environment_by_hand",),
    ),
    Mutation(
        "the next action's value is this action's",
        "pg_agents.agents.average_reward",
        "targets = rows.rewards - self.gain + taken[1:]",
        "targets = rows.rewards - self.gain + taken[:-1]",
        ("tests/agents/test_average_reward.py::test_three_steps_of_one_environment_by_hand",),
    ),
    Mutation(
        "the action's value is not compared with the policy's",
        "pg_agents.agents.average_reward",
        "advantages = taken - (_probabilities(distribution) * values).sum(-1)",
        "advantages = taken",
        ("tests/agents/test_average_reward.py::test_three_steps_of_one_environment_by_hand",),
    ),
    Mutation(
        "a step is learned from across a reset",
        "pg_agents.agents.average_reward",
        "return rollout.mask[:-1] & rollout.mask[1:] & ~rollout.episode_starts[1:]",
        "return rollout.mask[:-1] & rollout.mask[1:]",
        ("tests/agents/test_average_reward.py::test_nothing_passes_a_truncation",),
    ),
    Mutation(
        "the group's deviation divides by n",
        "pg_agents.functional.comparisons",
        "(counts - 1).clamp(min=1)).sqrt()",
        "counts).sqrt()",
        ("tests/functional/test_comparisons.py::test_group_standardize_by_hand",),
    ),
    Mutation(
        "groups of equal returns weigh what the others do",
        "pg_agents.agents.grpo",
        "weights = weights * informative  #",
        "weights = weights  #",
        (
            "tests/agents/test_grpo.py::test_groups_of_equal_returns_weigh_nothing_and_the_others_no_more",
            "tests/agents/test_grpo.py::test_where_all_returns_are_equal_nothing_moves",
        ),
    ),
    Mutation(
        "groups are compared with each other",
        "pg_agents.agents.rloo",
        "leave_one_out(returns_of_columns(rollout, self.discount), rollout.group_ids)",
        "leave_one_out(returns_of_columns(rollout, self.discount))",
        ("tests/agents/test_rloo.py::test_advantages_and_weights_by_hand",),
    ),
    Mutation(
        "only the last reward counts for an episode",
        "pg_agents.agents.common.groups",
        "(time_weights(rollout, discount) * rollout.rewards * rollout.mask).sum(0)",
        "(time_weights(rollout, discount) * rollout.rewards * rollout.terminated).sum(0)",
        (
            "tests/agents/test_rloo.py::test_advantages_and_weights_by_hand",
            "tests/agents/test_rloo.py::test_its_expectation_is_the_gradient",
        ),
    ),
    Mutation(
        "advantages are rounded before they are standardised",
        "pg_agents.agents.common.advantages",
        "    advantages = targets - values\n",
        "    advantages = targets.float() - values\n",
        ("tests/agents/test_ppo.py::test_advantages_far_from_zero_are_standardized_by_what_they_differ_by",),
    ),
    Mutation(
        "a critic is said to explain its own noise",
        "pg_agents.agents.common.advantages",
        "torch.where(rollout.rewards.any(), ",
        "torch.where(rollout.mask.any(), ",
        ("tests/agents/common/test_advantages.py::test_targets_that_are_made_of_the_critic_alone_explain_nothing",),
    ),
    Mutation(
        "average-reward counts what it has seen twice",
        "pg_agents.agents.average_reward",
        "        metrics = super().learn(joined)\n",
        "        metrics = super().learn(joined)\n"
        "        [scale.update(joined.observations, joined.mask) for scale in self.observation_scales]\n",
        ("tests/agents/test_average_reward.py::test_statistics_of_observations_take_each_row_once",),
    ),
    Mutation(
        "a squashed action reaches the environment before its tanh",
        "pg_agents.collection.actor",
        "self.to_env_action(self.policy.unscale_action(actions))",
        "self.to_env_action(actions)",
        ("tests/agents/test_every_space.py::test_a_squashed_policy_finds_a_point_inside_its_box",),
    ),
    Mutation(
        "an agent of an earlier version is loaded with numbers scaled that it saw as they were",
        "pg_agents.agents.loading",
        "form.for_spaces(as_before(observations), actions,",
        "form.for_spaces(observations, actions,",
        ("tests/agents/test_loading.py::test_agents_that_saw_pictures_as_mere_numbers_still_do",),
    ),
    Mutation(
        "clipping looks at the policy's gradient alone",
        "pg_agents.agents.common.flat_optimizer",
        "torch._foreach_mul_(gradients, max_norm / norm)",
        "torch._foreach_mul_(gradients[:1], max_norm / norm)",
        (
            "tests/agents/common/test_flat_optimizer.py::test_steps_are_those_of_torch_on_single_parameters[adam-vectors]",
        ),
    ),
    Mutation(
        "Adam has torch's ε, whatever is given",
        "pg_agents.agents.common.flat_optimizer",
        'options = {"eps": epsilon} if name == "adam" else {}',
        "options: dict[str, float] = {}",
        ("tests/agents/common/test_flat_optimizer.py::test_the_first_step_of_adam_by_hand",),
    ),
    Mutation(
        "the critic of a natural-gradient agent has Adam's usual ε",
        "pg_agents.agents.common.natural_gradient",
        'FlatOptimizer("adam", critic, epsilon=adam_epsilon)',
        'FlatOptimizer("adam", critic)',
        ("tests/agents/common/test_flat_optimizer.py::test_the_epsilon_of_adam_is_an_argument_of_every_agent",),
    ),
    Mutation(
        "advantages of a minibatch are divided by the deviation over n",
        "pg_agents.agents.ppo",
        "standardize(advantages, valid, correction=1)",
        "standardize(advantages, valid)",
        ("tests/agents/test_ppo.py::test_advantages_can_be_standardized_over_each_minibatch",),
    ),
    Mutation(
        "rows that cut their episodes themselves are thought to do so where others of their kind are cut",
        "pg_agents.agents.common.make_agent",
        'own = one.unwrapped if hasattr(one, "num_envs") else None',
        "own = None",
        ("tests/agents/test_published.py::test_a_constant_length_is_that_of_the_environments_longest_episode",),
    ),
    Mutation(
        "parameters that are not finite are loaded",
        "pg_agents.agents.loading",
        "    if wrong := not_finite(agent):\n        raise",
        "    if (wrong := not_finite(agent)) == 0:\n        raise",
        ("tests/agents/test_not_finite.py::test_such_agents_are_saved_with_a_warning_and_not_loaded",),
    ),
    Mutation(
        "GRPO reports as clipped what is beyond ε, whatever ε_high is",
        "pg_agents.agents.grpo",
        "ratio_metrics(log_ratio, clip, self.clip_high)",
        "ratio_metrics(log_ratio, clip)",
        ("tests/agents/test_grpo.py::test_loss_by_hand",),
    ),
    Mutation(
        "the ratio is of the old policy to the new one",
        "pg_agents.agents.ppo",
        "log_ratio = log_probs - batch.log_probs",
        "log_ratio = batch.log_probs - log_probs",
        ("tests/agents/test_ppo.py::test_the_gradient_where_it_acted_is_that_of_a2c",),
    ),
    Mutation(
        "minibatches of independent learners are of some learners",
        "pg_agents.agents.common.gradient_accumulation",
        'return "row"',
        'return "environment"',
        ("tests/agents/test_base.py::test_rewards_of_one_learner_move_its_own_parameters_alone",),
    ),
    Mutation(
        "how far all independent learners have moved ends the update of each",
        "pg_agents.agents.common.config",
        '"normalize_rewards", "target_kl")',
        '"normalize_rewards")',
        ("tests/agents/test_base.py::test_what_would_couple_independent_learners_is_refused",),
    ),
    Mutation(
        "statistics of observations change before what was seen is learned from",
        "pg_agents.agents.base",
        "            batch, metrics = self.prepare(",
        "            [scale.update(rollout.observations, rollout.mask) for scale in self.observation_scales]\n"
        "            batch, metrics = self.prepare(",
        ("tests/policies/test_normalization.py::test_an_agent_learns_with_the_statistics_that_it_acted_with",),
    ),
    Mutation(
        "what the old policy holds moves with the new one",
        "pg_agents.agents.common.natural_gradient",
        "torch.func.functional_call(policy, before, self.seen)",
        "policy(*self.seen)",
        (
            "tests/agents/common/test_natural_gradient.py::test_the_fisher_matrix_of_a_linear_gaussian_is_its_closed_form",
        ),
    ),
    Mutation(
        "the divergence is from the new policy to the old one",
        "pg_agents.agents.common.natural_gradient",
        "kl_divergence(self.old, self.policy(*self.seen))",
        "kl_divergence(self.policy(*self.seen), self.old)",
        ("tests/agents/common/test_natural_gradient.py::test_the_divergence_is_from_the_policy_as_it_was",),
    ),
    Mutation(
        "a step that was refused stays",
        "pg_agents.agents.common.natural_gradient",
        "        if not taken:\n            assign(parameters, before)",
        "        pass",
        (
            "tests/agents/common/test_natural_gradient.py::test_where_no_step_is_taken_the_parameters_are_what_they_were[too far]",  # noqa: E501
            "tests/agents/common/test_natural_gradient.py::test_an_error_in_the_search_leaves_the_parameters_as_they_were",
            "tests/agents/test_trpo.py::test_where_every_trial_is_refused_the_policy_is_what_it_was",
        ),
    ),
    Mutation(
        "a step out of the trust region is taken",
        "pg_agents.agents.common.natural_gradient",
        "if improvement > 0 and kl <= max_kl:",
        "if improvement > 0:",
        (
            "tests/agents/common/test_natural_gradient.py::test_the_first_step_that_is_better_and_near_enough_is_taken",
            "tests/agents/test_trpo.py::test_the_step_is_shortened_until_it_is_near_enough",
        ),
    ),
    Mutation(
        "the step is as long as if the divergence were the whole square",
        "pg_agents.agents.common.natural_gradient",
        "return (2 * max_kl / length).sqrt() * direction, residual",
        "return (max_kl / length).sqrt() * direction, residual",
        (
            "tests/agents/common/test_natural_gradient.py::test_the_divergence_of_the_step_is_delta_to_second_order",
            "tests/agents/test_trpo.py::test_the_natural_policy_gradient_goes_as_far_as_it_says[1e-06]",
        ),
    ),
    Mutation(
        "conjugate gradients forget the direction before",
        "pg_agents.agents.common.natural_gradient",
        "direction = residual + square / before * direction",
        "direction = residual",
        ("tests/agents/common/test_natural_gradient.py::test_as_many_iterations_as_unknowns_solve_the_system",),
    ),
    Mutation(
        "the natural step goes down",
        "pg_agents.agents.npg",
        "gradient = -flatten(",
        "gradient = flatten(",
        ("tests/agents/test_trpo.py::test_the_natural_gradient_of_a_table_is_the_advantage[NaturalPolicyGradient]",),
    ),
    Mutation(
        "PPO's critic is weighed by 1, whatever its weight",
        "pg_agents.agents.ppo",
        "torch.add(terms, errors, alpha=self.value_weight)",
        "terms + errors",
        ("tests/agents/test_ppo.py::test_the_loss_by_hand",),
    ),
    Mutation(
        "A2C is rewarded for certainty",
        "pg_agents.agents.a2c",
        "entropy, self.current(",
        "entropy, -self.current(",
        ("tests/agents/test_ppo.py::test_the_loss_by_hand",),
    ),
    Mutation(
        "the actor-critic is rewarded for certainty",
        "pg_agents.agents.actor_critic",
        "entropy, self.current(",
        "entropy, -self.current(",
        ("tests/agents/test_base.py::test_entropy_is_rewarded_with_its_weight",),
    ),
    Mutation(
        "a token's entropy has the gradient of its cross-entropy",
        "pg_agents.distributions.tokens",
        "(finite + entropy[rows, None])",
        "finite",
        ("tests/distributions/test_tokens_categorical.py::test_values_and_gradients_are_those_of_the_plain_formula",),
    ),
    Mutation(
        "top-p keeps one token too few",
        "pg_agents.distributions.tokens",
        ".clamp(min=1) - 1)",
        ".clamp(min=2) - 2)",
        ("tests/distributions/test_tokens_categorical.py::test_kept_tokens_by_hand",),
    ),
    Mutation(
        "texts are cut by a number of steps",
        "pg_agents.agents.common.make_agent",
        "arguments = defaults_for | defaults_for_policy(form, type(policy).__name__) | arguments",
        "arguments = defaults_for_policy(form, type(policy).__name__) | defaults_for | arguments",
        ("tests/agents/test_whole_texts.py::test_texts_are_learned_from_whole_whatever_their_number",),
    ),
    Mutation(
        "saving an agent deletes files of others",
        "pg_agents.agents.common.files",
        "        if name not in written:",
        "        if name not in written and not name.startswith(MODEL):",
        ("tests/agents/test_loading.py::test_files_that_are_not_ours_are_never_deleted",),
    ),
    Mutation(
        "a description of an agent names a model to read",
        "pg_agents.agents.loading",
        "if unknown := arguments.keys() - set(form.argument_names()):",
        "if unknown := arguments.keys() - {*form.argument_names(), 'policy'}:",
        ("tests/agents/test_loading.py::test_a_policy_that_a_description_names_is_never_read_from_elsewhere",),
    ),
    Mutation(
        "a language model's agent is saved without its configuration",
        "pg_agents.agents.common.files",
        "        write_model(fresh / MODEL)\n",
        "",
        ("tests/llm/test_make_language_networks.py::test_a_run_from_a_pretrained_model_to_its_evaluation",),
    ),
    Mutation(
        "a pretrained model learns with a small network's step size",
        "pg_agents.agents.common.make_agent",
        '(general if kind == "HuggingFacePolicy" else {})',
        "{}",
        ("tests/llm/test_make_language_networks.py::test_a_run_from_a_pretrained_model_to_its_evaluation",),
    ),
    Mutation(
        "the policy is pushed away from the reference",
        "pg_agents.agents.common.kl_regularization",
        "rewards=rollout.rewards - weight * log_ratios(rollout)",
        "rewards=rollout.rewards + weight * log_ratios(rollout)",
        (
            "tests/agents/common/test_kl_regularization.py::test_a_penalty_in_the_rewards_is_summed_to_the_end",
            "tests/agents/common/test_kl_regularization.py::test_a_bandit_ends_where_theory_says",
            "tests/gradients/test_objectives.py::test_what_theory_calls_unbiased_is_and_the_rest_is_not",
        ),
    ),
    Mutation(
        "the reference's ratio is upside down",
        "pg_agents.agents.common.kl_regularization",
        "ratios = mine - reference",
        "ratios = reference - mine",
        (
            "tests/agents/common/test_kl_regularization.py::test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others",
            "tests/gradients/test_objectives.py::test_an_agents_loss_on_all_texts_has_the_gradient_of_the_objective",
        ),
    ),
    Mutation(
        "the penalty of a step is not that of what follows it",
        "pg_agents.agents.common.kl_regularization",
        "to_go = reward_to_go(log_ratios(rollout), rollout.terminated, rollout.truncated, discount)",
        "to_go = log_ratios(rollout)",
        (
            "tests/agents/common/test_kl_regularization.py::test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others",
            "tests/gradients/test_objectives.py::test_what_theory_calls_unbiased_is_and_the_rest_is_not",
        ),
    ),
    Mutation(
        "the divergence to go forgets the time that has passed",
        "pg_agents.agents.common.kl_regularization",
        "leave_one_out(time_weights(rollout, discount) * to_go",
        "leave_one_out(to_go",
        (
            "tests/agents/common/test_kl_regularization.py::test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others",
        ),
    ),
    Mutation(
        "the divergence of the whole group is compared, one's own too",
        "pg_agents.agents.common.kl_regularization",
        "leave_one_out(time_weights(rollout, discount) * to_go * rollout.mask, rollout.group_ids)",
        "(lambda k: k - k.mean(-1, keepdim=True))(time_weights(rollout, discount) * to_go * rollout.mask)",
        ("tests/gradients/test_objectives.py::test_what_theory_calls_unbiased_is_and_the_rest_is_not",),
    ),
    Mutation(
        "the penalty is part of the scores that a group standardises",
        "pg_agents.agents.grpo",
        "scores, mask = returns_of_columns(rollout, self.discount), rollout.mask",
        "from pg_agents.agents.common.kl_regularization import penalized\n"
        '        kl = penalized(rollout, self.kl_penalty, self.current("kl_weight"))\n'
        "        scores, mask = returns_of_columns(kl, self.discount), rollout.mask",
        (
            "tests/agents/common/test_kl_regularization.py::test_groups_compare_scores_without_the_penalty_and_its_rest_with_the_others",
            "tests/gradients/test_objectives.py::test_standardising_scores_with_the_kl_in_them_would_make_noise_of_equal_scores",
        ),
    ),
    Mutation(
        "groups of equal scores do not feel the penalty",
        "pg_agents.agents.grpo",
        'if not (self.current("kl_weight") or self.current("entropy_weight")):',
        "if True:",
        (
            "tests/agents/common/test_kl_regularization.py::test_groups_of_equal_scores_still_feel_the_penalty",
            "tests/agents/test_grpo.py::test_an_entropy_bonus_acts_on_groups_of_equal_returns",
        ),
    ),
    Mutation(
        "the reference's statistics of observations move",
        "pg_agents.agents.base",
        "for scale in self.observation_scales:",
        "for scale in scales_of(self):",
        ("tests/agents/common/test_kl_regularization.py::test_it_is_the_policy_as_it_was_and_stays",),
    ),
    Mutation(
        "the reference is asked with gradients",
        "pg_agents.agents.common.kl_regularization",
        "@torch.no_grad()\ndef beside_reference",
        "@torch.enable_grad()\ndef beside_reference",
        ("tests/agents/common/test_kl_regularization.py::test_it_is_the_policy_as_it_was_and_stays",),
    ),
    Mutation(
        "k2 and k3 are mistaken for each other",
        "pg_agents.agents.common.kl_regularization",
        '"k2" if penalty == "k2-loss" else "k3"',
        '"k3" if penalty == "k2-loss" else "k2"',
        ("tests/agents/common/test_kl_regularization.py::test_a_penalty_in_the_loss_by_hand",),
    ),
    Mutation(
        "a penalty in the loss is in the rewards as well",
        "pg_agents.agents.common.kl_regularization",
        'if penalty != "reward" or not weight:\n        return rollout\n',
        "if not weight:\n        return rollout\n",
        ("tests/agents/common/test_kl_regularization.py::test_a_penalty_in_the_loss_by_hand",),
    ),
    Mutation(
        "gradients of micro-batches are added up without being averaged",
        "pg_agents.agents.common.gradient_accumulation",
        "(g / len(losses) * (p - p.detach()))",
        "(g * (p - p.detach()))",
        ("tests/agents/test_batch_invariance.py::test_steps_differentiated_a_few_at_a_time_make_the_same_update",),
    ),
]
