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
        "how far all independent learners have moved ends the update of each",
        "pg_agents.agents.common.config",
        '"normalize_rewards", "target_kl")',
        '"normalize_rewards")',
        ("tests/agents/test_base.py::test_what_would_couple_independent_learners_is_refused",),
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
