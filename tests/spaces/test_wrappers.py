"""Wrappers by their names: the texts they are typed as, what they do, and what is refused."""

import json
import sys

import gymnasium as gym
import numpy as np
import pytest
from support.bugs import Bug, seeded

from pg_agents.errors import UserError
from pg_agents.spaces import wrappers
from pg_agents.spaces.wrappers import UNUSABLE, USABLE, Wrapper, wrappers_of

TEXTS = {
    "FlattenObservation": {},
    "FrameStackObservation:stack_size=4": {"stack_size": 4},
    "AtariPreprocessing:screen_size=(84,84),noop_max=30": {"screen_size": (84, 84), "noop_max": 30},
    'FilterObservation:filter_keys=["image","direction"]': {"filter_keys": ("image", "direction")},
    "FilterObservation:filter_keys=[image,direction]": {"filter_keys": ("image", "direction")},
    "ClipReward:min_reward=-1.5,max_reward=none": {"min_reward": -1.5, "max_reward": None},
    "AtariPreprocessing:scale_obs=true,grayscale_obs=False": {"scale_obs": True, "grayscale_obs": False},
    "AddRenderObservation:render_key='a,b=c'": {"render_key": "a,b=c"},
}


@pytest.mark.parametrize(("text", "arguments"), TEXTS.items())
def test_a_text_names_a_wrapper_and_its_arguments_and_json_keeps_them(text, arguments):
    found = Wrapper.parse(text)
    assert (found.name, found.arguments) == (text.partition(":")[0], arguments)
    assert Wrapper(**json.loads(json.dumps(vars(found)))) == found  # tuples are lists there
    assert Wrapper.parse(str(found)) == found


def test_wrappers_are_applied_with_their_arguments():
    env = Wrapper.parse("FrameStackObservation:stack_size=3")(gym.make("CartPole-v1"))
    assert isinstance(env, gym.wrappers.FrameStackObservation) and env.observation_space.shape == (3, 4)
    given = [Wrapper("ClipReward", {"max_reward": 0.25}), "FlattenObservation"]
    assert wrappers_of(given) == [given[0], Wrapper("FlattenObservation")]


def test_every_name_is_one_of_gymnasium_and_none_is_both():
    assert set(USABLE) | set(UNUSABLE) <= set(gym.wrappers.__all__)
    assert not set(USABLE) & set(UNUSABLE)
    assert set(gym.wrappers.__all__) - set(USABLE) - set(UNUSABLE) == {"vector"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FrameStack:stack_size=4", "no 'FrameStack' that can be used here; did you mean FrameStackObservation"),
        ("vector", "gymnasium.wrappers has no 'vector' that can be used here"),
        ("os.system:command=ls", "gymnasium.wrappers has no 'os.system'"),
        ("", "gymnasium.wrappers has no '' that can be used here; there are AddRender"),
        ("RecordVideo:video_folder=x", "RecordVideo cannot be used here: it writes files"),
        ("HumanRendering", "it opens a window"),
        ("NormalizeObservation", r"statistics are not saved.* \(--normalize-observations\)"),
        ("TransformReward:func=abs", "it takes a function"),
        ("FrameStackObservation:size=4", r"takes no argument 'size'; it takes stack_size, padding_type"),
        ("FlattenObservation:env=1", "takes no argument 'env'; it takes none"),
        ("FrameStackObservation:", "must be NAME or NAME:argument=value"),
        ("FrameStackObservation:4", "must be NAME or NAME:argument=value"),
        ("FrameStackObservation:stack_size=4,stack_size=5", "must be NAME or NAME:argument=value"),
        ("FrameStackObservation:**{'stack_size':4}", "must be NAME or NAME:argument=value"),
        ("FrameStackObservation:stack_size=len('four')", "must be NAME or NAME:argument=value"),
        ("FrameStackObservation:stack_size=4)(stack_size=4", "must be NAME or NAME:argument=value"),
        ("FrameStackObservation:stack_size=4) + f(stack_size=4", "must be NAME or NAME:argument=value"),
        ("FrameStackObservation:stack_size=\x00", "must be NAME or NAME:argument=value"),
        ("FrameStackObservation:stack_size=" + "[" * 10**5, "must be NAME or NAME:argument=value"),
        ("FilterObservation:filter_keys=image", r"filter_keys must be a list, got 'image'; write \[image\]"),
        ("FrameStackObservation:stack_size={1,2}", "stack_size must be a number, a text, None"),
    ],
)
def test_what_is_no_wrapper_is_one_sentence(text, message):
    with pytest.raises(UserError, match=f"^wrappers: .*{message}"):
        Wrapper.parse(text)


