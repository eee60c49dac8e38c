"""The token MDP: its window, its episodes' ends, its groups, and what it says about bad input."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pg_envs import KnownReturns, TokenEnv, TokenVectorEnv, known_returns

EOS = 3
OWN = {  # 1 is a mark, 4 and 5 are symbols
    "prompts": [[1, 4], [1, 5]],
    "score": lambda prompt, completion: float(completion == [prompt[-1], EOS]),
    "vocabulary": 6,
    "eos": EOS,
    "max_new_tokens": 4,
}


def own(num_envs=2, **changes):
    return TokenVectorEnv(num_envs, **{**OWN, **changes})


def steps(env, *actions):
    return [env.step(np.array(action)) for action in actions]


# -- one episode by hand -----------------------------------------------------------------------------------------------
def test_own_prompts_and_score_make_an_environment():
    env = TokenEnv(**{**OWN, "prompts": [[1, 5]]}, render_mode="ansi")
    observation, info = env.reset(seed=0)
    assert observation["tokens"].tolist() == [1, 5, 0, 0, 0, 0] and observation["length"] == 2
    assert info == {"group_id": 0, "prompt_length": 2, "stop_reason": ""}
    observation, reward, terminated, truncated, info = env.step(5)
    assert observation["tokens"].tolist() == [1, 5, 5, 0, 0, 0] and observation["length"] == 3
    assert (reward, terminated, truncated, info["stop_reason"]) == (0.0, False, False, "")
    observation, reward, terminated, truncated, info = env.step(EOS)
    assert observation["tokens"].tolist() == [1, 5, 5, 3, 0, 0] and observation["length"] == 4
    assert (reward, terminated, truncated, info["stop_reason"]) == (1.0, True, False, "eos")
    assert env.render() == env.decode([1, 5, 5, 3]) == "1 5 5 3"
    assert known_returns(env) == KnownReturns()
    check_env(env, skip_render_check=True)


def test_score_sees_the_end_token_and_the_cap_terminates():
    seen = []
    env = own(score=lambda prompt, completion: seen.append((prompt, completion)) or 0.25, prompts=[[1, 4]])
    env.reset(seed=0)
    *_, before, last = steps(env, [4, 5], [4, EOS], [4, 0], [4, 0])
    assert seen == [((1, 4), [5, EOS]), ((1, 4), [4, 4, 4, 4])]
    assert before[2].tolist() == [False, False]
    _, rewards, terminated, truncated, infos = last
    assert rewards.tolist() == [0.25, 0.0] and terminated.tolist() == [True, False] and not truncated.any()
    assert infos["stop_reason"].tolist() == ["length", "eos"]


def test_end_token_at_the_cap_counts_as_end_token():
    env = own(1, max_new_tokens=1)
    env.reset(seed=0)
    _, _, terminated, _, infos = env.step(np.array([EOS]))
    assert terminated.all() and infos["stop_reason"].tolist() == ["eos"]


def test_any_of_several_end_tokens_ends():
    env = own(3, eos=[2, EOS])
    env.reset(seed=0)
    assert env.step(np.array([2, EOS, 4]))[2].tolist() == [True, True, False]


def test_token_reward_is_added_at_every_step():
    env = own(1, prompts=[[1, 4]], token_reward=lambda prompt, completion: prompt[-1] * 10 + len(completion))
    env.reset(seed=0)
    assert [step[1].item() for step in steps(env, [4], [EOS])] == [41.0, 42.0 + 1.0]


# -- the window --------------------------------------------------------------------------------------------------------
def test_a_full_window_dequeues_its_oldest_token_and_the_score_still_sees_everything():
    seen = []
    env = own(1, prompts=[[1, 4]], window=3, score=lambda *texts: seen.append(texts) or 0.0)
    observation, _ = env.reset(seed=0)
    windows = [observation, *(step[0] for step in steps(env, [5], [4], [0], [2]))]
    assert [window["tokens"][0].tolist() for window in windows] == [
        [1, 4, 0],
        [1, 4, 5],
        [4, 5, 4],
        [5, 4, 0],
        [4, 0, 2],
    ]
    assert [window["length"].item() for window in windows] == [2, 3, 3, 3, 3]
    assert seen == [((1, 4), [5, 4, 0, 2])]


def test_append_only_says_whether_the_window_can_slide():
    assert own().metadata["append_only"] and own(window=6).metadata["append_only"]
    assert not own(window=5).metadata["append_only"]
    assert own(window=9).reset(seed=0)[0]["tokens"].shape == (2, 9)
    assert TokenEnv(**OWN).metadata["append_only"] and not TokenEnv(**OWN, window=5).metadata["append_only"]
    callable_prompts = {"prompts": lambda generator: [1, 4]}
    assert own(**callable_prompts, max_prompt_length=5).window == 9
    assert not own(**callable_prompts, window=8).metadata["append_only"]  # prompts of 8 tokens may come
    assert own(**callable_prompts, window=8, max_prompt_length=4).metadata["append_only"]


@pytest.mark.parametrize("window", [None, 3])
def test_observations_and_infos_are_not_written_to_later(window):
    env = own(window=window)
    observation, infos = env.reset(seed=0)
    kept = {key: value.copy() for key, value in {**observation, **infos}.items()}
    steps(env, [4, EOS], [4, 4], [4, 4], [4, 4])
    for key, value in {**observation, **infos}.items():
        np.testing.assert_array_equal(value, kept[key])


# -- ended rows --------------------------------------------------------------------------------------------------------
def test_ended_rows_absorb_until_reset():
    env = own(prompts=[[1, 4]])
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED and env.metadata["absorbing"]
    env.reset(seed=0)
    first = env.step(np.array([4, EOS]))[0]
    (observation, rewards, terminated, truncated, infos) = env.step(np.array([EOS, 5]))
    assert terminated.tolist() == [True, False] and rewards.tolist() == [1.0, 0.0] and not truncated.any()
    for key in observation:
        np.testing.assert_array_equal(observation[key][1], first[key][1])
    _, rewards, terminated, _, infos = env.step(np.array([5, 5]))  # nobody is left
    assert not rewards.any() and not terminated.any() and infos["stop_reason"].tolist() == ["eos", "eos"]
    observation, infos = env.reset(options={"reset_mask": np.array([False, True])})
    assert observation["length"].tolist() == [4, 2] and infos["stop_reason"].tolist() == ["eos", ""]
    assert observation["tokens"][1].tolist() == [1, 4, 0, 0, 0, 0]
    assert env.step(np.array([5, EOS]))[2].tolist() == [False, True]


def test_same_step_resets_and_keeps_what_was_seen_last():
    env = own(prompts=[[1, 4]], autoreset_mode=AutoresetMode.SAME_STEP)
    assert not env.metadata["absorbing"]
    env.reset(seed=0)
    observation, _, terminated, _, infos = env.step(np.array([4, EOS]))
    assert terminated.tolist() == [False, True] and observation["length"].tolist() == [3, 2]
    assert infos["final_obs"][1]["tokens"].tolist() == [1, 4, EOS, 0, 0, 0] and infos["final_obs"][1]["length"] == 3
    assert infos["final_info"]["stop_reason"].tolist() == ["", "eos"] and infos["stop_reason"].tolist() == ["", ""]


def test_next_step_resets_in_the_step_after():
    env = own(prompts=[[1, 4]], autoreset_mode=AutoresetMode.NEXT_STEP)
    env.reset(seed=0)
    ended, after = steps(env, [4, EOS], [4, EOS])
    assert ended[0]["length"].tolist() == [3, 3] and ended[4]["stop_reason"].tolist() == ["", "eos"]
    assert after[0]["length"].tolist() == [4, 2] and after[1].tolist() == [0.0, 0.0] and not after[2].any()


# -- seeds and groups --------------------------------------------------------------------------------------------------
def random_prompt(generator):
    return [1, *generator.integers(4, 6, size=generator.integers(1, 5))]


@pytest.mark.parametrize("prompts", [[[1, 4], [1, 5], [5, 5, 5]], random_prompt])
@pytest.mark.parametrize("window", [None, 5])
def test_single_and_vector_forms_agree(prompts, window):
    arguments = {**OWN, "prompts": prompts, "window": window, "max_prompt_length": 5}
    arguments["score"] = lambda prompt, completion: sum(prompt) + 0.1 * sum(completion)
    batch = TokenVectorEnv(3, **arguments)
    singles = [TokenEnv(**arguments) for _ in range(3)]
    actions = np.random.default_rng(0).integers(6, size=(40, 3))
    states, _ = batch.reset(seed=7)
    alone = [env.reset(seed=7 + row)[0] for row, env in enumerate(singles)]
    for action in actions:
        for row in range(3):
            np.testing.assert_array_equal(states["tokens"][row], alone[row]["tokens"])
            assert states["length"][row] == alone[row]["length"]
        states, rewards, ends, _, infos = batch.step(action)
        for row, env in enumerate(singles):
            alone[row], reward, terminated, truncated, info = env.step(action[row])
            assert (reward, terminated, truncated) == (rewards[row], ends[row], False)
            assert info["stop_reason"] == infos["stop_reason"][row]
            if terminated:
                alone[row] = env.reset()[0]
        if ends.any():
            states, _ = batch.reset(options={"reset_mask": ends})


def test_prompts_are_drawn_uniformly():
    observation, _ = own(4000, prompts=[[4], [5], [1], [2]]).reset(seed=0)
    counts = np.bincount(observation["tokens"][:, 0], minlength=6)[[4, 5, 1, 2]]
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(4000 * 0.25 * 0.75)  # four standard errors


def test_groups_share_a_prompt_and_are_reset_together():
    env = own(6, prompts=random_prompt, max_prompt_length=5, group_size=3)
    observation, infos = env.reset(seed=3)
    assert infos["group_id"].tolist() == [0, 0, 0, 1, 1, 1]
    prompts = []
    for _ in range(20):
        for group in (slice(0, 3), slice(3, 6)):
            assert (observation["tokens"][group] == observation["tokens"][group][0]).all()
            assert len(set(observation["length"][group])) == 1
        prompts.append(observation["tokens"][[0, 3]])
        assert not env.step(np.array([EOS, 4, 5, 4, 5, EOS]))[2][[1, 2, 3, 4]].any()
        observation, _ = env.reset()
    assert len(np.unique(np.array(prompts)[:, 0], axis=0)) > 5  # a new prompt each time,
    assert (np.array(prompts)[:, 0] != np.array(prompts)[:, 1]).any()  # each group its own


def test_a_group_draws_what_its_first_row_would_draw():
    arguments = {"prompts": random_prompt, "max_prompt_length": 5}
    alone, grouped = own(6, **arguments), own(6, **arguments, group_size=3)
    tokens, together = alone.reset(seed=11)[0]["tokens"], grouped.reset(seed=11)[0]["tokens"]
    np.testing.assert_array_equal(tokens[[0, 3]], together[[0, 3]])


def test_part_of_the_groups_can_be_reset_but_no_part_of_a_group():
    env = own(4, group_size=2)
    env.reset(seed=0)
    env.step(np.array([4, EOS, EOS, EOS]))
    observation, infos = env.reset(options={"reset_mask": np.array([False, False, True, True])})
    assert observation["length"].tolist() == [3, 3, 2, 2] and infos["stop_reason"].tolist() == ["", "eos", "", ""]
    for mask in ([True, False, False, False], [False, True, True, False], [False, False, False, True]):
        with pytest.raises(ValueError, match="reset_mask must select whole groups of 2"):
            env.reset(options={"reset_mask": np.array(mask)})


# -- texts -------------------------------------------------------------------------------------------------------------
def test_decode_and_render():
    env = own(prompts=[[1, 4]], decode=lambda ids: "".join("_^|.ab"[token] for token in ids), render_mode="ansi")
    env.reset(seed=0)
    env.step(np.array([5, EOS]))
    assert env.render() == ("^ab", "^a.")
    assert env.decode(np.array([5, 5])) == "bb"
    assert own().render() is None


def test_spaces_hold_what_is_observed():
    env = own(3)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert all(observation[key].dtype == np.int64 for key in observation)
    assert env.single_action_space == gym.spaces.Discrete(6)
