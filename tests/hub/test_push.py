"""A run is pushed as its agent's files with a card, and nothing else of the machine is."""

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.hub.push import contents_of, to_hub
from pg_agents.hub.run_folder import read_run, without_places

ENV = "pg/BernoulliBandit-v0"
FILES = {"README.md", "config.json", "summary.json", "metrics.jsonl", "curve.png"}
AGENT = {f"agent/{name}" for name in ("agent.json", "agent.safetensors", "manifest.json")}
BEST = {name.replace("agent/", "best/", 1) for name in AGENT}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a run with evaluations, and that of two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    how = {"num_envs": 4, "progress": False, "total_steps": 400}
    agent = pg.Reinforce.for_env(ENV, num_envs=4)
    how_one = {"eval_env": ENV, "eval_every": 200, "eval_episodes": 5, "keep_checkpoints": 1}
    pg.train(agent, ENV, run_dir=folder / "one", **how, **how_one)
    pg.train(pg.Reinforce.for_env(ENV, num_envs=4, seeds=[3, 5]), ENV, run_dir=folder / "two", **how)
    return folder


@pytest.fixture
def runs(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return Path("runs")


def written(folder):
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}


def refused(capsys, *words):
    assert main(["push", *words]) == 2
    return capsys.readouterr().err


def test_a_folder_has_the_card_the_agent_and_nothing_else(runs, capsys):
    (runs / "one" / "notes.txt").write_text("private")
    (runs / "one" / "agent" / "other.txt").write_text("private")
    assert main(["push", "runs/one", "me/bandit", "--to", "out"]) == 0
    assert written("out") == FILES | AGENT | BEST
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == [*sorted(written("out")), "out"]
    before, after = pg.load(runs / "one" / "agent"), pg.load("out/agent")
    assert all((after.state_dict()[name] == value).all() for name, value in before.state_dict().items())
    assert Path("out/curve.png").read_bytes().startswith(b"\x89PNG")
    assert "snapshot_download('me/bandit')" in Path("out/README.md").read_text()


def test_the_hub_reads_the_cards_metadata_and_results(runs):
    hub = pytest.importorskip("huggingface_hub")
    assert main(["push", "runs/one", "./out"]) == 0
    read = hub.ModelCard.load(Path("out/README.md"), ignore_metadata_errors=False)
    summary = json.loads((runs / "one" / "summary.json").read_text())
    assert read.data.library_name == "pg-agents" and {"reinforcement-learning", "reinforce", ENV} <= set(read.data.tags)
    results = {one.metric_type: one.metric_value for one in read.data.eval_results}
    assert results["mean_reward"] == summary["mean_return_last_100"]
    assert results["mean_reward_last_evaluation"] == summary["evaluations"]["400"]
    assert {one.dataset_name for one in read.data.eval_results} == {ENV}


def test_the_cards_command_trains_the_same_run_again(runs, monkeypatch):
    assert main(["push", "runs/one", "./out"]) == 0
    text = Path("out/README.md").read_text()
    command = re.search(r"```bash\npg-agents (.*?)\n```", text)[1].split()
    monkeypatch.chdir("out")
    assert main([*command, "--run-dir", "again", "--quiet"]) == 0
    before, after = (json.loads(Path(f"{path}/summary.json").read_text()) for path in (".", "again"))
    assert before["evaluations"] == after["evaluations"] and len(before["evaluations"]) == 3
    assert before["mean_return_last_100"] == after["mean_return_last_100"]
    block = re.search(r"```python\n(.*?)```", text, re.S)[1]
    exec(compile(block, "README.md", "exec"), {})  # prints the return


def test_several_seeds_have_an_interval_over_them(runs):
    assert main(["push", "runs/two", "./out"]) == 0
    over = json.loads((runs / "two" / "summary.json").read_text())["over_seeds"]["mean_return_last_100"]
    text = Path("out/README.md").read_text()
    low, middle, high = (f"{over[name]:.4g}" for name in ("low", "interquartile_mean", "high"))
    name = "return, mean of the last 100 training episodes"
    row = f"| {name} | {middle} | {low} to {high} | interquartile mean of 2 seeds |"
    assert row in text and "2 seeds (3, 5)" in text and written("out") == FILES | AGENT