@pytest.mark.parametrize(
    "entry", [{"name": 3}, {"name": ["ClipReward"]}, {"name": "ClipReward", "arguments": [1]}, {"name": None}]
)
def test_damaged_entries_are_refused(entry):
    with pytest.raises(UserError, match="^wrappers: "):
        Wrapper(**entry)


def test_one_text_is_no_sequence_of_texts():
    with pytest.raises(UserError, match=r"^wrappers must be a sequence of texts, got 'ClipReward'; write \['ClipRew"):
        wrappers_of("ClipReward")


@pytest.mark.parametrize("given", [[gym.wrappers.FlattenObservation], [lambda env: env], [None], ["ClipReward", 3]])
def test_what_is_no_text_is_for_environments_that_are_made_already(given):
    with pytest.raises(UserError, match=r"^wrappers must be texts like 'F.*, got .*gymnasium.make_vec\(id, n, "):
        wrappers_of(given)


@pytest.mark.parametrize("given", [3, None, Wrapper("ClipReward")])
def test_what_is_no_sequence_is_refused(given):
    with pytest.raises(UserError, match="^wrappers must be a sequence of texts, got "):
        wrappers_of(given)


class Picture(gym.Env):
    observation_space, action_space = gym.spaces.Box(0, 255, (8, 8, 3), np.uint8), gym.spaces.Discrete(2)


def test_bytes_are_not_rescaled_to_zeros():
    with pytest.raises(UserError, match="^wrappers: RescaleObservation:.* uint8, .* leave it out: pictures .* network"):
        Wrapper.parse("RescaleObservation:min_obs=0,max_obs=1")(Picture())
    first = Wrapper.parse("DtypeObservation:dtype=float32")(Picture())
    scaled = Wrapper.parse("RescaleObservation:min_obs=0,max_obs=1")(first)
    assert scaled.observation_space.dtype == np.float32 and scaled.observation_space.high.max() == 1


def test_reasons_of_several_lines_become_one():
    class Parts(Picture):
        observation_space = gym.spaces.Dict(image=Picture.observation_space)

    with pytest.raises(UserError, match=r"cannot be applied to Parts: .*Missing keys: \['imag'\]$"):
        Wrapper.parse("FilterObservation:filter_keys=[imag]")(Parts())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FrameStackObservation:stack_size=-1", "stack_size=-1 cannot be applied to CartPole-v1: .*greater than zero"),
        ("FrameStackObservation", "FrameStackObservation cannot be applied to CartPole-v1: .*'stack_size'"),
        ("FilterObservation:filter_keys=[image]", r"filter_keys=\('image',\) cannot be applied to CartPole-v1: "),
        ("AtariPreprocessing", "cannot be applied to CartPole-v1: it is for games of Atari"),
        ("RescaleAction:min_action=0,max_action=1", "cannot be applied to CartPole-v1: "),
        ("GrayscaleObservation", "cannot be applied to CartPole-v1: ."),
    ],
)
def test_a_wrapper_that_does_not_fit_is_one_sentence(text, message):
    with pytest.raises(UserError, match=f"^wrappers: .*{message}"):
        Wrapper.parse(text)(gym.make("CartPole-v1"))


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r'^wrappers: ResizeObservation needs .* pip install .*\[atari\]"$'):
        Wrapper.parse("ResizeObservation:shape=(4,4)")(Picture())


def test_games_that_skip_frames_say_how_to_make_them():
    pytest.importorskip("ale_py")
    env = gym.make("ALE/Pong-v5")
    with pytest.raises(UserError, match=r"^wrappers: AtariPreprocessing cannot .* frameskip=1 \(--env-arg"):
        Wrapper("AtariPreprocessing")(env)
    env.close()


def all_values(value, what):
    return value


test_seeded_bugs = seeded(
    Bug(
        "any value is an argument",
        wrappers._plain,
        all_values,
        [test_a_text_names_a_wrapper_and_its_arguments_and_json_keeps_them, test_what_is_no_wrapper_is_one_sentence],
    ),
)
