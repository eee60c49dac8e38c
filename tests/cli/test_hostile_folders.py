"""Run folders from somebody else: no command imports anything for them, and whatever they hold is one sentence."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import typing
from pathlib import Path

import pytest
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.cli.comparing_options import RunPaths
from pg_agents.cli.options import COMMANDS, RunPath
from pg_agents.hub import push
from pg_agents.shown import LINES, SCREEN
from pg_agents.spaces import packages

READERS = {  # of a run, from inside of it
    "evaluate": ["evaluate", ".", "--episodes", "1", "--max-episode-steps", "5"],
    "resume": ["resume", "."],
}
TAKERS = {  # which take the agent out of it, and make no environment
    "export": ["export", ".", "--to", "../away.onnx"],
    "generate": ["generate", ".", "1+1="],
    "push": ["push", ".", "--to", "../away"],
}
COMPARISON = ["compare", ".", "--json"]
AGENTS = {"evaluate": "agent", "resume": "checkpoints/start"}  # the folder of the agent that a command reads
TEXTS = ["train", "reinforce", "pg/Addition-v0", "--env-arg", "digits=1", "--total-steps", "8", "--num-envs", "2"]
PAYLOAD = "open('ran', 'w').write('this code came with the folder')\n"
BESIDE = (
    "payload",
    "shimmy",
    "moviepy",
    "transformers",
    "peft",
    "pygame",
    "ale_py",
    "gym",
    "antigravity",
    "minigrid",
    "cv2",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a small agent in CartPole, which has been evaluated once: what that imports is imported."""
    folder = tmp_path_factory.mktemp("runs") / "r"
    typed = ["train", "reinforce", "CartPole-v1", "--total-steps", "8", "--num-envs", "2", "--hidden", "4", "--quiet"]
    assert main([*typed, "--run-dir", str(folder)]) == 0
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for argv in (*READERS.values(), COMPARISON):
            assert main(argv) == 0
    return folder


@pytest.fixture
def hostile(run, tmp_path, monkeypatch):
    """A copy of it, in which we stand, with modules of many names."""
    shutil.copytree(run, tmp_path / "r")
    monkeypatch.chdir(tmp_path / "r")
    (tmp_path / "r" / "payload").mkdir()
    for name in ("payload/__init__", "payload/inner", *BESIDE[1:]):
        (tmp_path / "r" / f"{name}.py").write_text(PAYLOAD)
    return tmp_path / "r"


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_every_command_that_reads_a_run_is_tried():
    hints = {name: typing.get_type_hints(form, include_extras=True).values() for name, form in COMMANDS.items()}
    assert {name for name, types in hints.items() if RunPath in types} == {*READERS, *TAKERS}
    assert {name for name, types in hints.items() if RunPaths in types} == {COMPARISON[0], "plot"}  # read alike


NAMES = (
    "payload:CartPole-v1", "payload.inner:CartPole-v1", "payload:payload:CartPole-v1", ".payload:CartPole-v1",
    "./payload:CartPole-v1", "antigravity:CartPole-v1", "this:CartPole-v1", ":CartPole-v1", "payload:", " payload:X",
    "pg_envs:CartPole-v1", "numpy:pg/Chain-v0", "payload\x1b[2J:CartPole-v1", "payload\x00:CartPole-v1",
    "ALE/Pong-v5", "MiniGrid-Empty-5x5-v0", "ALE/payload-v5",
    "x" * 10**6 + ":CartPole-v1", "GymV26Environment-v0", "GymV21Environment-v0", "payload.CartPole-v1",
)  # fmt: skip
ARGUMENTS = (
    {"entry_point": "payload:Env"}, {"vector_entry_point": "payload:Env"}, {"wrappers": ["payload:Wrapper"]},
    {"env_id": "payload:Env"}, {"vector_kwargs": {"worker": "payload:work"}}, {"vectorization_mode": "payload:x"},
    {"additional_wrappers": ["payload:x"]}, {"id": "payload:CartPole-v1"}, {"render_mode": "payload:x"},
    {"vectorization_mode": "vector_entry_point"}, {"tokenizer": "payload"}, {"apply_api_compatibility": True},
)  # fmt: skip
HOSTILE = [{"env": name} for name in NAMES]
HOSTILE += [{"env": env, "env_args": given} for given in ARGUMENTS for env in ("CartPole-v1", "GymV26Environment-v0")]
HOSTILE += [{"env": "pg/Addition-v0", "env_args": {"tokenizer": "."}}, {"env": "pg_envs:CartPole-v1"}]


