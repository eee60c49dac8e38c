"""`pg-agents export`: policies of runs and of saved agents as files."""

import json

import onnxruntime
import pytest

import pg_agents as pg
from pg_agents.cli import main

pytestmark = pytest.mark.usefixtures("folder")

TRAIN = ["train", "reinforce-baseline", "pg/GridWorld-v0", "--quiet", "--total-steps", "500", "--run-dir", "r"]


def exported(capsys, *typed):
    assert main(["export", *typed]) == 0
    return capsys.readouterr().out


def refused(capsys, *typed):
    assert main(["export", *typed]) == 2
    return capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_exported_and_acts_without_the_package(capsys):
    main(TRAIN)
    capsys.readouterr()
    out = exported(capsys, "r", "--to", "deep/policy.onnx")
    assert "reinforce-baseline of r/agent, greedy actions" in out and "written to deep/policy.onnx" in out
    session, agent = onnxruntime.InferenceSession("deep/policy.onnx"), pg.load("r/agent")
    states = list(range(agent.spaces[0].n))
    assert session.run(["action"], {"observation": states})[0].tolist() == agent.act(states, greedy=True)[0].tolist()
    assert session.get_modelmeta().custom_metadata_map["agent"] == "reinforce-baseline"


@pytest.fixture
def asked(monkeypatch):
    """What agents were asked to export, instead of exporting it."""
    asked = []
    monkeypatch.setattr(pg.Agent, "export", lambda agent, path, **how: asked.append((agent, path, how)))
    return asked


def test_the_folder_of_a_saved_agent_is_exported(capsys, asked):
    pg.PPO.for_env("CartPole-v1", hidden=[4]).save("mine")
    found = json.loads(exported(capsys, "mine", "--to", "p.onnx", "--sample", "--action-mask", "--json"))
    assert found == {"agent": "mine", "to": "p.onnx", "kind": "sampled actions"}
    ((agent, path, how),) = asked
    assert (agent.name, str(path), how) == ("ppo", "p.onnx", {"sample": True, "action_mask": True})


def test_a_policy_is_no_file_of_another_format(capsys, asked):
    pg.PPO.for_env("CartPole-v1", hidden=[4]).save("mine")
    assert "--to: a policy is written in the ONNX format, not as .pt; give p.onnx" in refused(
        capsys, "mine", "--to", "p.pt"
    )
    assert asked == []


def test_the_best_agent_of_a_run_is_exported_where_it_is_named(capsys, asked):
    main([*TRAIN, "--eval-every", "100", "--eval-episodes", "1"])
    capsys.readouterr()
    assert "pg-agents export r/best --to" in exported(capsys, "r", "--to", "p.onnx")
    assert "of r/best, greedy" in exported(capsys, "r/best", "--to", "p.onnx")
    last, best = (pg.load(f"r/{name}").policy.logits for name in ("agent", "best"))
    assert [agent.policy.logits.equal(table) for (agent, *_), table in zip(asked, (last, best), strict=True)] == [
        True
    ] * 2


def test_of_several_seeds_one_must_be_named(capsys, asked):
    main([*TRAIN, "--seeds", "2"])
    capsys.readouterr()
    assert "PATH: r holds the learners of 2 seeds; name one of them, like r/seed-0" in refused(capsys, "r", "--to", "p")
    exported(capsys, "r/seed-1", "--to", "p.onnx")
    ((agent, *_),) = asked
    assert agent.policy.logits.equal(pg.load("r/seed-1/agent").policy.logits)


def test_a_language_model_is_saved_as_a_folder(capsys, monkeypatch, asked):
    agent = pg.PPO.for_env("CartPole-v1", hidden=[4])
    agent.networks = {"policy": "hf:somewhere"}
    monkeypatch.setattr("pg_agents.cli.exporting.load_agent", lambda path: agent)
    monkeypatch.setattr(pg.Agent, "save_pretrained", lambda agent, path, **how: asked.append((path, how)))
    assert "language model" in exported(capsys, "anywhere", "--to", "model")
    assert [(str(path), how) for path, how in asked] == [("model", {"adapters": "merged", "base": None})]
    for name in ("model.onnx", "model.gguf"):
        assert "written as a folder" in (said := refused(capsys, "anywhere", "--to", name)) and "give model\n" in said
    assert len(asked) == 1
    assert "--sample: it is for policies in the ONNX format" in refused(capsys, "anywhere", "--to", "m", "--sample")


def test_what_cannot_be_exported_is_named(capsys, folder):
    assert "PATH: nowhere/agent holds no saved agent" in refused(capsys, "nowhere", "--to", "p.onnx")
    pg.PPO.for_env("Pendulum-v1", hidden=[4]).save("mine")
    assert "--action-mask: Box(-2.0, 2.0, (1,), float32) has no masks" in refused(
        capsys, "mine", "--to", "p.onnx", "--action-mask"
    )
    (folder / "p.onnx").mkdir()
    assert "--to: p.onnx cannot be written" in refused(capsys, "mine", "--to", "p.onnx")
    pg.PPO.for_env("CartPole-v1", hidden=[4], num_learners=2).save("both")
    assert "error: PATH: it is of 2 independent learners" in refused(capsys, "both", "--to", "q.onnx")
