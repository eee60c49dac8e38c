"""What is looked at while an agent learns."""

from dataclasses import replace
from types import SimpleNamespace

import gymnasium as gym
import pytest
import torch
from tensorboard.plugin_util import markdown_to_safe_html

import pg_agents as pg
from pg_agents.data.rollout import Rollout, TokenBlock
from pg_agents.training.probes import (
    default_probes,
    probes_of_runs,
    text_table,
    token_samples,
)


def now(agent=None, rollout=None):
    """Return as much of a run as the probes look at."""
    return SimpleNamespace(agent=agent, rollout=rollout)


def tokens_rollout():
    """Two texts of at most three tokens: 5 6 | 7 3, worth 0.25 + 1, and 5 | 8 3 after which nothing counts."""
    block = TokenBlock(torch.tensor([[5, 6, 7, 3], [5, 8, 3, 0]]), torch.tensor([[2, 1], [3, 2], [4, 3]]))
    mask = torch.tensor([[True, True], [True, True], [False, False]])
    flags = torch.zeros(3, 2, dtype=torch.bool)
    numbers = torch.zeros(3, 2)
    return Rollout(
        observations=block,
        actions=torch.tensor([[7, 8], [3, 3], [1, 1]]),
        log_probs=numbers,
        rewards=torch.tensor([[0.25, 0.0], [1.0, 0.5], [9.0, 9.0]]),
        terminated=flags,
        truncated=flags,
        mask=mask,
        episode_starts=flags,
        times=flags.long(),
        final_observations=torch.zeros(0, 4),
        final_rows=torch.zeros(0, 2, dtype=torch.int64),
        episode_returns=torch.zeros(0),
        episode_lengths=torch.zeros(0, dtype=torch.int64),
    )


HEAD = "| prompt | completion | score |\n|---|---|---|\n"


def test_generated_texts_are_shown_with_what_they_were_worth():
    shown = token_samples(None)(now(rollout=tokens_rollout()))
    assert shown == {"samples/training": HEAD + "| `5 6` | `7 3` | 1.25 |\n| `5` | `8 3` | 0.50 |"}
    shown = token_samples(lambda ids: "".join("abcdefghij"[i] for i in ids), count=1)(now(rollout=tokens_rollout()))
    assert shown == {"samples/training": HEAD + "| `fg` | `hd` | 1.25 |"}


def test_texts_stay_in_their_cells():
    """Line breaks, bars, backticks and nothing at all, as TensorBoard renders them."""
    spoken = {2: "a|b\nc", 1: "``"}
    shown = text_table(tokens_rollout(), lambda ids: spoken[len(ids)])
    assert shown == HEAD + "| `a|b⏎c` | `a|b⏎c` | 1.25 |\n| ``` `` ``` | `a|b⏎c` | 0.50 |"
    html = markdown_to_safe_html(shown)
    assert html.count("<code>a|b⏎c</code>") == 3 and html.count("<code>``</code>") == 1 and html.count("<td>") == 6
    assert text_table(tokens_rollout(), lambda ids: "", count=1) == HEAD + "|  |  | 1.25 |"


def test_texts_of_rollouts_that_begin_and_end_anywhere():
    """Windows instead of a block: of each environment the first episode whose start and end were both seen."""
    rollout = tokens_rollout()
    episode_starts, ends = torch.tensor([[0, 1], [1, 0], [0, 0]]).bool(), torch.tensor([[1, 0], [0, 0], [1, 0]]).bool()
    windows = rollout.observations.windows()
    mask = torch.ones_like(rollout.mask)
    rollout = replace(rollout, observations=windows, episode_starts=episode_starts, terminated=ends, mask=mask)
    assert text_table(rollout, None) == HEAD + "| `5 6 7` | `3 1` | 10.00 |"
    assert text_table(replace(rollout, episode_starts=~mask), None) == ""


def test_each_family_gets_the_probes_that_suit_it():
    for env_id, probes in (("pg/Chain-v0", 2), ("pg/Copy-v0", 2), ("CartPole-v1", 1)):
        env = gym.make_vec(env_id, 2)
        assert len(default_probes(pg.Reinforce.for_env(env), env)) == probes
    env = gym.make_vec("pg/Copy-v0", 2)
    agent = pg.Reinforce.for_env(env)
    rollout = next(pg.collect_episodes(env, agent.policy))
    text = default_probes(agent, env)[1](now(agent, rollout))["samples/training"]
    assert env.unwrapped.decode(rollout.observations.tokens[0, : rollout.observations.lengths[0, 0]].tolist()) in text


# -- the forms that probes may have ------------------------------------------------------------------------------------
class OfARun:
    def __call__(self, run, scale=2.0):
        return {"mine/steps": scale * run.steps}


def test_probes_are_functions_of_the_run():
    probes = [len, OfARun(), lambda *run: None, lambda run, scale=1: None]
    assert probes_of_runs(probes) == probes


def test_probes_of_version_0_1_answer_with_a_warning_that_names_the_new_form(tmp_path):
    env = gym.make_vec("pg/TwoArmedBandit-v0", 4)
    agent, seen = pg.Reinforce.for_env(env), []

    def before(agent, rollout):
        seen.append((agent, rollout.num_transitions))
        return {"mine/rows": 1.0}

    with pytest.warns(DeprecationWarning, match=r"the probe .*before takes the run now, def probe\(run\)") as caught:
        pg.train(agent, env, total_steps=8, log_every=4, progress=False, probes=[before], run_dir=tmp_path / "r")
    assert seen == [(agent, 4), (agent, 4)] and '"mine/rows": 1.0' in (tmp_path / "r" / "metrics.jsonl").read_text()
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("probe", [lambda: None, lambda a, b, c: None, "gradient_noise", None])
def test_what_is_no_probe_is_refused_before_anything_is_written(tmp_path, probe):
    env = gym.make_vec("pg/TwoArmedBandit-v0", 4)
    with pytest.raises(ValueError, match=r"^probes: .* must be a function of the run: def probe\(run\)"):
        pg.train(pg.Reinforce.for_env(env), env, total_steps=8, probes=[probe], run_dir=tmp_path / "r")
    assert not (tmp_path / "r").exists()
