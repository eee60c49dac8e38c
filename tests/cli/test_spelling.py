"""What is typed as people write it, and as other libraries call it."""

import shutil
import subprocess

import pytest
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents import elsewhere
from pg_agents.cli import main, spelling
from pg_agents.cli.parsing import parse
from pg_agents.cli.spelling import spelled

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("--total-steps 1e5", "--total-steps 100000"),
        ("--total-steps 2.5E+2", "--total-steps 250"),
        ("--total-steps=100k", "--total-steps=100000"),
        ("--total_steps 0.1M", "--total_steps 100000"),
        ("--total-steps 100_000", "--total-steps 100000"),
        ("--episodes 1e2 --seed 1e2", "--episodes 100 --seed 1e2"),
        ("--total-steps 1.5", "--total-steps 1.5"),
        ("--total-steps many", "--total-steps many"),
        ("--checkpoint-every 60s", "--checkpoint-every 60s"),
        ("--checkpoint-every 1e4", "--checkpoint-every 10000"),
        ("--hidden 64,64 --quiet", "--hidden 64 64 --quiet"),
        ("--hidden=[64,32]", "--hidden 64 32"),
        ("--hidden 64 64 --learning-rate 1e5", "--hidden 64 64 --learning-rate 1e5"),
        ("CartPole-v1 --env-arg sizes=64,64 1e5", "CartPole-v1 --env-arg sizes=64,64 1e5"),
    ],
)
def test_numbers_and_lists_are_read_as_they_are_written(typed, read):
    assert spelled(typed.split()) == read.split()


def test_a_run_takes_steps_and_sizes_as_they_are_written():
    options = parse(["train", "ppo", "CartPole-v1", "--total-steps", "1e3", "--hidden", "16,8"])
    assert options.run.total_steps == 1000 and options.arguments == {"hidden": (16, 8)}


def refused(capsys, *argv):
    assert main(list(argv)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err.removeprefix("error: ").rstrip()


FOREIGN = {
    "lr": "learning-rate", "gamma": "discount", "ent-coef": "entropy-weight", "clip-range": "clip",
    "vf-coef": "value-weight", "batch-size": "minibatch-size", "n-envs": "num-envs", "total-timesteps": "total-steps",
    "n-steps": "num-steps", "net-arch": "hidden", "tensorboard-log": "run-dir", "eval-freq": "eval-every",
}  # fmt: skip


@pytest.mark.parametrize(("typed", "ours"), FOREIGN.items())
def test_options_of_other_libraries_are_answered_with_ours(capsys, typed, ours):
    line = f"--{typed}: ppo has no such option; write --{ours}"
    assert refused(capsys, "train", "ppo", "CartPole-v1", f"--{typed}", "3") == line
    assert refused(capsys, "train", "ppo", "CartPole-v1", f"--{typed.replace('-', '_')}=3") == line


def test_each_command_and_agent_answers_with_what_it_has(capsys):
    line = refused(capsys, "train", "grpo", "pg/Addition-v0", "--num-generations", "4", "--beta", "0.1", "--quiet")
    assert line == "--num-generations: grpo has no such option; write --group-size, and --kl-weight for --beta"
    assert "write --max-kl" in refused(capsys, "train", "trpo", "CartPole-v1", "--target-kl", "0.1")
    assert "write ENV, after the agent" in refused(capsys, "train", "ppo", "--env-id", "CartPole-v1")
    assert refused(capsys, "evaluate", "r", "--n-eval-episodes", "3").endswith("write --episodes")
    assert refused(capsys, "tune", "ppo", "CartPole-v1", "--n-trials", "3").endswith("write --trials")
    assert "hidden (net_arch)" in refused(capsys, "train", "ppo", "CartPole-v1", "--policy-kwargs", "dict()")


@pytest.mark.parametrize(("name", "who"), [("SAC", "Stable-Baselines3"), ("dqn", "CleanRL"), ("tqc", "sb3-contrib")])
def test_agents_that_are_no_policy_gradients_are_answered_with_who_has_them(capsys, name, who):
    line = refused(capsys, "train", name, "CartPole-v1")
    assert line.startswith(f"AGENT: there is no agent '{name}': it learns values off-policy") and who in line
    assert refused(capsys, "train", "vpg", "CartPole-v1").endswith("here it is reinforce-baseline")


def test_every_answer_is_an_option_or_an_agent_that_there_is():
    known = {name for agent in pg.AGENTS.values() for name in agent.argument_names()}
    known |= {name for form in (pg.NetworkConfig, pg.LanguageConfig) for name in form.options()}
    known |= {"total_steps", "num_envs", "env", "env_args", "env_arg", "wrapper", "wrappers", "run_dir", "log_every"}
    known |= {"eval_every", "eval_episodes", "episodes", "greedy", "checkpoint_every", "keep_checkpoints", "probes"}
    known |= {"progress", "quiet", "stop_return", "seed", "seeds", "jobs", "trials", "budget", "threads", "device"}
    assert elsewhere._OPTIONS.keys() <= known | {"video"}
    assert set(elsewhere.AGENTS.values()) <= pg.AGENTS.keys() and not elsewhere.AGENTS.keys() & pg.AGENTS.keys()


@pytest.mark.parametrize(
    ("call", "given", "meant"),
    [
        (pg.train, "total_timesteps", "total_steps"),
        (pg.train, "callback", "probes"),
        (pg.train, "n_eval_episodes", "eval_episodes"),
        (pg.evaluate, "n_eval_episodes", "episodes"),
        (pg.evaluate, "deterministic", "greedy"),
        (pg.train, "total_step", "total_steps"),
    ],
)
def test_python_answers_with_the_same_names(call, given, meant):
    with pytest.raises(TypeError, match=rf"^{given}: {call.__name__} has no such argument; did you mean {meant}\?$"):
        call(None, "CartPole-v1", **{given: 3})


# -- version and completion --------------------------------------------------------------------------------------------
def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"pg-agents {pg.__version__} (Python 3.")


