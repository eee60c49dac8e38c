"""What is seen, what the paddle does, and what can be caught."""

import math
import warnings

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
from gymnasium.utils import seeding
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pg_envs.pictures.catch import Catch, CatchVector

from tests.support.bugs import Bug, seeded


def drawn(*lines, pixels=1):
    """The picture of a board of dots and hashes."""
    cells = np.array([[255 * (cell == "#") for cell in line] for line in lines], np.uint8)
    return cells.repeat(pixels, axis=0).repeat(pixels, axis=1)


def columns_of(pictures, pixels):
    """The ball's and the paddle's columns, [B] each, read from pictures [B, H, W] in which the ball is still above."""
    return (pictures[:, :-pixels].max(1).argmax(1) // pixels, pictures[:, -1].argmax(1) // pixels)


def play(env, policy, episodes, seed=0):
    """Returns of `episodes` episodes in every row; policy(pictures) gives actions [B]."""
    pictures, returns = env.reset(seed=seed)[0], []
    for _ in range(episodes):
        total = np.zeros(env.num_envs)
        for _ in range(env.board[0] - 1):
            pictures, rewards, terminated, *_ = env.step(policy(pictures))
            total += rewards
        assert terminated.all()
        returns.append(total)
    return np.concatenate(returns)


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_gymnasium_has_nothing_to_object_to(channels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("pg/Catch-v0", pixels=4, channels=channels).unwrapped)


def test_a_caught_and_a_missed_ball_by_hand():
    """4 × 5 cells: the ball's column is a uniform number times 5, rounded down; the paddle begins in column 2."""
    first, second = (5 * seeding.np_random(0)[0].random(2)).astype(int)
    assert (first, second) == (3, 1)
    env = Catch(rows=4, columns=5, pixels=2)
    np.testing.assert_array_equal(env.reset(seed=0)[0], drawn("...#.", ".....", ".....", "..#..", pixels=2))
    for action, lines in ((2, (".....", "...#.", ".....", "...#.")), (2, (".....", ".....", "...#.", "....#"))):
        picture, reward, terminated, truncated, _ = env.step(action)
        np.testing.assert_array_equal(picture, drawn(*lines, pixels=2))
        assert (reward, terminated, truncated) == (0, False, False)
    picture, *end = env.step(0)
    np.testing.assert_array_equal(picture, drawn(".....", ".....", ".....", "...#.", pixels=2))
    assert end[:3] == [1, True, False]
    np.testing.assert_array_equal(env.reset()[0], drawn(".#...", ".....", ".....", "..#..", pixels=2))
    env.step(1)
    env.step(1)
    picture, *end = env.step(1)
    np.testing.assert_array_equal(picture, drawn(".....", ".....", ".....", ".##..", pixels=2))
    assert end[:3] == [-1, True, False]


@pytest.mark.parametrize(("action", "seen"), [(0, 0), (1, 2), (2, 3)])
def test_the_paddle_stays_at_the_border(action, seen):
    env = CatchVector(3, rows=9, columns=4, pixels=1)
    env.reset(seed=0)
    for _ in range(6):
        pictures = env.step(np.full(3, action))[0]
    assert (columns_of(pictures, 1)[1] == seen).all()


def test_channels_are_equal():
    flat, deep = (CatchVector(2, channels=channels) for channels in (None, 3))
    picture, same = flat.reset(seed=3)[0], deep.reset(seed=3)[0]
    assert picture.shape == (2, 20, 20) and same.shape == (2, 20, 20, 3)
    assert flat.single_observation_space.shape == (20, 20) and deep.single_observation_space.shape == (20, 20, 3)
    np.testing.assert_array_equal(same, np.stack([picture] * 3, axis=-1))


def test_balls_fall_from_every_column_alike():
    env = CatchVector(6000, columns=6)
    balls, paddles = columns_of(env.reset(seed=1)[0], 2)
    counts = np.bincount(balls, minlength=6)
    assert (paddles == 3).all() and ((counts - 1000) ** 2 / 1000).sum() < 20.5  # χ², 5 degrees of freedom, p = 0.001


@pytest.mark.parametrize(("rows", "columns"), [(10, 10), (4, 7), (3, 7), (2, 2), (2, 6)])
def test_known_returns(rows, columns):
    """Following the ball catches what can be caught; random actions catch one in w, by simulation and exactly."""
    env = CatchVector(500, rows=rows, columns=columns, pixels=1)
    known = env.known_returns()

    def follow(pictures):
        ball, paddle = columns_of(pictures, 1)
        return 1 + np.sign(ball - paddle)

    returns = play(env, follow, 8)
    assert abs(returns.mean() - known.optimal) <= 4 * returns.std() / math.sqrt(len(returns))
    generator = np.random.default_rng(0)
    returns = play(env, lambda pictures: generator.integers(3, size=500), 20)
    assert abs(returns.mean() - known.random) < 4 * returns.std() / math.sqrt(len(returns))
    assert known.random == pytest.approx(exact_random(rows, columns))
    assert known.optimal == pytest.approx(exact_optimal(rows, columns))


def exact_random(rows, columns):
    """The paddle's distribution after each step, then the sum over balls."""
    paddle = np.eye(columns)[columns // 2]
    for _ in range(rows - 1):
        left, right = np.roll(paddle, -1), np.roll(paddle, 1)
        left[-1], right[0] = 0, 0
        left[0] += paddle[0]
        right[-1] += paddle[-1]
        paddle = (left + paddle + right) / 3
    caught = sum(paddle[ball] for ball in range(columns)) / columns
    return 2 * caught - 1


def exact_optimal(rows, columns):
    """The columns that some sequence of moves ends in, then the sum over balls."""
    ends = {columns // 2}
    for _ in range(rows - 1):
        ends = {min(max(end + move, 0), columns - 1) for end in ends for move in (-1, 0, 1)}
    return sum(1 if ball in ends else -1 for ball in range(columns)) / columns


def test_time_limits_leave_balls_in_the_air():
    env = gym.make_vec("pg/Catch-v0", 2, rows=5, max_episode_steps=3)
    assert pg_envs.known_returns(env) == pg_envs.KnownReturns(0.0, 0.0)
    small = Catch(rows=5, columns=8)
    assert small.known_returns(4) == small.known_returns() == pg_envs.KnownReturns(-0.75, 1.0)
    env.reset(seed=0)
    ends = [env.step([1, 1])[1:4] for _ in range(3)]
    assert not any(rewards.any() or terminated.any() for rewards, terminated, _ in ends) and ends[-1][2].all()


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_row_is_the_single_environment_with_its_seed(mode):
    seeds, falls = [4, 90, 17], 3
    form = {"rows": falls + 1, "columns": 5, "channels": 1}
    env = gym.make_vec("pg/Catch-v0", 3, autoreset_mode=mode, **form)
    singles = [gym.make("pg/Catch-v0", **form) for _ in seeds]
    seen = env.reset(seed=seeds)[0]
    expected = np.stack([single.reset(seed=seed)[0] for single, seed in zip(singles, seeds, strict=True)])
    np.testing.assert_array_equal(seen, expected)
    for action in np.random.default_rng(0).integers(3, size=(600, 3)):
        seen, rewards, terminated, _, infos = env.step(action)
        ends = [single.step(int(a)) for single, a in zip(singles, action, strict=True)]
        np.testing.assert_array_equal(rewards, [end[1] for end in ends])
        np.testing.assert_array_equal(terminated, [end[2] for end in ends])
        last = np.stack([end[0] for end in ends])
        if terminated.all():
            np.testing.assert_array_equal(infos["final_obs"] if mode is AutoresetMode.SAME_STEP else seen, last)
            last = np.stack([single.reset()[0] for single in singles])
            if mode is AutoresetMode.DISABLED:
                seen = env.reset(options={"reset_mask": terminated})[0]
            if mode is AutoresetMode.NEXT_STEP:
                seen, rewards, terminated, *_ = env.step(action)
                assert not rewards.any() and not terminated.any()
        np.testing.assert_array_equal(seen, last)


def test_earlier_pictures_do_not_change():
    env = CatchVector(2)
    first = env.reset(seed=0)[0]
    kept = first.copy()
    env.step(np.array([0, 2]))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(("name", "value"), [("rows", 1), ("columns", 1), ("pixels", 0), ("channels", 0)])
def test_arguments_are_checked(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least .*got {value}"):
        Catch(**{name: value})


def _around(self, actions, rows):
    """The paddle leaves at one side and comes back at the other."""
    self.paddle[rows] = (self.paddle[rows] + actions - 1) % self.board[1]
    over = self.elapsed[rows] + 1 >= self.board[0] - 1
    return np.where(over, np.where(self.ball[rows] == self.paddle[rows], 1.0, -1.0), 0.0), over


def _never_at_the_right(self, rows):
    self.ball[rows] = self.uniforms.take(rows) * (self.board[1] - 1)
    self.paddle[rows] = self.board[1] // 2


test_seeded_bugs = seeded(
    Bug("the paddle goes around", CatchVector._move, _around, [test_the_paddle_stays_at_the_border]),
    Bug(
        "a column without balls",
        CatchVector._start,
        _never_at_the_right,
        [test_balls_fall_from_every_column_alike, test_a_caught_and_a_missed_ball_by_hand],
    ),
)
