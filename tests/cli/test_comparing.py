"""`pg-agents compare` and `plot`: what is printed and written."""

import json
import subprocess
import sys

import pytest
from support.run_folders import make_seeds

from pg_agents.cli import main

pytestmark = pytest.mark.usefixtures("folder")


def make(folder, slope, **config):
    make_seeds(folder, lambda seed: [slope * i + seed for i in range(1, 11)], **config)


@pytest.fixture
def runs(folder):
    make(folder / "ppo", 2.0, agent="ppo", env="pg/CartPole-v1")
    make(folder / "a2c", 1.0, agent="a2c", env="pg/CartPole-v1")
    return folder


def test_compare_prints_a_table_and_writes_pictures(runs, capsys):
    assert main(["compare", "ppo", "a2c", "--out", "c"]) == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["ppo", "3", "21", "20", "…", "22", "21", "12", "–"] in lines
    assert ["a2c", "3", "11", "10", "…", "12", "11", "6.5", "0.00"] in [line[:9] for line in lines]
    assert ["optimum", "500"] in lines and "P(higher than ppo)" in out
    assert "note     pg/CartPole-v1: 95 % intervals of 3 runs" in out and "written  c/comparison.html" in out
    assert {path.suffix for path in (runs / "c").iterdir()} == {".html", ".png", ".svg"}
    assert (runs / "c" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (runs / "c" / "comparison.svg").read_text()


def test_compare_writes_under_runs_unless_told(runs, capsys):
    assert main(["compare", "ppo"]) == 0
    (made,) = (runs / "runs").iterdir()
    assert made.name.startswith("compare-") and f"written  runs/{made.name}/" in capsys.readouterr().out


def test_what_compare_has_written_does_not_stop_it_from_comparing_again(runs, capsys):
    (runs / "ppo").rename(runs / "kept")
    (runs / "runs").mkdir()
    (runs / "kept").rename(runs / "runs" / "ppo")
    for _ in range(2):
        assert main(["compare", *sorted(f"runs/{path.name}" for path in (runs / "runs").iterdir())]) == 0
    assert "left out" not in capsys.readouterr().out
    (runs / "runs" / "empty").mkdir()
    assert main(["compare", "runs/ppo", "runs/empty"]) == 0
    assert "note     left out, as there is no run in it: runs/empty" in capsys.readouterr().out


def test_json_has_all_numbers_and_writes_nothing(runs, capsys):
    assert main(["compare", "ppo", "a2c", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (panel,) = found["panels"]
    assert panel["env"] == "pg/CartPole-v1" and panel["known"] == {"optimum": 500.0}
    assert [(one["label"], one["each"]) for one in panel["groups"]] == [("ppo", [20, 21, 22]), ("a2c", [10, 11, 12])]
    assert not (runs / "runs").exists()


def test_json_writes_the_page_too_if_a_folder_is_given(runs, capsys):
    assert main(["compare", "ppo", "--json", "--out", "c"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] and (runs / "c" / "comparison.html").is_file()


def test_what_is_known_is_of_returns_of_the_environment_itself(runs, capsys):
    make(runs / "wrapped", 1.0, agent="a", env="pg/CartPole-v1", wrappers=["my_module:Wrapper"])
    (runs / "long").mkdir()
    (runs / "long" / "metrics.jsonl").write_text('{"step": 1, "rollout/ep_len_mean": 2}\n')
    (runs / "long" / "config.json").write_text('{"env": "pg/CartPole-v1"}')
    for typed in (["wrapped"], ["ppo", "wrapped"], ["wrapped", "ppo"], ["long", "--metric", "rollout/ep_len_mean"]):
        assert main(["compare", *typed, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["panels"][0]["known"] == {}
    assert main(["compare", *typed, "--out", "c"]) == 0
    assert "compare long --metric rollout/ep_len_mean<" in (runs / "c" / "comparison.html").read_text()


def test_the_optimum_is_that_of_the_environment_in_which_it_was_evaluated(runs, capsys):
    make(runs / "short", 1.0, agent="a", env="pg/CartPole-v1", eval_env_args={"max_episode_steps": 200})
    for path in (runs / "short").glob("*/metrics.jsonl"):
        path.write_text(path.read_text().replace("rollout/", "eval/"))
    assert main(["compare", "short", "--metric", "eval/ep_rew_mean", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["panels"][0]["known"] == {"optimum": 200.0}


def test_another_group_is_held_against(runs, capsys):
    assert main(["compare", "ppo", "a2c", "--against", "a2c", "--json"]) == 0
    (panel,) = json.loads(capsys.readouterr().out)["panels"]
    assert panel["against"] == "a2c" and [one["better"] for one in panel["groups"]] == [1, None]
    assert main(["compare", "ppo", "a2c", "--against", "a3c", "--json"]) == 2
    assert capsys.readouterr().err.startswith("error: --against: there is no group 'a3c'; there are a2c")


def test_the_page_names_its_command_and_no_folder_of_the_machine(runs, capsys):
    make(runs / "lm", 1.0, agent="ppo", env="X-v0", policy=f"hf:{runs}/model", env_args={"texts": str(runs / "texts")})
    typed = ["compare", str(runs / "ppo"), "./a2c", "lm", "--by", "policy", "--title", "A < B & C", "--out", "c"]
    assert main(typed) == 0
    text = (runs / "c" / "comparison.html").read_text()
    assert str(runs.parent) not in text and "hf:…/model" in text and "texts=…/texts" in text
    command = "pg-agents compare ppo a2c lm --by policy --title &#x27;A &lt; B &amp; C&#x27;"
    assert f"<code>{command}</code>" in text and "<title>A &lt; B &amp; C</title>" in text


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_plot_writes_the_same_picture_each_time(runs, kind):
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for name in ("a", "b"):
        assert main(["plot", "ppo", "a2c", "--out", f"new/{name}.{kind}", "--title", "$x_{1} <b>"]) == 0
    first, second = ((runs / "new" / f"{name}.{kind}").read_bytes() for name in ("a", "b"))
    assert first == second and first.startswith(starts[kind])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["compare"], "error: RUN: none are named; give folders of runs"),
        (["compare", "nothing"], "error: RUN: nothing does not exist; give folders of runs"),
        (["compare", "ppo", "--by", "agnt"], "error: --by: no run's config.json has 'agnt'; did you mean agent?"),
        (["plot", "ppo", "--out", "x.gif"], "error: --out: x.gif must end in .png, .svg, .pdf; give a file like"),
        (
            ["plot", "ppo", "--out", "ppo/seed-0/metrics.jsonl/x.png"],
            "error: --out: ppo/seed-0/metrics.jsonl/x.png can",
        ),
        (["compare", "ppo", "--metric", "eval/x"], "error: --metric: no row of ppo/seed-0 and 2 more has 'eval/x'"),
    ],
)
def test_what_is_wrong_is_one_sentence(runs, capsys, typed, said):
    assert main(typed) == 2
    assert capsys.readouterr().err.startswith(said)


def test_names_from_files_are_printed_safely_and_drawn(folder, capsys):
    make(folder / "r", 1.0, agent="\x1b[2J$\\frac _x", env="[red]<script>$_{")
    make(folder / "q", 1.0, agent="_hidden", env="[red]<script>$_{")
    make(folder / "s", 1.0, agent="$\\nothing$", env="[red]<script>$_{")
    assert main(["compare", "r", "q", "s", "--out", "c"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "[red]<script>" in out


def test_a_config_that_says_what_is_known_is_believed(folder, capsys):
    make(folder / "mine", 1.0, env="Mine-v0", known_returns={"random": -3, "optimal": 12.5})
    assert main(["compare", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["panels"][0]["known"] == {"optimum": 12.5, "random": -3.0}


@pytest.mark.slow
def test_the_command_line_starts_without_what_only_pictures_need():
    code = "import sys, pg_agents.cli; print(sorted({'matplotlib', 'pg_agents.comparison'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