def completed(script, line):
    """Return what bash proposes for a line that ends in what is typed so far."""
    ask = f'{script}\nCOMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _pg_agents; echo "${{COMPREPLY[@]}}"'
    found = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert found.stderr == ""
    return found.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_agents_ids_options_and_values(capsys):
    assert main(["--completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert completed(script, "pg-agents tr") == ["train"]
    assert completed(script, "pg-agents train reinforce-") == ["reinforce-baseline"]
    assert completed(script, "pg-agents train ppo CartPole-v") == ["CartPole-v0", "CartPole-v1"]
    assert completed(script, "pg-agents train ppo CartPole-v1 --total") == ["--total-steps"]
    assert completed(script, "pg-agents train ppo CartPole-v1 --activation ''") == ["tanh", "relu"]
    assert completed(script, "pg-agents train a2c CartPole-v1 --epo") == []
    assert completed(script, "pg-agents evaluate --ep") == ["--episodes"]
    assert completed(script, "pg-agents train ppo CartPole-v1 --no-norm") == ["--no-normalize-advantages"]


def test_there_are_scripts_for_two_shells(capsys):
    assert main(["--completion", "zsh"]) == 0
    assert "bashcompinit" in capsys.readouterr().out
    assert refused(capsys, "--completion", "fish") == "--completion must be bash or zsh, got 'fish'"


test_seeded_bugs = seeded(
    Bug(
        "a number with an exponent loses it",
        spelling._count,
        lambda text: text.partition("e")[0],
        [test_numbers_and_lists_are_read_as_they_are_written],
    ),
    Bug(
        "an option of another library is answered with one that the agent has not",
        elsewhere.option_for,
        lambda name, known: next((here for here, names in elsewhere._OPTIONS.items() if name in names.split()), None),
        [test_each_command_and_agent_answers_with_what_it_has],
    ),
)
