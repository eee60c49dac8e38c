"""Language models by name, from the command line to the files of a run."""

import json
import re
import shutil
import sys
from pathlib import Path

import gymnasium as gym
import pytest
import torch
import transformers
from pg_envs import TokenTask, TokenVectorEnv
from pg_envs.tokens import tasks
from pg_envs.tokens.token_env import TokenEnv
from support.bugs import Bug, seeded, with_arguments
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pg_agents as pg
from pg_agents.agents.common import make_agent
from pg_agents.agents.common.files import write_agent
from pg_agents.cli import main
from pg_agents.cli.environments import parse_arguments
from pg_agents.errors import SavedAgentError, UnsupportedSpaceError
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.huggingface_critic import HuggingFaceCritic
from pg_agents.manifest import seal

V = 100  # ids of the model; the tokenizer has 99
ADDITION = ["--env-arg", "digits=1", "--num-envs", "16", "--quiet", "--run-dir", "r"]


def words(count=96):
    """Return a tokenizer whose tokens are characters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    marks = ["<pad>", "<s>", "</s>"]
    ids = {word: i for i, word in enumerate([*marks, "\n", *(chr(code) for code in range(32, 31 + count))])}
    spelling = Tokenizer(models.WordLevel(ids, unk_token="<pad>"))
    spelling.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    spelling.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=spelling, eos_token="</s>")


def config(**options):
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    return transformers.LlamaConfig(**{"vocab_size": V, "max_position_embeddings": 64} | sizes | ends | options)


@pytest.fixture
def model(folder):
    """A random Llama and its tokenizer in the folder model/ of the present one."""
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config(initializer_range=0.2)).save_pretrained("model")
    words().save_pretrained("model")
    return folder / "model"


def rows():
    return [json.loads(line) for line in Path("r/metrics.jsonl").read_text().splitlines()]


def train(*typed, agent="grpo", env="pg/Addition-v0", policy="hf:model"):
    return main(["train", agent, env, "--policy", policy, "--total-steps", "120", *typed])


# -- a run -------------------------------------------------------------------------------------------------------------
def test_a_run_from_a_pretrained_model_to_its_evaluation(model, capsys):
    split = ["--env-arg", "split=train", "--eval-env-arg", "split=held_out", "--eval-every", "100000"]
    assert train(*ADDITION, *split, "--eval-episodes", "20", "--log-every", "1") == 0
    agent = pg.load("r/agent")
    assert isinstance(agent.policy, HuggingFacePolicy) and agent.learning_rate == 1e-5 and agent.epochs == 1
    assert agent.policy.tokenizer.decode(agent.policy.tokenizer.encode("3+4?\n")) == "3+4?\n"
    settings = json.loads((model.parent / "r/config.json").read_text())
    assert settings["networks"] == {"policy": "hf:model"} and settings["env_args"] == {"digits": 1, "split": "train"}

    found = rows()
    assert [row["step"] for row in found if "eval/ep_rew_mean" in row] == [
        0,
        found[-1]["step"],
    ]  # before and at the end
    last = found[-2]
    assert last["stop/eos"] + last["stop/verifier"] + last["stop/length"] == pytest.approx(1)
    assert last["stop/verifier"] == 0 < last["stop/length"]
    expected = {
        "rollout/ep_rew_mean", "rollout/ep_len_mean", "train/zero_variance_groups", "time/tokens_per_second",
        "samples/training",
    }  # fmt: skip
    assert expected <= set(last)
    events = EventAccumulator("r", size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    assert {"stop/eos", "time/tokens_per_second", "eval/ep_rew_mean"} <= set(events.Tags()["scalars"])
    shown = events.Tensors("samples/same_prompts/text_summary")
    assert [point.step for point in shown] == [0, found[-1]["step"]]
    before, after = (point.tensor_proto.string_val[0].decode() for point in shown)
    asked = [[line.split("`")[1] for line in text.splitlines()[2:]] for text in (before, after)]
    assert asked[0] == asked[1] and all(prompt.startswith("Question: What is ") for prompt in asked[0])

    shutil.rmtree(model)  # nothing of it is needed any more
    capsys.readouterr()
    assert main(["evaluate", "r", "--episodes", "6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 6
    assert main(["evaluate", "r/best", "--episodes", "6", "--env-arg", "split=held_out"]) == 0
    assert "split must be all, train or held_out, got 'x'" in refused(capsys, "evaluate", "r", "--env-arg", "split=x")
    pg.load("r/agent").save("again")
    assert main(["evaluate", "again"]) == 2  # an agent, not a run
    loaded = pg.load("again")
    assert all(torch.equal(*pair) for pair in zip(loaded.parameters(), agent.parameters(), strict=True))
    assert loaded.networks == {"policy": "hf:model"}


def test_evaluations_ask_what_training_does_not(model, monkeypatch):
    given = {}

    def noted(agent, env, **settings):
        given.update(settings, env=env)
        raise KeyboardInterrupt

    monkeypatch.setattr("pg_agents.cli.resuming.train", noted)
    split = ["--env-arg", "split=train", "--eval-env-arg", "split=held_out", "--eval-every", "10"]
    assert train(*ADDITION, *split, "--eval-episodes", "5") == 130
    assert given["eval_env"].num_envs == 5
    asked = [
        {env.unwrapped.decode(ids) for ids in env.unwrapped.task.prompts} for env in (given["env"], given["eval_env"])
    ]
    assert len(asked[0] | asked[1]) == 100 and not asked[0] & asked[1]
    assert given["env"].single_action_space.n == V  # both in the model's tokens


@pytest.mark.parametrize("name", [name for name, agent in pg.AGENTS.items() if not agent.continuing])
def test_every_agent_trains_a_language_model_or_says_why_not(model, name, capsys):
    few = (
        ["--max-episode-steps", "8"]
        if "max_episode_steps" in pg.AGENTS[name].argument_names()
        else ["--num-steps", "4"]
    )
    code = train(*ADDITION, *few, agent=name)
    if name in ("trpo", "npg"):
        assert code == 2 and f"--policy: {name} needs the KL divergence's" in capsys.readouterr().err
        return
    assert code == 0
    agent = pg.load("r/agent")
    assert agent.learning_rate == 1e-5
    if pg.AGENTS[name].needs_critic(pg.AGENTS[name].config_class()):
        assert isinstance(agent.critic, HuggingFaceCritic) and agent.critic_learning_rate == 1e-5


def test_what_is_typed_reaches_the_model(model):
    typed = ["--temperature", "0.7", "--top-k", "9", "--top-p", "0.95", "--chunk", "5", "--gradient-checkpointing"]
    assert train(*ADDITION, *typed, "--dtype", "bfloat16", "--kl-weight", "0.1") == 0
    agent = pg.load("r/agent")
    policy, sampling = agent.policy, agent.policy.sampling
    assert agent.kl_weight == 0.1
    assert (sampling.temperature, sampling.top_k, sampling.top_p, policy.chunk) == (0.7, 9, 0.95, 5)
    assert policy.model.is_activation_checkpointing
    assert {parameter.dtype for parameter in policy.parameters()} == {torch.bfloat16}


def test_adapters_learn_and_nothing_else_and_are_saved(model):
    typed = ["--lora", "3", "--learning-rate", "0.01", "--kl-weight", "0.1", "--num-envs", "16", "--quiet"]
    assert train(*typed, "--run-dir", "r", env="pg/Copy-v0") == 0
    policy = pg.load("r/agent").policy
    before = dict(transformers.LlamaForCausalLM.from_pretrained(model).named_parameters())
    learned, kept = 0, 0
    for name, parameter in policy.model.base_model.model.named_parameters():
        assert parameter.requires_grad == ("lora_" in name)
        if "lora_B" in name:
            learned += int(parameter.any())  # it is zero at first
        elif "lora_" not in name:
            kept += 1
            assert torch.equal(parameter, before[name.replace(".base_layer", "")])
    assert learned == 7 and kept == len(before)
    assert main(["evaluate", "r", "--episodes", "4"]) == 0
    assert train(*typed, "--run-dir", "r2", env="pg/Copy-v0", agent="ppo") == 0


def test_an_architecture_with_new_weights_and_no_tokenizer(model):
    for file in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (model / file).unlink()
    typed = ["--num-envs", "8", "--quiet", "--run-dir", "r"]
    assert train(*typed, env="pg/Copy-v0", policy="hf-config:model") == 0
    assert main(["evaluate", "r", "--episodes", "4"]) == 0
    policy = pg.load("r/agent").policy
    assert (
        policy.head.out_features == 8 and policy.model.lm_head.out_features == V
    )  # of the model's ids the first eight
    assert {"train/entropy", "train/kl", "samples/training"} <= set(rows()[-2])
    assert "→" in rows()[-2]["samples/training"]  # in the task's own letters


def test_a_policy_of_the_first_tokens_acts_as_it_learns_and_leaves_the_others_alone(model):
    env = gym.make_vec("pg/Copy-v0", 16, group_size=4)
    agent = pg.GRPO.for_env(env, policy="hf:model", group_size=4, learning_rate=1e-2)
    before = agent.policy.model.lm_head.weight.clone()
    summary = pg.train(agent, env, total_steps=600, progress=False)
    moved = (agent.policy.model.lm_head.weight != before).any(1)
    assert moved[:8].all() and not moved[8:].any() and summary.total_steps >= 600


def test_a_tokenizer_that_was_typed_stays(model, capsys):
    words(60).save_pretrained("other")
    assert gym.make_vec("pg/Addition-v0", 2, tokenizer="other", digits=1).single_action_space.n == 63
    assert train(*ADDITION, "--env-arg", "tokenizer=other") == 0
    assert pg.load("r/agent").policy.head.out_features == 63
    assert main(["evaluate", "r", "--episodes", "4", "--json"]) == 0


# -- what is wrong is said ---------------------------------------------------------------------------------------------
def refused(capsys, *argv):
    """Return the one line that `argv` is refused with."""
    capsys.readouterr()
    assert main(list(argv)) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in err and out == ""
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def typed(env="pg/Addition-v0", policy="hf:model", *more, agent="grpo"):
    small = ["--env-arg", "digits=1"] if env == "pg/Addition-v0" else []  # more are 10,000 prompts to encode
    return ["train", agent, env, "--policy", policy, "--quiet", "--total-steps", "50", *small, *more]


def test_models_that_are_not_there(model, capsys):
    assert "--policy must be hf:PATH" in refused(capsys, *typed(policy="gpt2"))
    assert "--policy: nowhere is no folder with weights" in refused(capsys, *typed(policy="hf:nowhere"))
    assert "--policy: there is no file model/x.gguf" in refused(capsys, *typed(policy="hf:model/x.gguf"))
    assert "--policy: nowhere holds no config.json" in refused(capsys, *typed(policy="hf-config:nowhere"))
    (model / "model.safetensors").unlink()
    assert "--policy: model is no folder with weights" in refused(capsys, *typed())


def test_vocabularies_and_windows_that_do_not_fit(model, capsys):
    line = refused(capsys, *typed("test_make_language_networks:Wide-v0"))
    assert "vocabulary of 104 ids is larger than the 100 of hf:model" in line
    line = refused(capsys, *typed("pg/Addition-v0", "hf:model", "--env-arg", "max_new_tokens=40"))
    short = refused(capsys, *typed("pg/Addition-v0", "hf:model", "--env-arg", "window=8"))
    assert "window must hold the longest prompt, 30 tokens, got 8" in short
    assert "window of 70 tokens is longer than 64, the max_position_embeddings of hf:model" in line
    with pytest.raises(UnsupportedSpaceError, match="reads windows of tokens"):
        pg.GRPO.for_env(gym.make("CartPole-v1"), policy="hf:model")
    assert "reads windows of tokens" in refused(capsys, *typed("CartPole-v1"))


def test_a_tokenizer_with_more_ids_than_the_model(model, capsys):
    words(110).save_pretrained("model")
    line = refused(capsys, *typed())
    assert "113 ids" in line and "100" in line


def test_no_end_of_sequence(model, capsys):
    for file in ("config.json", "generation_config.json", "tokenizer_config.json"):
        content = json.loads((model / file).read_text())
        (model / file).write_text(json.dumps({k: v for k, v in content.items() if not k.startswith("eos_token")}))
    assert "eos_token_id" in refused(capsys, *typed())


def test_options_that_do_not_belong_together(model, capsys):
    plain = ["train", "grpo", "pg/Copy-v0", "--quiet", "--temperature", "0.5"]
    assert "--temperature must be left out, or given with a language model, the policy hf:PATH" in refused(
        capsys, *plain
    )
    assert "--temperature must be a finite number above 0, got 0.0" in refused(
        capsys, *typed("pg/Copy-v0", "hf:model", *plain[4:5], "0")
    )
    assert "--lora must be a whole number, 1 or above" in refused(
        capsys, *typed("pg/Copy-v0", "hf:model", "--lora", "0")
    )
    tuned = refused(capsys, *typed("pg/Copy-v0", "hf:model", "--tuned"))
    assert "--tuned: the tuned settings are for new networks, not for a language model" in tuned
    assert "--hidden must be left out" in refused(capsys, *typed("pg/Copy-v0", "hf:model", "--hidden", "8"))
    lone = refused(capsys, *typed("pg/Addition-v0", "hf:model", "--eval-env-arg", "split=held_out"))
    assert "--eval-env-arg: it has no effect without evaluations" in lone


def test_a_missing_extra_gives_the_install_line(model, capsys, monkeypatch):
    assert train(*ADDITION) == 0
    monkeypatch.setitem(sys.modules, "accelerate", None)  # what is None cannot be imported
    assert "--policy: language models need" in (line := refused(capsys, *typed()))
    assert 'pip install -c constraints.txt -e ".[llm]"' in line
    assert "PATH: language models need" in refused(capsys, "evaluate", "r")


def test_a_saved_agent_without_the_models_description(model, capsys):
    assert train(*ADDITION) == 0
    shutil.rmtree("r/agent/model")
    assert re.search(r"agent is damaged \('model/\S+' is missing\)", refused(capsys, "evaluate", "r"))
    seal(Path("r/agent"))
    assert "holds a language model's agent, but not its folder model/" in refused(capsys, "evaluate", "r")


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        ("raises", ["score failed on prompt 'ab' and completion '", "ZeroDivisionError"]),
        ("nan", ["score failed on prompt 'ab' and completion '", "a finite number is needed, got nan"]),
        ("count", ["score_batch returned 1 scores for", "prompt 'ab' and completion '"]),
    ],
)
def test_scores_that_fail_name_prompt_and_completion(model, capsys, answer, parts):
    line = refused(capsys, *typed("test_make_language_networks:Score-v0", "hf:model", "--env-arg", f"answer={answer}"))
    assert all(part in line for part in parts), line


def test_a_broken_policy_stops_the_run_in_one_sentence(model, capsys, monkeypatch):
    monkeypatch.setattr("pg_agents.llm.huggingface.try_out", lambda policy, length: None)
    forward = HuggingFacePolicy.forward

    def hotter(self, observations, memory=None, episode_starts=None):
        distribution = forward(self, observations)
        distribution.sampling = type(distribution.sampling)(2.0)
        return distribution

    monkeypatch.setattr(HuggingFacePolicy, "forward", hotter)
    line = refused(capsys, *typed("pg/Addition-v0", "hf:model", "--num-envs", "16"))
    assert "Likely cause: temperature: logits are divided by 0.5 times" in line and "Question: What is" in line


# -- environments of these tests ---------------------------------------------------------------------------------------
def wide():
    return TokenTask([[5, 6]], lambda prompt, text: 1.0, vocabulary=104, eos=2, max_new_tokens=3)


def scored(answer="raises"):
    task = {
        "vocabulary": 12,
        "eos": 2,
        "max_new_tokens": 3,
        "decode": lambda ids: "".join("__.cdabefghi"[i] for i in ids),
    }
    scores = {"raises": lambda prompt, text: 1 / 0, "nan": lambda prompt, text: float("nan")}
    batch = (lambda prompts, texts, numbers: [1.0]) if answer == "count" else None
    return TokenTask([[5, 6]], scores.get(answer), score_batch=batch, **task)


class WideVector(TokenVectorEnv):
    make_task = staticmethod(wide)


class Wide(TokenEnv):
    vector_form = WideVector


class ScoreVector(TokenVectorEnv):
    make_task = staticmethod(scored)


class Score(TokenEnv):
    vector_form = ScoreVector


if "pg/Wide-v0" not in gym.registry:
    for form in (Wide, Score):
        gym.register(
            f"{form.__name__}-v0",
            entry_point=f"test_make_language_networks:{form.__name__}",
            vector_entry_point=f"test_make_language_networks:{form.vector_form.__name__}",
        )


def test_a_damaged_model_is_one_line(model, capsys):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "--policy: transformers cannot read the model in model" in refused(capsys, *typed("pg/Copy-v0"))
    (model / "config.json").write_text("{}")
    assert "--policy: transformers cannot read the model in model" in refused(
        capsys, *typed("pg/Copy-v0", "hf-config:model")
    )


def test_language_models_have_the_defaults_of_fine_tuning(model):
    env = gym.make_vec("pg/Copy-v0", 4)
    agent = pg.PUBLISHED["DAPO"].for_env(env, policy="hf:model", group_size=2)
    assert (agent.learning_rate, agent.epochs, agent.aggregation, agent.clip_high) == (1e-5, 1, "token-mean", 0.28)
    assert pg.PPO.for_env(env, policy="hf:model").discount == 1.0
    with pytest.raises(ValueError, match=r"vocabulary must be from 1 to the \d+ tokens that the model has, got 5000"):
        HuggingFacePolicy(agent.policy.model, vocabulary=5000)
    with pytest.raises(TypeError, match="model must be a causal language model of transformers, got 'model'"):
        HuggingFacePolicy("model")


def test_an_environments_own_groups_are_the_agents():
    env = TokenVectorEnv(8, task=tasks.copy(), group_size=4)
    assert pg.GRPO.for_env(env).group_size == 4 and pg.RLOO.for_env(env, group_size=2).group_size == 2


def reads_no_arguments_of_evaluations(pairs, flag="env_arg", right=parse_arguments):
    return right(pairs, flag) if flag == "env_arg" else {}


test_seeded_bugs = seeded(
    Bug(
        "evaluations ask what was trained on",
        parse_arguments,
        reads_no_arguments_of_evaluations,
        [test_evaluations_ask_what_training_does_not],
    ),
    Bug(
        "a language model chooses tokens that the environment does not have",
        HuggingFacePolicy.head,
        lambda self: self.model.get_output_embeddings(),
        [test_an_architecture_with_new_weights_and_no_tokenizer],
    ),
    Bug(
        "a language model's agent is saved without its configuration",
        write_agent,
        with_arguments(write_agent, write_model=lambda _: lambda folder: None),
        [test_a_run_from_a_pretrained_model_to_its_evaluation],
        raises=SavedAgentError,
    ),
    Bug(
        "a pretrained model learns with a small network's step size",
        (make_agent, "PRETRAINED"),
        {},
        [test_a_run_from_a_pretrained_model_to_its_evaluation],
    ),
)
