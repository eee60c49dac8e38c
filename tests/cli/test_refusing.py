"""What was typed and cannot be read is answered by one line, which says what is accepted or what to do instead."""

import io
import sys

import pytest
from support.bugs import Bug, seeded

from pg_agents.cli import main, refusing
from pg_agents.cli.parsing import parse

pytestmark = pytest.mark.usefixtures("folder")

NUMBER = "must be a whole number, such as"
ANEW = "train anew, from those on: pg-agents train AGENT --config RUN/config.json --learning-rate …"
IN_THE_SHELL = "in the shell: --import"
ANSWERS = {
    # values
    "train ppo pg/Chain-v0 --hidden 64x64": "--hidden must be whole numbers, such as 64 64 or 64,64, got '64x64'",
    "train ppo pg/Chain-v0 --hidden 64 x --quiet": "such as 64 64 or 64,64, got '64 x'",
    "train ppo pg/Chain-v0 --total-steps abc": f"--total-steps {NUMBER} 100000 or 1e5, got 'abc'",
    "train ppo pg/Chain-v0 --total-steps=1e-3": f"--total-steps {NUMBER} 100000 or 1e5, got '1e-3'",
    "train ppo pg/Chain-v0 --num-envs 8.5": f"--num-envs {NUMBER} 8, got '8.5'",
    "train ppo pg/Chain-v0 --recurrent yes": f"--recurrent {NUMBER} 8, got 'yes'",
    "train ppo pg/Chain-v0 --stop-return x": "--stop-return must be a number, such as 0.5 or 1e-3, got 'x'",
    "train ppo pg/Chain-v0 --share-encoder 3": "--share-encoder must be True or False, got '3'",
    "train ppo pg/Chain-v0 --activation foo": "--activation must be tanh or relu, got 'foo'",
    "tune ppo pg/Chain-v0 --trials many": f"--trials {NUMBER} 100000 or 1e5, got 'many'",
    "train ppo pg/Chain-v0 --total-steps": "--total-steps: its value is missing; give a whole number",
    "export r": "--to PATH is missing: The file to write, like policy.onnx; for a language model, a new folder",
    "evaluate": "PATH is missing: A run's folder",
    # words without a place
    "evaluate r --video v.mp4": "--video: it takes no value, since videos are written into RUN/videos; leave 'v.mp4'",
    "evaluate r --video=v.mp4": "--video: it takes no value, since videos are written into RUN/videos; leave 'v.mp4'",
    "train ppo pg/Chain-v0 --quiet=false": "--quiet is given or left out, and takes no value; leave 'false' out",
    "train ppo pg/Chain-v0 {extra}": "'{extra}' is one word too many; pg-agents train ppo --help",
    # options of others
    "resume r --learning-rate 1e-3": ANEW,
    "resume r --lr 1e-3": ANEW,
    "resume r --episodes 4": "--episodes: resume has no such option; it is one of evaluate",
    "train ppo pg/Chain-v0 --resume": "--resume: ppo has no such option; a run goes on with: pg-agents resume RUN",
    "train ppo pg/Chain-v0 --max-kl 3": "--max-kl: ppo has no such option; it is one of trpo, npg",
    "train ppo --env CartPole-v1": "the environment's id is a word of its own: pg-agents train ppo CartPole-v1",
    "evaluate --path r": "the folder is a word of its own: pg-agents evaluate RUN",
    "generate r --texts abc": 'texts are typed after the folder, each in quotes: pg-agents generate RUN "3+4="',
    "generate r --prompts abc": "texts are typed after the folder",
    "tune ppo pg/Chain-v0 --config f.toml": "type the arguments of that file",
    "train ppo pg/Chain-v0 --learning-rte 3": "--learning-rte: ppo has no such option; did you mean --learning-rate?",
    "demo --nonsense": "--nonsense: demo has no such option; pg-agents demo --help shows its options",
    # what modules of the user's register
    "train ppo Mine-v0": IN_THE_SHELL,
}


def refused(capsys, typed):
    assert main(typed.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("error: ")
    return err


@pytest.mark.parametrize(("typed", "said"), ANSWERS.items(), ids=lambda text: text[-40:])
def test_the_answer_is_one_line_with_the_way_out(capsys, typed, said):
    assert said in refused(capsys, typed)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--no-quiet --quiet", {"quiet": True}),
        ("--no-quiet", {"quiet": False}),
        ("--normalize-advantages", {"normalize_advantages": True}),
        ("--no-normalize-advantages", {"normalize_advantages": False}),
    ],
)
def test_what_is_on_or_off_anyway_may_be_typed(typed, said):
    options = parse(["train", "ppo", "CartPole-v1", *typed.split()])
    assert {name: options.arguments.get(name, getattr(options.run, name, None)) for name in said} == said


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize("typed", ["export r", "train ppo pg/Chain-v0 --hidden 64x64", "evaluate r --video v.mp4"])
def test_the_terminal_makes_no_difference(monkeypatch, encoding, typed):
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        patched.setattr(sys, "stderr", err)
        assert main(typed.split()) == 2
    assert ANSWERS[typed] in err.buffer.getvalue().decode(encoding)


def test_help_is_no_error(capsys):
    assert main(["train", "ppo", "--help"]) == 0
    assert "--total-steps" in capsys.readouterr().out


test_seeded_bugs = seeded(
    Bug(
        "every value is said to be a number",
        refusing._accepted,
        lambda name, types: "a number",
        [test_the_answer_is_one_line_with_the_way_out],
    )
)
