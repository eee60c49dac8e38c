"""What the token environments say about arguments, prompts, actions and scores that are wrong."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from pg_envs import TokenVectorEnv

EOS = 3


def own(num_envs=2, **changes):
    arguments = {"prompts": [[1, 4], [1, 5]], "score": lambda prompt, completion: 0.0, "vocabulary": 6, "eos": EOS}
    return TokenVectorEnv(num_envs, **{**arguments, "max_new_tokens": 4, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": []}, "prompts must hold at least one"),
        ({"prompts": [[1], []]}, "prompts must be token ids, at least one"),
        ({"prompts": [[1, 6]]}, r"prompts must be token ids from 0 to 5, got \[1, 6\]"),
        ({"prompts": [[-1]]}, "prompts must be token ids from 0 to 5"),
        ({"prompts": ["text"]}, "prompts must be token ids"),
        ({"prompts": [[1.5]]}, "prompts must be token ids"),
        ({"prompts": "14"}, "prompts must be token ids, at least one, got '1'"),
        ({"prompts": {(1, 4): 0.0}}, "prompts must be a list of token ids' lists, or a callable, got a dict"),
        ({"prompts": {(1, 4)}}, "prompts must be a list of token ids' lists, or a callable, got a set"),
        ({"prompts": iter([[1, 4]])}, "prompts must be a list of token ids' lists, or a callable, got a list_iterator"),
        ({"prompts": [[1, 4, 5]], "window": 2}, "window must hold the longest prompt, 3 tokens, got 2"),
        ({"prompts": [[1, 4, 5]], "max_prompt_length": 2}, "at most 2 tokens"),
        ({"prompts": lambda generator: [1]}, "max_prompt_length: give"),
        ({"eos": 6}, "eos must be token ids from 0 to 5"),
        ({"eos": []}, "eos must be token ids, at least one"),
        ({"eos": None}, "eos must be token ids"),
        ({"pad": -1}, "pad must be token ids from 0 to 5"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"vocabulary": 0}, "vocabulary must be at least 1, got 0"),
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"group_size": 3}, "group_size must be at least 1 and divide num_envs = 2, got 3"),
        ({"group_size": 0}, "group_size must be at least 1"),
        ({"group_size": 2, "autoreset_mode": AutoresetMode.SAME_STEP}, "needs autoreset_mode DISABLED"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        own(**changes)


@pytest.mark.parametrize("prompt", [[], [9], [1, 4, 4]])
def test_bad_prompts_of_a_callable_are_named_at_reset(prompt):
    env = own(prompts=lambda generator: prompt, max_prompt_length=2)
    with pytest.raises(ValueError, match="prompts"):
        env.reset(seed=0)


@pytest.mark.parametrize("action", [-1, 6])
def test_actions_outside_the_vocabulary_are_refused(action):
    env = own()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="actions must be token ids from 0 to 5"):
        env.step(np.array([4, action]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None, "1.0", [1.0], np.ones(1), 1j, {1: 1.0}], ids=str)
@pytest.mark.parametrize("name", ["score", "token_reward"])
def test_a_score_that_is_no_number_is_shown_with_its_texts(name, bad):
    env = own(1, prompts=[[1, 4]], **{name: lambda prompt, completion: bad})
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match=f"{name} failed on prompt '1 4' and completion '3'"):
        env.step(np.array([EOS]))


def test_a_score_that_raises_keeps_its_cause():
    def score(prompt, completion):
        raise KeyError("answer")

    env = own(1, prompts=[[1, 4]], score=score)
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="KeyError: 'answer'") as caught:
        env.step(np.array([EOS]))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(("answer", "ended"), [(True, True), (np.False_, False), (0, False), (np.array(1), True)])
def test_a_stop_says_yes_or_no(answer, ended):
    env = own(1, prompts=[[1, 4]], stop=lambda prompt, completion: answer)
    env.reset(seed=0)
    assert env.step(np.array([2]))[2].tolist() == [ended]


@pytest.mark.parametrize("answer", ["no", None, [], np.array([True]), float("nan")], ids=str)
def test_a_stop_that_says_neither_is_shown_with_its_texts(answer):
    env = own(1, prompts=[[1, 4]], stop=lambda prompt, completion: answer)
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="stop failed on prompt '1 4' and completion '2': .*True or False is"):
        env.step(np.array([2]))