WRAPPERS = (
    "FlattenObservation", 3, None, ["FlattenObservation"], [{}], [{"name": "payload:Wrapper"}], [{"name": "payload"}],
    [{"name": "RecordVideo", "arguments": {"video_folder": "ran"}}], [{"name": "HumanRendering"}],
    [{"name": "TransformObservation", "arguments": {"func": "payload:f", "observation_space": None}}],
    [{"name": "FrameStackObservation", "arguments": {"stack_size": "payload"}}],
    [{"name": "FlattenObservation", "x": 1}],
    [{"name": "FrameStackObservation", "arguments": {"stack_size": 2, "padding_type": "payload:f"}}],
    [{"name": "DtypeObservation", "arguments": {"dtype": "payload:x"}}], [{"name": "AtariPreprocessing"}],
    [{"name": "ClipReward", "arguments": [1]}], [{"name": "\x1b[2J"}], [{"name": "x" * 10**6}], {"name": "ClipReward"},
)  # fmt: skip


def is_known(name):
    """Whether a module is made in memory, of an installed package, or of Python and no toy of it."""
    file = getattr(sys.modules[name], "__file__", None)
    installed = file is None or "site-packages" in file or file.startswith(sysconfig.get_path("stdlib"))
    return installed and name not in ("antigravity", "this")


def read_by(argv, capsys):
    """Return the exit code of a command on a folder, having checked that it said no more than one clean sentence."""
    before, path = set(sys.modules), list(sys.path)
    code = main(argv)
    assert {name for name in set(sys.modules) - before if not is_known(name)} == set()
    assert sys.path == path and not Path("ran").exists()
    out, err = capsys.readouterr()
    assert all(char.isprintable() or char in "\n\t" for char in out + err)
    assert len(err) <= 2 * SCREEN and err.count("\n") <= LINES + 2
    assert (code, sum(line.startswith("error: ") for line in err.splitlines())) in ((0, 0), (2, 1)), err
    return code


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("changes", HOSTILE, ids=lambda changes: ascii(changes)[:60])
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_imported_for_a_run_folder(hostile, capsys, command, changes):
    edit(hostile / "config.json", **changes)
    read_by(READERS[command], capsys)


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("wrappers", WRAPPERS, ids=lambda wrappers: ascii(wrappers)[:60])
@pytest.mark.filterwarnings("ignore")
def test_wrappers_that_cannot_be_used_are_one_sentence_and_write_nothing(hostile, capsys, command, wrappers):
    edit(hostile / "config.json", wrappers=wrappers)
    there = set(hostile.rglob("*"))
    assert read_by(READERS[command], capsys) == 2
    assert set(hostile.rglob("*")) == there


@pytest.mark.filterwarnings("ignore")
def test_nothing_is_imported_for_a_comparison_and_whatever_a_folder_holds_is_compared(hostile, capsys):
    config, original = hostile / "config.json", (hostile / "config.json").read_text()
    read = ("agent", "env", "env_args", "wrappers", "seed", "arguments", "total_steps", "torch", "known_returns")
    changes = [*HOSTILE, *({"wrappers": wrappers} for wrappers in WRAPPERS)]
    changes += [{key: value} for value in ANYTHING for key in read]
    changes += [{"env": env, "env_args": value} for value in ANYTHING for env in ("pg/Copy-v0", "pg/Chain-v0")]
    for change in changes:
        edit(config, **change)
        assert read_by(COMPARISON, capsys) == 0
        config.write_text(original)
    for content in NOTHING:
        config.write_bytes(content)
        assert read_by(COMPARISON, capsys) == 2


