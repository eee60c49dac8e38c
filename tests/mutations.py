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


AGENTS, POLICIES = "tests/agents/test_", "tests/policies/test_"

MUTATIONS = [
    Mutation(
        "the sign of the policy gradient is flipped",
        "pg_agents.losses",
        "return -advantages.detach() * log_probs",
        "return advantages.detach() * log_probs",
        (AGENTS + "reinforce.py::test_expected_gradient_is_the_exact_gradient", "tests/test_losses.py"),
    ),
    Mutation(
        "a gradient flows through the advantages",
        "pg_agents.losses",
        "-advantages.detach() * log_probs",
        "-advantages * log_probs",
        ("tests/test_losses.py::test_policy_gradient_by_hand",),
    ),
    Mutation(
        "a gradient flows through the critic's targets",
        "pg_agents.losses",
        "(values - targets.detach())",
        "(values - targets)",
        ("tests/test_losses.py::test_squared_error_by_hand",),
    ),
    Mutation(
        "the mask is shifted by one row",
        "pg_agents.losses",
        "    total = mask.sum(0) if num_learners > 1 else mask.sum()",
        "    mask = mask.roll(1, 0)\n    total = mask.sum(0) if num_learners > 1 else mask.sum()",
        (AGENTS + "actor_critic.py::test_targets_by_hand", "tests/test_losses.py::test_mean_over_steps_by_hand"),
    ),
    Mutation(
        "the mask is ignored",
        "pg_agents.losses",
        "return mask.to(dtype) if num_learners > 1 else mask.to(dtype) / mask.any(0)",
        "return mask.to(dtype) if num_learners > 1 else torch.ones_like(mask).to(dtype) / mask.any(0)",
        (
            AGENTS + "reinforce.py::test_padding_changes_nothing",
            "tests/test_collect.py::test_modes_give_the_same_gradients",
        ),
    ),
    Mutation(
        "the value of the next state is used after termination",
        "pg_agents.returns",
        "return discount * (~terminated).to(dtype)",
        "return discount * torch.ones_like(terminated).to(dtype)",
        (
            AGENTS + "actor_critic.py::test_targets_by_hand",
            "tests/test_returns.py::test_terminated_truncated_and_both_by_hand",
        ),
    ),
    Mutation(
        "nothing is cut at truncation",
        "pg_agents.returns",
        "lambdas = lambda_ * (~truncated).to(dtype)",
        "lambdas = lambda_ * torch.ones_like(truncated).to(dtype)",
        (
            AGENTS + "actor_critic.py::test_targets_by_hand",
            "tests/test_returns.py::test_terminated_truncated_and_both_by_hand",
        ),
    ),
    Mutation(
        "the end of the rollout is not a cut",
        "pg_agents.returns",
        "    lambdas[-1] = 0\n",
        "",
        ("tests/test_returns.py::test_steps_discounts_and_lambdas_by_hand",),
    ),
    Mutation(
        "λ weighs the wrong half of the target",
        "pg_agents.returns",
        "fixed = rewards + discounts * (1 - lambdas) * next_values",
        "fixed = rewards + discounts * lambdas * next_values",
        ("tests/test_returns.py::test_lambda_returns_by_hand",),
    ),
    Mutation(
        "the reward is discounted too",
        "pg_agents.returns",
        "fixed = rewards + discounts",
        "fixed = discounts * rewards + discounts",
        (
            "tests/test_returns.py::test_lambda_returns_by_hand",
            AGENTS + "actor_critic.py::test_one_step_targets_by_hand",
        ),
    ),
    Mutation(
        "the whole return is that of the row, not of the episode's start",
        "pg_agents.returns",
        "return to_go.gather(0, first)",
        "return to_go",
        (
            "tests/test_returns.py::test_reward_to_go_and_whole_returns_by_hand",
            AGENTS + "reinforce.py::test_signals_by_hand",
        ),
    ),
    Mutation(
        "a batch mean leaves out the episodes that have ended",
        "pg_agents.agents.baselines",
        "rollout.mask.any(0).sum().clamp(min=1)",
        "rollout.mask.sum(1, keepdim=True).clamp(min=1).expand_as(returns)[rollout.times, 0]",
        (AGENTS + "reinforce_baseline.py::test_batch_mean_by_hand",),
    ),
    Mutation(
        "γ^t is left out where it was asked for",
        "pg_agents.agents.signals",
        "return discount ** rollout.times",
        "return 1.0 ** rollout.times",
        (
            AGENTS + "reinforce.py::test_expected_gradient_is_the_exact_gradient",
            AGENTS + "actor_critic.py::test_discounted_time_weighs_by_the_time_in_the_episode",
        ),
    ),
    Mutation(
        "γ^t is counted from the rollout's start, not the episode's",
        "pg_agents.agents.signals",
        "return discount ** rollout.times.to(rollout.rewards.dtype)",
        "return discount ** torch.ones_like(rollout.rewards).cumsum(0) / discount",
        (AGENTS + "actor_critic.py::test_discounted_time_weighs_by_the_time_in_the_episode",),
    ),
    Mutation(
        "the next value is that of the same state",
        "pg_agents.agents.signals",
        "torch.cat([values[1:], torch.zeros_like(values[:1])])",
        "values.clone()",
        (AGENTS + "signals.py::test_state_values_by_hand",),
    ),
    Mutation(
        "the final observation is not looked at",
        "pg_agents.agents.signals",
        "    next_values[tuple(rollout.final_rows.T)] = final_values",
        "    pass",
        (
            AGENTS + "actor_critic.py::test_targets_by_hand",
            AGENTS + "actor_critic.py::test_targets_from_an_environment_in_every_mode",
        ),
    ),
    Mutation(
        "the running average includes the return it is compared with",
        "pg_agents.agents.baselines",
        "        average = (self.total / self.count.clamp(min=1)).to(returns.dtype)  # [L], L = 1 or B\n",
        "        average = (returns * rollout.mask).sum() / rollout.mask.sum() + 0 * self.total.to(returns.dtype)\n",
        (AGENTS + "reinforce_baseline.py::test_running_average_is_equation_13",),
    ),
    Mutation(
        "a baseline that sees the action",
        "pg_agents.agents.baselines",
        "return torch.full_like(returns, self.constant)",
        "return self.constant * rollout.actions.to(returns.dtype)",
        (AGENTS + "reinforce_baseline.py::test_constants_and_values_leave_the_expected_gradient_alone",),
    ),
    Mutation(
        "the baseline is added",
        "pg_agents.agents.reinforce_baseline",
        "advantages = returns - baseline",
        "advantages = returns + baseline",
        (
            AGENTS + "reinforce_baseline.py::test_value_baseline_by_hand",
            AGENTS + "reinforce_baseline.py::test_running_average_is_equation_13",
        ),
    ),
    Mutation(
        "the entropy bonus is a penalty",
        "pg_agents.agents.reinforce",
        "loss = policy_loss - self.current(",
        "loss = policy_loss + self.current(",
        (AGENTS + "reinforce.py::test_gradient_of_the_entropy_bonus",),
    ),
    Mutation(
        "the advantage of the actor-critic has the wrong sign",
        "pg_agents.agents.actor_critic",
        "advantages = targets - values",
        "advantages = values - targets",
        (AGENTS + "actor_critic.py::test_gradients_by_hand",),
    ),
    Mutation(
        "rewards are standardised with their mean taken off in the scale",
        "pg_agents.normalize",
        "rewards=rollout.rewards / self.moments.std()",
        "rewards=(rollout.rewards - self.moments.mean) / self.moments.std()",
        ("tests/test_normalize.py::test_reward_scale_by_hand",),
    ),
    Mutation(
        "episodes flow into each other in the scale of rewards",
        "pg_agents.normalize",
        "torch.where(starts, 0.0, self.discount * accumulated)",
        "self.discount * accumulated",
        ("tests/test_normalize.py::test_sums_go_on_from_rollout_to_rollout_until_the_next_start",),
    ),
    Mutation(
        "samples are always the mode",
        "pg_agents.distributions.categorical",
        "return (self.unnormalized - race).argmax(-1)",
        "return self.unnormalized.argmax(-1)",
        ("tests/test_distributions.py::test_frequencies_of_categorical_samples",),
    ),
    Mutation(
        "the Gaussian's log-probability forgets its normaliser",
        "pg_agents.distributions.gaussian",
        "return -(0.5 * scaled.square() + self.log_std + 0.5 * math.log(2 * math.pi)).sum(-1)",
        "return -(0.5 * scaled.square()).sum(-1)",
        ("tests/test_distributions.py::test_gaussian_by_hand",),
    ),
    Mutation(
        "the ignored action after an episode's end is learned from",
        "pg_agents.stream",
        "self.live = ~done if any_done else self.all",
        "self.live = self.all",
        (
            "tests/test_stream.py::test_one_step_bandits_pay_one_on_average_under_next_step",
            "tests/test_collect.py::test_modes_give_the_same_rollouts",
        ),
    ),
    Mutation(
        "truncation wins over termination",
        "pg_agents.stream",
        "truncated = done ^ terminated",
        "terminated = done ^ truncated",
        ("tests/test_stream.py::test_where_both_happen_in_one_step_it_terminated",),
    ),
    Mutation(
        "the first observation of the next episode is taken for the last of this one",
        "pg_agents.stream",
        'final = _with_rows(observation, infos["final_obs"], done)',
        "final = observation",
        ("tests/test_stream.py::test_final_observation_is_the_one_that_followed_the_step",),
    ),
    Mutation(
        "the end-of-sequence action is left out of the loss",
        "pg_agents.collect",
        "record.add(decision, step, step.live & active, terminated,",
        "record.add(decision, step, step.live & active & ~step.terminated, terminated,",
        ("tests/test_collect.py::test_columns_of_episodes",),
    ),
    Mutation(
        "the log-probability is of the clipped action",
        "pg_agents.actor",
        "Decision(seen, distribution, actions)",
        "Decision(seen, distribution, torch.from_numpy(self.door(actions)))",
        ("tests/test_collect.py::test_log_prob_is_of_the_action_as_sampled",),
    ),
    Mutation(
        "attention sees what comes after",
        "pg_agents.policies.transformer",
        "scaled_dot_product_attention(q, k, v, is_causal=True)",
        "scaled_dot_product_attention(q, k, v)",
        (POLICIES + "transformer.py::test_later_tokens_change_nothing_before_them",),
    ),
    Mutation(
        "a block's distributions are a token late",
        "pg_agents.policies.transformer",
        "(observations.lengths - 1).clamp(max=hidden.shape[1] - 1)",
        "observations.lengths.clamp(max=hidden.shape[1] - 1)",
        (POLICIES + "transformer.py::test_block_equals_its_windows_in_value_and_gradient",),
    ),
    Mutation(
        "cached keys are kept when the parameters change",
        "pg_agents.policies.transformer",
        "memory.version == self.trunk.version()",
        "True",
        (
            POLICIES + "transformer.py::test_cache_does_not_outlive_the_parameters_it_was_computed_from",
            "tests/test_collect_tokens.py::test_log_probs_are_of_the_policy_that_acted_also_after_an_update",
        ),
    ),
    Mutation(
        "the gain moves away from the rewards",
        "pg_agents.agents.average_reward",
        "self.gain += rate * differences",
        "self.gain -= rate * differences",
        (AGENTS + "average_reward.py::test_three_steps_of_one_environment_by_hand",),
    ),
    Mutation(
        "the next action's value is this action's",
        "pg_agents.agents.average_reward",
        "targets = rows.rewards - self.gain + taken[1:]",
        "targets = rows.rewards - self.gain + taken[:-1]",
        (AGENTS + "average_reward.py::test_three_steps_of_one_environment_by_hand",),
    ),
    Mutation(
        "the action's value is not compared with the policy's",
        "pg_agents.agents.average_reward",
        "advantages = taken - (_probabilities(distribution) * values).sum(-1)",
        "advantages = taken",
        (AGENTS + "average_reward.py::test_three_steps_of_one_environment_by_hand",),
    ),
    Mutation(
        "a step is learned from across a reset",
        "pg_agents.agents.average_reward",
        "return rollout.mask[:-1] & rollout.mask[1:] & ~rollout.starts[1:]",
        "return rollout.mask[:-1] & rollout.mask[1:]",
        (AGENTS + "average_reward.py::test_nothing_passes_a_truncation",),
    ),
    Mutation(
        "the mean of the others includes the sample itself",
        "pg_agents.returns",
        "return scores - (scores @ same - scores) / others",
        "return scores - (scores @ same) / (others + 1)",
        (
            "tests/test_returns.py::test_leave_one_out_by_hand",
            "tests/gradients/test_bias.py::test_the_expectation_of_every_unbiased_estimator_is_the_gradient",
        ),
    ),
    Mutation(
        "the group's deviation divides by n",
        "pg_agents.returns",
        "(counts - 1).clamp(min=1)).sqrt()",
        "counts).sqrt()",
        ("tests/test_returns.py::test_group_standardize_by_hand",),
    ),
    Mutation(
        "λ counts for γ in the advantage",
        "pg_agents.returns",
        "step_lambdas(truncated, lambda_, rewards.dtype)) - values",
        "step_lambdas(truncated, discount, rewards.dtype)) - values",
        ("tests/test_returns.py::test_gae_by_hand",),
    ),
    Mutation(
        "k3 has the ratio upside down",
        "pg_agents.losses",
        "torch.expm1(-x) + x",
        "torch.expm1(x) - x",
        ("tests/test_losses.py::test_kl_terms_by_hand",),
    ),
    Mutation(
        "rewards of ignored actions count",
        "pg_agents.stream",
        "truncated, done = rewards * live, terminated & live",
        "truncated, done = rewards, terminated & live",
        ("tests/test_stream.py::test_a_reward_for_an_ignored_action_does_not_count",),
    ),
    Mutation(
        "groups of equal returns weigh what the others do",
        "pg_agents.agents.grpo",
        "weights=weights * informative)",
        "weights=weights)",
        (
            AGENTS + "grpo.py::test_groups_of_equal_returns_weigh_nothing_and_the_others_no_more",
            AGENTS + "grpo.py::test_where_all_returns_are_equal_nothing_moves",
        ),
    ),
    Mutation(
        "an episode's mean divides by the longest one's steps",
        "pg_agents.losses",
        'lengths = mask.sum(0).clamp(min=1) if how == "sequence-mean" else length',
        'lengths = len(mask) if how == "sequence-mean" else length',
        (AGENTS + "grpo.py::test_weights_by_hand", AGENTS + "grpo.py::test_padding_changes_nothing"),
    ),
    Mutation(
        "groups are compared with each other",
        "pg_agents.agents.rloo",
        "leave_one_out(returns_of_columns(rollout, self.discount), rollout.group_ids)",
        "leave_one_out(returns_of_columns(rollout, self.discount))",
        (AGENTS + "rloo.py::test_advantages_and_weights_by_hand",),
    ),
    Mutation(
        "only the last reward counts for an episode",
        "pg_agents.agents.grouping",
        "(time_weights(rollout, discount) * rollout.rewards * rollout.mask).sum(0)",
        "(time_weights(rollout, discount) * rollout.rewards * rollout.terminated).sum(0)",
        (
            AGENTS + "rloo.py::test_advantages_and_weights_by_hand",
            AGENTS + "rloo.py::test_its_expectation_is_the_gradient",
        ),
    ),
    Mutation(
        "each environment of a group has a seed of its own",
        "pg_agents.groups",
        "return [int(seed) for seed in drawn[self.ids]]",
        "return [int(seed) + i for i, seed in enumerate(drawn[self.ids])]",
        (
            "tests/test_groups.py::test_a_group_begins_alike_and_acts_on_its_own",
            "tests/test_groups.py::test_episodes_that_act_alike_share_the_noise_of_their_dynamics",
        ),
    ),
    Mutation(
        "every rollout begins where the first did",
        "pg_agents.groups",
        "drawn = self.generator.integers(",
        "drawn = np.random.default_rng(0).integers(",
        (
            "tests/test_groups.py::test_a_group_begins_alike_and_acts_on_its_own",
            "tests/test_groups.py::test_seeds_never_repeat_and_are_not_those_of_other_runs",
        ),
    ),
    Mutation(
        "a mask is not heeded",
        "pg_agents.policies.heads",
        "return torch.where(allowed | ~allowed.any(-1, keepdim=True), logits, -torch.inf)",
        "return logits",
        (
            POLICIES + "heads.py::test_allow_by_hand",
            "tests/test_stream_masks.py::test_agents_learn_and_never_do_what_is_forbidden",
        ),
    ),
    Mutation(
        "a row in which all is masked has no distribution",
        "pg_agents.policies.heads",
        "allowed | ~allowed.any(-1, keepdim=True)",
        "allowed",
        (POLICIES + "heads.py::test_a_choice_of_which_all_is_masked_is_free_and_the_others_are_not",),
    ),
    Mutation(
        "the mask is that of the step before",
        "pg_agents.masks",
        "                masks = self._read(reset, masks | starts[:, None])\n            observation",
        "                masks = self._read(reset, masks | starts[:, None])\n"
        "            masks, self.last = getattr(self, 'last', masks), masks\n            observation",
        ("tests/test_stream_masks.py::test_the_mask_is_that_of_the_observation_beside_it",),
    ),
    Mutation(
        "the mask of a reset is not looked at",
        "pg_agents.masks",
        "            if reset is not None:",
        "            if False:",
        ("tests/test_stream_masks.py::test_the_mask_is_that_of_the_observation_beside_it",),
    ),
    Mutation(
        "the mask is a feature",
        "pg_agents.policies.encoder",
        "self.part = _part(without_mask(space))",
        "self.part = _part(space)",
        ("tests/test_stream_masks.py::test_agents_learn_and_never_do_what_is_forbidden",),
    ),
    Mutation(
        "the likelihood of a squashed action is that before the tanh",
        "pg_agents.distributions.squashed",
        "return self.gaussian.log_prob(actions) - (self.log_scale + log_slope(actions)).sum(-1)",
        "return self.gaussian.log_prob(actions)",
        (
            "tests/test_squashed.py::test_log_prob_by_hand",
            "tests/test_squashed.py::test_density_of_actions_integrates_to_one",
        ),
    ),
    Mutation(
        "the entropy of a squashed Gaussian forgets the tanh",
        "pg_agents.distributions.squashed",
        "return self.gaussian.entropy() + (self.log_scale + expected).sum(-1)",
        "return self.gaussian.entropy() + self.log_scale.sum(-1)",
        (
            "tests/test_squashed.py::test_entropy_by_numerical_integration",
            "tests/test_squashed.py::test_entropy_by_monte_carlo",
        ),
    ),
    Mutation(
        "a squashed action reaches the environment before its tanh",
        "pg_agents.actor",
        "self.door(self.policy.outward(actions))",
        "self.door(actions)",
        ("tests/test_every_space.py::test_a_squashed_policy_finds_a_point_inside_its_box",),
    ),
    Mutation(
        "bytes are not scaled",
        "pg_agents.policies.images",
        "* (1 / self.width)",
        "* 1",
        (POLICIES + "images.py::test_bytes_are_scaled_to_one_and_leading_dimensions_stay",),
    ),
    Mutation(
        "channels last are taken for channels first",
        "pg_agents.policies.images",
        "images = images.permute(0, 3, 1, 2)",
        "images = images.reshape(len(images), images.shape[3], *images.shape[1:3])",
        (POLICIES + "images.py::test_channels_first_and_last_are_the_same_picture",),
    ),
    Mutation(
        "the start of a MultiDiscrete is not added",
        "pg_agents.spaces",
        "first = space.shape, space.start if isinstance(space, spaces.MultiDiscrete) else 0",
        "first = space.shape, 0",
        ("tests/test_spaces.py::test_multi_discrete_actions_are_shaped_and_shifted",),
    ),
    Mutation(
        "the entropy of bits forgets the unlikely value",
        "pg_agents.distributions.multi",
        "return (functional.softplus(-size) + size * torch.sigmoid(-size)).sum(-1)",
        "return functional.softplus(-size).sum(-1)",
        ("tests/test_multi_distributions.py::test_probabilities_sum_to_one_and_give_the_entropy",),
    ),
    Mutation(
        "the surrogate is clipped where it helps as well as where it hurts",
        "pg_agents.losses",
        "return -torch.minimum(ratio * advantages, clipped * advantages)",
        "return -clipped * advantages",
        ("tests/agents/test_ppo.py::test_clipped_surrogate_by_hand",),
    ),
    Mutation(
        "the ratio is of the old policy to the new one",
        "pg_agents.agents.ppo",
        "log_ratio = distribution.log_prob(batch.actions) - batch.log_probs",
        "log_ratio = batch.log_probs - distribution.log_prob(batch.actions)",
        ("tests/agents/test_ppo.py::test_the_gradient_where_it_acted_is_that_of_a2c",),
    ),
    Mutation(
        "a minibatch weighs as little as its part of the batch",
        "pg_agents.minibatches",
        'fields["weights"] = fields["weights"] * parts',
        'fields["weights"] = fields["weights"] * 1',
        (
            "tests/test_minibatches.py"
            "::test_every_valid_step_comes_once_and_the_mean_of_the_losses_is_the_whole_s[False-4]",
        ),
    ),
    Mutation(
        "statistics of observations change before what was seen is learned from",
        "pg_agents.agents.agent",
        "            batch, metrics = self.prepare(",
        "            [scale.update(rollout.observations, rollout.mask) for scale in self.observation_scales]\n"
        "            batch, metrics = self.prepare(",
        ("tests/test_normalize.py::test_an_agent_learns_with_the_statistics_that_it_acted_with",),
    ),
    Mutation(
        "what the old policy holds moves with the new one",
        "pg_agents.agents.natural",
        "torch.func.functional_call(policy, before, self.seen)",
        "policy(*self.seen)",
        (AGENTS + "natural.py::test_the_fisher_matrix_of_a_linear_gaussian_is_its_closed_form",),
    ),
    Mutation(
        "the divergence is from the new policy to the old one",
        "pg_agents.agents.natural",
        "kl_divergence(self.old, self.policy(*self.seen))",
        "kl_divergence(self.policy(*self.seen), self.old)",
        (AGENTS + "natural.py::test_the_divergence_is_from_the_policy_as_it_was",),
    ),
    Mutation(
        "a step that was refused stays",
        "pg_agents.agents.natural",
        "        if not taken:\n            assign(parameters, before)",
        "        pass",
        (
            AGENTS + "natural.py::test_where_no_step_is_taken_the_parameters_are_what_they_were[too far]",
            AGENTS + "natural.py::test_an_error_in_the_search_leaves_the_parameters_as_they_were",
            AGENTS + "trpo.py::test_where_every_trial_is_refused_the_policy_is_what_it_was",
        ),
    ),
    Mutation(
        "a step out of the trust region is taken",
        "pg_agents.agents.natural",
        "if improvement > 0 and kl <= max_kl:",
        "if improvement > 0:",
        (
            AGENTS + "natural.py::test_the_first_step_that_is_better_and_near_enough_is_taken",
            AGENTS + "trpo.py::test_the_step_is_shortened_until_it_is_near_enough",
        ),
    ),
    Mutation(
        "the step is as long as if the divergence were the whole square",
        "pg_agents.agents.natural",
        "return (2 * max_kl / length).sqrt() * direction, residual",
        "return (max_kl / length).sqrt() * direction, residual",
        (
            AGENTS + "natural.py::test_the_divergence_of_the_step_is_delta_to_second_order",
            AGENTS + "trpo.py::test_the_natural_policy_gradient_goes_as_far_as_it_says[1e-06]",
        ),
    ),
    Mutation(
        "conjugate gradients forget the direction before",
        "pg_agents.agents.natural",
        "direction = residual + square / before * direction",
        "direction = residual",
        (AGENTS + "natural.py::test_as_many_iterations_as_unknowns_solve_the_system",),
    ),
    Mutation(
        "the natural step goes down",
        "pg_agents.agents.npg",
        "gradient = -flatten(",
        "gradient = flatten(",
        (AGENTS + "trpo.py::test_the_natural_gradient_of_a_table_is_the_advantage[NaturalPolicyGradient]",),
    ),
    Mutation(
        "an action that is forbidden makes the divergence no number",
        "pg_agents.divergence",
        "torch.where(probabilities > 0, p.logits - other.logits, 0.0)",
        "(p.logits - other.logits)",
        ("tests/test_divergence.py::test_forbidden_actions_add_nothing_and_have_derivatives",),
    ),
]