def test_no_place_of_this_machine_is_pushed(runs, capsys):
    path = runs / "one" / "config.json"
    config = json.loads(path.read_text())
    config["wrappers"] = [{"name": "ClipReward", "arguments": {"max_reward": 0.5}}]
    config["env_args"] = {"data": "/home/somebody/tables/a.csv", "model": "hf:/home/somebody/small"}
    path.write_text(json.dumps(config))
    assert main(["push", "runs/one", "./out"]) == 0
    pushed = json.loads(Path("out/config.json").read_text())
    assert pushed["env_args"] == {"data": "a.csv", "model": "hf:small"} and "track" not in pushed
    text = Path("out/README.md").read_text()
    assert "env_args={'data': 'a.csv', 'model': 'hf:small'}, wrappers=['ClipReward:max_reward=0.5'], episodes" in text
    assert b"somebody" not in b"".join((Path("out") / name).read_bytes() for name in written("out"))
    with (runs / "one" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 401, "samples/text": f"in {runs.resolve()}/x"}) + "\n")
    assert "PATH: metrics.jsonl of runs/one names a folder of this machine" in refused(capsys, "runs/one", "./two")
    assert not Path("two").exists()


def test_a_description_with_a_place_is_cleaned_and_its_manifest_fits(runs):
    from pg_agents.manifest import seal, verify

    path = runs / "one" / "agent" / "agent.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps(description | {"note": "/home/somebody/small"}))
    seal(path.parent)
    assert main(["push", "runs/one", "./out"]) == 0
    verify(Path("out/agent"))
    assert json.loads(Path("out/agent/agent.json").read_text())["note"] == "small"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("pg/Chain-v0", "pg/Chain-v0"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("a / b, 1/2", "a / b, 1/2"),
        ("'/a/b c' and ~/x/y/", "'b c' and y"),
        (r"C:\Users\me\x", "x"),
        ("hf:/models/small", "hf:small"),
    ],
)
def test_places(text, clean):
    assert without_places({text: [text, 1]}) == {clean: [clean, 1]}


def test_event_files_are_pushed_if_asked_without_the_machines_name(runs):
    assert main(["push", "runs/one", "./out", "--events"]) == 0
    assert written("out") - FILES - AGENT - BEST == {"events.out.tfevents.0"}


def test_links_are_not_followed(runs, capsys):
    (runs / "one" / "metrics.jsonl").rename("elsewhere")
    (runs / "one" / "metrics.jsonl").symlink_to(Path("elsewhere").resolve())
    assert "metrics.jsonl is a link" in refused(capsys, "runs/one", "./out")


def test_what_cannot_be_pushed_is_named(runs, capsys, monkeypatch):
    assert "REPO: it is missing; give a repository like OWNER/NAME" in refused(capsys, "runs/one")
    assert "REPO: 'a//b' is no name of a repository; give one like OWNER/NAME" in refused(capsys, "runs/one", "a//b")
    assert "PATH: runs holds no run (no config.json)" in refused(capsys, "runs", "./out")
    assert "REPO: ./a is a folder, and --to b another" in refused(capsys, "runs/one", "./a", "--to", "b")
    assert "--to: runs exists and is not an empty folder" in refused(capsys, "runs/one", "--to", "runs")
    (runs / "one" / "agent" / "agent.safetensors").write_bytes(b"")
    assert "PATH: the agent saved in runs/one/agent is damaged" in refused(capsys, "runs/one", "./out")
    (runs / "two" / "summary.json").unlink()
    assert "PATH: the run in runs/two has not ended" in refused(capsys, "runs/two", "./out")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    line = 'REPO: huggingface_hub is not installed: pip install -c constraints.txt -e ".[hub]"'
    assert line in refused(capsys, "runs/one", "me/bandit")


def test_nobody_is_logged_in(runs, capsys, monkeypatch):
    monkeypatch.setattr(pytest.importorskip("huggingface_hub"), "get_token", lambda: None)
    assert "REPO: you are not logged in to the Hugging Face Hub" in refused(capsys, "runs/one", "me/bandit")


def test_the_hub_gets_the_same_files_in_one_commit(runs, monkeypatch):
    hub, sent = pytest.importorskip("huggingface_hub"), []

    class Api:
        def create_repo(self, repo, *, private, exist_ok):
            assert private and exist_ok
            return SimpleNamespace(repo_id=repo)

        def create_commit(self, repo, operations, *, commit_message):
            sent.append((repo, {one.path_in_repo: one.path_or_fileobj for one in operations}))

    monkeypatch.setattr(hub, "HfApi", Api)
    contents = contents_of(read_run(runs / "one"), "me/bandit")
    to_hub(contents, "me/bandit", private=True)
    ((repo, files),) = sent
    assert repo == "me/bandit" and files.keys() == FILES | AGENT | BEST
    monkeypatch.setattr(Api, "create_repo", lambda *_, **__: 1 / 0)
    with pytest.raises(pg.UserError, match="^repo: me/bandit cannot be uploaded .*ZeroDivisionError.*--to FOLDER"):
        to_hub(contents, "me/bandit", private=True)
