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
        "rows that cut their episodes themselves are thought to do so where others of their kind are cut",
        "pg_agents.agents.common.make_agent",
        'own = one.unwrapped if hasattr(one, "num_envs") else None',
        "own = None",
        ("tests/agents/test_published.py::test_a_constant_length_is_that_of_the_environments_longest_episode",),
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
]
