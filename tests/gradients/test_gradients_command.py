"""`pg-agents gradients`: its table, its JSON, its folder, and what it refuses."""

import json
import math
import time

import numpy as np
import pytest
from support.exactly import SHORT, make, named, tabular
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pg_agents.cli import main
from pg_agents.gradients.catalogue import EPISODIC
from pg_agents.gradients.instrument import measure
from pg_agents.gradients.report import COLUMNS, draw, pixels, random_policy, report_on
from pg_agents.gradients.sources import problem_of

SMALL = ["pg/Chain-v0", "--horizon", "3", "--discount", "0.9", "--samples", "200"]


@pytest.fixture
def run(capsys, tmp_path):
    def call(*words):
        code = main(["gradients", *words, "--run-dir", str(tmp_path / "run")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_table_has_a_row_an_estimator(run):
    code, out, _ = run(*SMALL)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("pg/Chain-v0: discounted reward, γ = 0.9, at most 3 steps; J = ")
    head = lines.index(next(line for line in lines if line.startswith("estimator")))
    assert lines[head].split() == list(COLUMNS)
    rows = {line.rsplit(maxsplit=6)[0].strip(): line.split() for line in lines[head + 1 : head + 20]}
    assert rows["whole return"][-1] == "yes" and rows["whole return"][2:4] == ["0", "1.0000"]
    assert rows["reward-to-go without γ^t"][-1] == "no"
    assert any("~" in line and "±" in line for line in lines)  # what had to be sampled says so
    assert "tensorboard --logdir" in lines[-1]


def test_json_has_what_the_instrument_measured(run, tmp_path):
    code, out, _ = run(*SMALL, "--seed", "3", "--json")
    found = json.loads(out)
    assert code == 0 and set(COLUMNS) <= set(found["rows"][0])
    env = make("pg/Chain-v0")
    problem = problem_of(env, horizon=3, discount=0.9)
    policy = random_policy(env, problem, 3)
    for row in found["rows"][:4]:
        measured = measure(named(problem, row["estimator"]), problem, policy, samples=200, seed=3)
        assert {name: row[name] for name in COLUMNS} == pytest.approx({k: measured.row()[k] for k in COLUMNS})
    assert found["run_dir"] == str(tmp_path / "run")
    numbers = [value for row in found["rows"] for value in row.values() if isinstance(value, float)]
    assert all(map(math.isfinite, numbers)) and len(found["rows"]) == len(EPISODIC)


def test_the_folder_is_one_that_tensorboard_opens(run, tmp_path):
    run(*SMALL)
    folder = tmp_path / "run"
    events = EventAccumulator(str(folder))
    events.Reload()
    assert events.Tags()["images"] == ["gradients/picture"]
    image = events.Images("gradients/picture")[0]
    assert image.width > 800 and image.height > 400
    table = events.Tensors("gradients/table/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| estimator | bias | cosine | variance | snr | z | unbiased |" in table and "| whole return |" in table
    assert (folder / "gradients.png").read_bytes()[:4] == b"\x89PNG"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["reports"][0]["horizon"] == 3 and len(summary["reports"][0]["rows"]) == len(EPISODIC)
    assert json.loads((folder / "config.json").read_text())["env"] == "pg/Chain-v0"


def test_a_token_task_has_a_second_table_of_its_kl(run, tmp_path):
    words = [f"--env-arg={pair}" for pair in ("length=1", "symbols=1", "max_new_tokens=2")]
    code, out, _ = run("pg/Copy-v0", *words, "--samples", "40", "--json")
    found = json.loads(out)
    assert code == 0
    divergence = {row["estimator"]: row for row in found["others"][0]["rows"]}
    assert divergence["k1 in the reward"]["bias"] < 1e-10 < 0.01 < divergence["k1 in the loss"]["bias"]
    assert (tmp_path / "run" / "gradients_1.png").exists()


@pytest.mark.parametrize(
    "env_id",
    [
        "pg/TwoArmedBandit-v0",
        "pg/TwoStateMDP-v0",
        *(
            pytest.param(env_id, marks=pytest.mark.slow)
            for env_id in (
                "pg/TwoArmedBanditClose-v0",
                "pg/ContextualBandit-v0",
                "pg/GridWorld-v0",
                "pg/GaussianBandit-v0",
            )
        ),
    ],
)
def test_registered_problems_take_less_than_a_minute(run, env_id):
    began = time.process_time()
    code, out, _ = run(env_id, "--json", "--samples", "400")
    assert code == 0 and time.process_time() - began < 60
    rows = json.loads(out)["rows"]
    assert all(row["z"] < 4.5 for row in rows if row["unbiased"]), rows
    assert any(not row["unbiased"] and row["bias"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["CartPole-v1"], "ENV: CartPole-v1 has no finite tables"),
        (["pg/Nope-v0"], "there is no environment 'pg/Nope-v0'"),
        (["pg/Shorter-v0"], "too many to enumerate (at most 600); make it smaller, for example by --env-arg max_new_"),
        (["pg/Chain-v0", "--samples", "3"], "--samples must be at least 40"),
        (["pg/Chain-v0", "--batch-size", "1"], "--batch-size must be at least 2"),
        (["pg/Chain-v0", "--discount", "1.5"], "--discount must lie in [0, 1], got 1.5"),
        (["pg/Chain-v0", "--horizon", "0"], "--horizon must be at least 1, got 0"),
        (["pg/TwoStateMDP-v0", "--discount", "0.9"], "--discount: pg/TwoStateMDP-v0 never ends"),
        (["pg/TwoStateMDP-v0", "--seed", "-1"], "--seed must be a whole number, 0 or above, got -1"),
        (["pg/TwoStateMDP-v0", "--env-arg", "slip"], "--env-arg must be name=value"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(run, tmp_path, words, message):
    code, out, err = run(*words)
    assert code == 2 and out == "" and message in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_process_with_several_recurrent_classes_is_refused(run):
    """With one action and one successor a random process falls apart into several cycles."""
    code, _, err = run("pg/Garnet-v0", "--env-arg", "branching=1", "--env-arg", "num_actions=1")
    assert code == 2 and "recurrent classes" in err and "horizon" in err


def test_a_folder_that_is_not_empty_is_refused(run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept").write_text("")
    code, _, err = run(*SMALL)
    assert code == 2 and "--run-dir" in err and list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "kept"]


def test_the_picture_tells_biased_from_unbiased():
    report = report_on(SHORT, tabular(SHORT), samples=400)
    figure = draw(report.as_dict())
    bias = figure.axes[0]
    assert [label.get_text() for label in bias.get_yticklabels()][::-1] == [m.estimator for m in report.measurements]
    bars = dict(zip([m.estimator for m in report.measurements[::-1]], bias.patches, strict=True))
    share = measure(named(SHORT, "reward-to-go without γ^t"), SHORT, tabular(SHORT))
    assert bars["reward-to-go without γ^t"].get_width() == pytest.approx(share.bias / float(share.exact.norm()))
    colours = {name: bar.get_facecolor() for name, bar in bars.items()}
    assert colours["whole return"] == colours["exact Q"] != colours["TD residual, learned V"]
    image = pixels(figure)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.std() > 10
