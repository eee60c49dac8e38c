"""docs/metrics.md names every tag that agents write, with the agents that write it, and no other."""

import json
import re

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box
from support.names import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.gradients import against_exact, gradient_noise, problem_of

PAGE = (ROOT / "docs" / "metrics.md").read_text()
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
TAGS = [row[0].strip("`") for row in ROWS]
NAMES = [*pg.AGENTS]
NATURAL = ("npg", "trpo")
OWN = {"reinforce-baseline": {"critic_learning_rate": 0.1}}  # an option without a default
EPISODIC = "pg/Recall-v0", "pg/ContextualBandit-v0", "pg/TwoArmedBandit-v0"  # a table, a small one, one with one state


class Aim(gym.Env):
    """Episodes of two steps, whose actions are two numbers."""

    def __init__(self):
        self.observation_space, self.action_space = Box(-1, 1, (1,)), Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.ones(1, np.float32), -float(np.square(action).sum()), self.steps == 2, False, {}


def written_by(agent):
    """Return the agents that a row's last cell names."""
    named = re.findall(r"`([\w-]+)`", agent)
    assert set(named) <= set(NAMES) and (named or agent == "all"), agent
    return set(NAMES) - set(named) if agent.startswith("all") else set(named)


def is_of(row, agent, tag):
    """Return whether a row of the page is that of a tag that an agent has written."""
    if tag in TAGS:
        return tag == row
    options = "|".join(pg.AGENTS[agent].config_class.options())
    words = {"OPTION": f"({options})", "REASON": r"\w+", "A": r"\d+", "S": r"\d+"}
    expression = re.sub(r"(?<![A-Z])(OPTION|REASON|A|S)(?![A-Z])", lambda word: words[word[0]], re.escape(row))
    return re.fullmatch(expression, tag) is not None


def tags_of(run_dir):
    """Return the tags in a run folder, but the records of TensorBoard's plugins."""
    texts = [path.read_text() for path in run_dir.glob("metrics.jsonl")]  # seeds in processes have none of their own
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    found = {name for line in lines for name in line} - {"step", "time"}
    events = EventAccumulator(str(run_dir)).Reload().Tags()
    shown = {name.removesuffix("/text_summary") for name in events["tensors"] if name.endswith("/text_summary")}
    return found | {*events["scalars"], *events["images"]} | shown


def runs(name, folder):
    """Train an agent wherever other metrics come, and yield the folders."""
    continuing, natural = name == "average-reward", name in NATURAL
    table, few, one = ("pg/Garnet-v0", *["pg/TwoStateMDP-v0"] * 2) if continuing else EPISODIC
    evaluated = {} if continuing else {"eval_env": table, "eval_episodes": 2}
    yield go(name, table, folder / "table", OWN.get(name, {}), **evaluated)
    yield from seeds(name, few, folder / "seeds", [] if continuing else ["--eval-every", "64"], natural)
    probes = [gradient_noise, against_exact(problem_of(gym.make(one)))]
    yield go(name, one, folder / "one", {}, probes=probes)
    if not continuing:
        yield go(name, "pg/Shorter-v0", folder / "texts", {} if natural else {"kl_weight": "0.1:0"})
        yield go(name, gym.vector.SyncVectorEnv([Aim] * 4), folder / "box", {"hidden": (4,)})


def go(name, env, run_dir, options, **how):
    """Train an agent for two rows of metrics or more, and return the folder."""
    made = {} if isinstance(env, gym.vector.VectorEnv) else {"num_envs": 4}
    short = {"num_steps": 8, "minibatch_size": 16, "epochs": 1}
    short = {option: value for option, value in short.items() if option in pg.AGENTS[name].config_class.options()}
    agent = pg.AGENTS[name].for_env(env, **made, **short, **options)
    pg.train(agent, env, total_steps=64, log_every=8, run_dir=run_dir, progress=False, **made, **how)
    return run_dir


def seeds(name, env, run_dir, typed, apart):
    """Train two seeds as one batch, or one after the other, and return the folders."""
    typed = [*typed, "--num-envs", "2", "--total-steps", "64", "--quiet", *(["--jobs", "1"] if apart else [])]
    assert main(["train", name, env, "--seeds", "2", "--run-dir", str(run_dir), *typed]) == 0
    return run_dir, run_dir / "seed-0"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The tags that brief runs of each agent write."""
    folder = tmp_path_factory.mktemp("runs")
    return {name: set().union(*map(tags_of, runs(name, folder / name))) for name in NAMES}


@pytest.mark.slow
def test_the_page_has_every_tag_and_no_other_and_says_who_writes_it(found):
    missing = {tag for name in NAMES for tag in found[name] if not any(is_of(row, name, tag) for row in TAGS)}
    assert not missing
    wrong = []
    for tag, row in zip(TAGS, ROWS, strict=True):
        writers = {name for name in NAMES if any(is_of(tag, name, one) for one in found[name])}
        wrong += [] if writers == written_by(row[4]) else [f"{tag}: written by {sorted(writers)}"]
    assert not wrong, "\n".join(wrong)


def test_rows_are_whole():
    assert len(set(TAGS)) == len(TAGS) >= 50
    for tag, unit, better, meaning, agents in ROWS:
        assert unit and better in ("higher", "lower", "–") and meaning.endswith(".") and written_by(agents), tag


def test_readers_are_led_to_it():
    assert "docs/metrics.md" in (ROOT / "README.md").read_text()