@pytest.mark.slow
def test_the_refusal_is_the_line_to_type_and_ones_own_folder_keeps_working(tmp_path, monkeypatch, capsys):
    """Whoever wrote the module and the run types one flag more, which the training's last lines have already."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_module_of_mine.py").write_text(
        "import gymnasium as gym\nfrom gymnasium.envs.classic_control import CartPoleEnv\n"
        "gym.register('Mine-v0', CartPoleEnv, max_episode_steps=5)\n"
    )
    program = str(Path(sys.executable).parent / "pg-agents")

    def typed(*argv):
        return subprocess.run([program, *argv], capture_output=True, text=True)

    trained = typed("train", "reinforce", "a_module_of_mine:Mine-v0", "--total-steps", "8", "--run-dir", "my run")
    assert "pg-agents evaluate 'my run' --episodes 100 --trust-run-folder" in trained.stdout
    refused = typed("evaluate", "my run", "--episodes", "2")
    line = "pg-agents evaluate 'my run' --episodes 2 --trust-run-folder"
    assert refused.returncode == 2 and refused.stdout == "" and "'a_module_of_mine'" in refused.stderr
    assert refused.stderr.startswith("error: PATH: my run/config.json names a module")
    assert refused.stderr.endswith(f": {line}\n")
    again = typed(*shlex.split(line)[1:])
    assert again.returncode == 0 and "reinforce on a_module_of_mine:Mine-v0" in again.stdout


NOTHING = (b"", b"\xff" * 10**7, b"[" * 10**5, b'{"env":' * 10**5, b"null", b"[]", b"\x00" * 99)
ANYTHING = (
    True, -1, 0, 10**30, float("nan"), "\x1b]0;title\x07", "a\nerror: b", "payload:x", [], {}, [[1]], "y" * 10**6,
    list(range(10**4)), {"window": 10**14}, {"task": {"a": 1}}, {"render_mode": {}}, {"\x1b[2J": 1},
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("command", TAKERS)
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_imported_for_an_agent_that_is_taken_away_and_whatever_the_folder_holds_is_one_sentence(
    hostile, capsys, command, monkeypatch
):
    monkeypatch.setattr(pg.Agent, "export", lambda agent, path, **how: None)  # what is written is tested elsewhere
    monkeypatch.setattr(push, "_curve", lambda run: None)  # drawn of what `compare` reads
    if command == "generate":
        shutil.rmtree(hostile / "agent")
        assert main([*TEXTS, "--quiet", "--run-dir", "../texts"]) == 0
        shutil.copytree("../texts", hostile, dirs_exist_ok=True)
    assert main(TAKERS[command]) == 0  # what it imports of ours is imported
    shutil.rmtree(hostile.parent / "away", ignore_errors=True)
    config = hostile / "config.json"
    for change in (*HOSTILE, *({"wrappers": wrappers} for wrappers in WRAPPERS)):
        original = config.read_text()
        edit(config, **change)
        read_by(TAKERS[command], capsys)
        config.write_text(original)
        shutil.rmtree(hostile.parent / "away", ignore_errors=True)
    for name in ("config.json", "summary.json", "agent/agent.json"):
        original = (hostile / name).read_text()
        for key in json.loads(original):
            for value in ANYTHING:
                edit(hostile / name, **{key: value})
                read_by(TAKERS[command], capsys)
                (hostile / name).write_text(original)
                shutil.rmtree(hostile.parent / "away", ignore_errors=True)
    for content in NOTHING:
        (hostile / "agent/agent.json").write_bytes(content)
        assert read_by(TAKERS[command], capsys) == 2


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: ascii(value)[:30])
@pytest.mark.filterwarnings("ignore")
def test_whatever_a_run_folder_holds_is_one_sentence(hostile, capsys, command, value):
    """The value in place of every entry of both files, and as the arguments of environments of several kinds."""
    for name in ("config.json", f"{AGENTS[command]}/agent.json"):
        original = (hostile / name).read_text()
        for key in json.loads(original):
            edit(hostile / name, **{key: value})
            read_by(READERS[command], capsys)
            (hostile / name).write_text(original)
    for env in ("pg/Copy-v0", "pg/Chain-v0", "Pendulum-v1"):
        edit(hostile / "config.json", env=env, env_args=value)
        assert read_by(READERS[command], capsys) == 2


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("name", ["config.json", "agent/agent.json", "agent/agent.safetensors"])
@pytest.mark.parametrize("content", NOTHING)
def test_files_that_are_nothing_of_the_kind_are_one_sentence(hostile, capsys, command, name, content):
    (hostile / name.replace("agent/", f"{AGENTS[command]}/")).write_bytes(content)
    if command == "resume":  # which may make its agent as another that is sound
        shutil.rmtree(hostile / "agent")
    assert read_by(READERS[command], capsys) == 2


def imports_and_searches_the_present_folder(env_id, argument="env", right=packages.import_module):
    if ":" in env_id:
        sys.path.append(os.getcwd())
    return right(env_id, argument)


test_seeded_bugs = seeded(
    Bug(
        "the present folder is searched for what is missing",
        packages.import_module,
        imports_and_searches_the_present_folder,
        [test_nothing_is_imported_for_a_run_folder],
    ),
    Bug(
        "a run's folder names modules to import",
        packages.untrusted_module,
        lambda env_id: None,
        [test_nothing_is_imported_for_a_run_folder],
    ),
)
