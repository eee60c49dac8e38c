"""`pg-agents generate`: texts are continued from the shell, from a run's folder or a saved agent."""

import io
import json

import pytest
import transformers
from support.tiny_llama import V, llama
from tokenizers import Tokenizer, models, pre_tokenizers

import pg_agents as pg
from pg_agents.cli import main

TEXTS = ["3 + 4 =", "5 + 5 ="]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of a tiny language model on sums, trained from the command line."""
    folder = tmp_path_factory.mktemp("runs")
    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "+": 3, "=": 4, **{f"{i}": i + 5 for i in range(V - 5)}}
    coder = Tokenizer(models.WordLevel(words, "<pad>"))
    coder.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=coder, eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} = {% endfor %}"
    llama(num_hidden_layers=1).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    typed = ["--policy", f"hf:{folder / 'base'}", "--run-dir", str(folder / "run"), "--total-steps", "40", "--quiet"]
    sizes = ["--num-envs", "4", "--group-size", "2", "--minibatch-size", "8", "--keep-checkpoints", "0"]
    assert main(["train", "grpo", "pg/Addition-v0", *typed, *sizes]) == 0
    return folder / "run"


def generated(capsys, *typed):
    assert main(["generate", *map(str, typed), "--json", "--max-new-tokens", "6"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_continues_texts_as_its_agent_does(run, capsys):
    agent = pg.load(run / "agent")
    expected = agent.generate(TEXTS, max_new_tokens=6, greedy=True)
    found = generated(capsys, run, *TEXTS, "--greedy")
    assert found == [{"prompt": text, "completions": [one]} for text, one in zip(TEXTS, expected, strict=True)]
    assert generated(capsys, run / "agent", *TEXTS, "--greedy") == found
    assert main(["generate", str(run), TEXTS[0], "--greedy", "--max-new-tokens", "6"]) == 0
    assert capsys.readouterr().out == expected[0] + "\n"
    assert main(["generate", str(run), *TEXTS, "--num", "2", "--max-new-tokens", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[0] == "prompt   3 + 4 ="


def test_a_saved_agent_needs_no_run_and_the_base_model_is_not_needed(run, capsys, tmp_path):
    pg.load(run / "agent").save(tmp_path / "mine")
    (run.parent / "base").rename(run.parent / "moved")
    try:
        assert generated(capsys, tmp_path / "mine", *TEXTS) == generated(capsys, run, *TEXTS)
    finally:
        (run.parent / "moved").rename(run.parent / "base")


def test_seed_number_temperature_chat_and_standard_input(run, capsys, monkeypatch):
    agent = pg.load(run / "agent")
    (found,) = generated(capsys, run, TEXTS[0], "--num", "3", "--seed", "4")
    assert found["completions"] == agent.generate(TEXTS[:1] * 3, max_new_tokens=6, seed=4)
    greedy = generated(capsys, run, TEXTS[0], "--greedy")
    assert generated(capsys, run, TEXTS[0], "--temperature", "0.001") == greedy
    monkeypatch.setattr("sys.stdin", io.StringIO(TEXTS[0]))
    assert generated(capsys, run, "-", "--greedy") == greedy
    (chat,) = generated(capsys, run, "3 + 4", "--chat", "--greedy")
    assert chat["completions"] == greedy[0]["completions"]


def test_a_network_of_ours_reads_the_characters_of_its_run(capsys, tmp_path):
    typed = ["--run-dir", str(tmp_path / "run"), "--total-steps", "40", "--num-envs", "4", "--quiet"]
    assert main(["train", "reinforce", "pg/Copy-v0", *typed, "--keep-checkpoints", "0"]) == 0
    assert main(["generate", str(tmp_path / "run"), "abcd→", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert len(found["completions"][0]) <= 8 and set(found["completions"][0]) <= set("_abcd→")
    for typed, said in (
        (["abz"], "'z' in 'abz' is none of the environment's characters"),
        (["ab", "--temperature", "0.5"], "--temperature: 0.5 is for language models"),
        (["ab", "--chat"], "--chat: the agent in"),
    ):
        assert main(["generate", str(tmp_path / "run"), *typed]) == 2
        assert said in capsys.readouterr().err
    pg.load(tmp_path / "run/agent").save(tmp_path / "alone")
    assert main(["generate", str(tmp_path / "alone"), "ab"]) == 2
    assert "no run's folder is around it" in capsys.readouterr().err


def test_what_cannot_be_generated_is_said(run, capsys, tmp_path):
    pg.Reinforce.for_env("CartPole-v1").save(tmp_path / "agent")
    for typed, said in {
        (tmp_path / "agent", "a"): "PATH: the agent in",
        (tmp_path / "nothing", "a"): "holds no saved agent",
        (run,): "PROMPT",
        (run, "a", "--num", "0"): "--num must be a whole number, 1 or above",
        (run, "a", "--temperature", "0"): "--temperature must be a number above 0",
        (run, "a", "--max-new-tokens", "999"): "fewer max_new_tokens",
        (run, ""): "has no tokens",
    }.items():
        assert main(["generate", *map(str, typed)]) == 2
        error = capsys.readouterr().err
        assert said in error and "Traceback" not in error
