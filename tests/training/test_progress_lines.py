"""Where there is no terminal a run writes a line every so often; on one, a bar and a table."""

import io
import json
import re
import warnings
from dataclasses import replace

import pytest
import transformers
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.cli.runs import RunConfig
from pg_agents.cli.seed_process import Seed
from pg_agents.cli.seeds_bar import Shown, bar
from pg_agents.llm.quiet import quiet_libraries
from pg_agents.training import progress_lines
from pg_agents.training.progress_bar import stream
from pg_agents.training.progress_lines import Due, duration, line


class Clock:
    """A clock that a test sets, and that goes on by `step` seconds whenever it is read."""

    def __init__(self):
        self.now, self.step = 0.0, 0.0

    def monotonic(self):
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress_lines, "time", made)
    return made


def test_lines_are_due_after_5_seconds_then_every_30_and_more_rarely_in_long_runs(clock):
    due, at = Due(), []
    while clock.now < 40_000:
        if due.now():
            at.append(clock.now)
        clock.now += 1
    gaps = [after - before for before, after in zip(at, at[1:], strict=False)]
    assert at[:4] == [5, 35, 65, 95]
    assert gaps == sorted(gaps) and gaps[-1] == 600 and len(at) < 150


def trained(file, env="pg/CartPole-v1", steps=2048, agent=pg.PPO, **options):
    small = {"num_steps": 64, "hidden": (8,)} if agent is pg.PPO else {}
    made = agent.for_env(env, **small)
    return pg.train(made, env, total_steps=steps, progress=file, **options)


def test_a_line_says_steps_return_evaluation_losses_kl_speed_and_time_left(clock):
    file = io.StringIO()
    clock.step = 3.0  # every second update at first, and at the end
    trained(file, eval_env="pg/CartPole-v1", eval_every=1024, eval_episodes=2)
    lines = file.getvalue().splitlines()
    assert 2 <= len(lines) <= 4
    number = r"-?[\d.,e+-]+"
    expected = rf"steps 1,024 of 2,048 \(50 %\)  return {number} \(optimum 500\)  evaluation {number} at 1,024"
    expected += rf"  policy_loss {number}  value_loss {number}  kl {number}  entropy {number}  clip_fraction {number}"
    assert re.fullmatch(rf"{expected}  steps/s {number}  left 0:\d\d", lines[0])
    assert lines[-1].startswith("steps 2,048 of 2,048 (100 %)") and "left" not in lines[-1]


def test_a_short_run_writes_one_line_at_its_end_and_a_silent_one_none(capsys):
    trained(True, steps=1024)
    (only,) = capsys.readouterr().out.splitlines()
    assert only.startswith("steps 1,024 of 1,024 (100 %)")
    trained(False, steps=1024)
    assert capsys.readouterr() == ("", "")


def test_tasks_without_episodes_have_a_gain_and_several_learners_their_mean(clock):
    file = io.StringIO()
    trained(file, "pg/TwoStateMDP-v0", 256, pg.AverageReward)
    assert re.search(r"return –  gain [\d.]+ \(optimum 0.9\)", file.getvalue())
    agent = pg.A2C.for_env("pg/TwoArmedBandit-v0", num_learners=3)
    pg.train(agent, "pg/TwoArmedBandit-v0", total_steps=600, progress=file)
    assert re.search(r"return of 3 0\.\d+ \(optimum 0.6\)", file.getvalue())


def test_each_line_is_written_at_once(clock, tmp_path):
    """A file that is followed shows a line when it is due, not when a buffer is full."""
    clock.step, seen = 10.0, []
    with (tmp_path / "log").open("w") as file:
        trained(file, probes=[lambda run: seen.append((tmp_path / "log").read_text())], log_every=512)
    assert seen[-1].startswith("steps 512 ")


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_run_goes_on_where_nobody_reads_its_lines(clock):
    clock.step = 10.0
    assert trained(Gone(), steps=1024).total_steps == 1024


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar_and_a_table_with_the_last_evaluation(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    file = Screen()
    trained(file, eval_env="pg/CartPole-v1", eval_every=1024, eval_episodes=2)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    for part in ("2048/2048", r"return +[\d.]+ \(optimum 500\)", r"evaluation +[\d.]+ at 2,048", "value_loss", "kl "):
        assert re.search(part, plain), part
    assert "steps 2,048 of" not in plain


def test_progress_is_a_stream_or_standard_output_or_nothing(capsys):
    file = io.StringIO()
    assert stream(file) is file and stream(False) is None
    trained(file, steps=512, probes=[lambda run: run.stop("enough")])
    assert file.getvalue().splitlines()[-1] == "stopped  enough" and capsys.readouterr().out == ""


def test_words():
    assert [duration(seconds) for seconds in (0.4, 62, 3599.7, 36_061)] == ["0:00", "1:02", "1:00:00", "10:01:01"]
    assert line({"return": "3", "kl": "0.1"}) == "return 3  kl 0.1"


# -- the command line --------------------------------------------------------------------------------------------------
TRAIN = ["train", "reinforce", "pg/TwoArmedBandit-v0", "--total-steps", "200", "--run-dir", "r"]


def test_json_is_one_line_on_standard_output_and_progress_is_elsewhere(capsys, folder):
    assert main([*TRAIN, "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads((folder / "r" / "summary.json").read_text())
    assert out.count("\n") == 1 and json.loads(out) == {"run_dir": "r"} | summary
    assert err.startswith("steps 200 of 200 (100 %)")


@pytest.mark.parametrize("way", [[], ["--jobs", "1"]])
def test_json_of_several_seeds_has_what_they_return_together(capsys, folder, way):
    assert main([*TRAIN, "--seeds", "2", "--json", *way]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert len(found["over_seeds"]["mean_return_last_100"]["each"]) == 2 and found["run_dir"] == "r"
    assert (found["agent"], found["env"]) == ("reinforce", "pg/TwoArmedBandit-v0") and "seeds    2 seeds" in err


def test_quiet_shows_nothing(capsys, folder):
    assert main([*TRAIN, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_seeds_in_processes_have_a_line_together(clock, tmp_path):
    config = RunConfig("pg/TwoArmedBandit-v0", {}, 8, [], total_steps=100)
    work = [Seed("reinforce", {}, replace(config, seed=i), tmp_path / str(i)) for i in range(2)]
    for job, steps, mean in zip(work, (100, 40), (0.5, 0.7), strict=True):
        job.run_dir.mkdir()
        row = {"step": steps, "rollout/ep_rew_mean": mean}
        (job.run_dir / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    done = {"cut_off": None, "total_steps": 100}
    (work[0].run_dir / "summary.json").write_text(json.dumps(done))
    file = io.StringIO()
    with bar(work, file) as show:
        show()
        assert file.getvalue() == ""
        clock.now = 6.0
        show()
        assert file.getvalue() == "steps 70 %  finished 1 of 2 seeds, mean return 0.6\n"
        (work[1].run_dir / "metrics.jsonl").write_text(json.dumps({"step": 70}) + "\n")
        show()
        assert file.getvalue().count("\n") == 1
        clock.now = 36.0
        show()
    assert file.getvalue().endswith("steps 85 %  finished 1 of 2 seeds, mean return 0.5  left 0:30\n")
    with bar(work, None) as show:
        show()


# -- libraries of language models --------------------------------------------------------------------------------------
def test_libraries_of_language_models_are_quiet_in_a_run_and_as_before_after_it():
    logging = transformers.utils.logging
    level, seen = logging.get_verbosity(), []
    logging.set_verbosity_warning()
    logging.enable_progress_bar()

    def probe(run):
        seen.append((logging.is_progress_bar_enabled(), logging.get_verbosity() == logging.ERROR))

    try:
        trained(False, steps=512, probes=[probe])
        assert seen[0] == (False, True)
        assert logging.is_progress_bar_enabled() and logging.get_verbosity() == logging.WARNING
    finally:
        logging.set_verbosity(level)


def test_what_these_libraries_say_of_their_next_versions_is_no_warning_of_a_run():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet_libraries():
            warnings.warn_explicit("old", FutureWarning, "peft_model.py", 1, module="peft.peft_model")
            warnings.warn_explicit("ours", FutureWarning, "ours.py", 1, module="pg_agents.ours")
    assert [str(one.message) for one in caught] == ["ours"]


test_seeded_bugs = seeded(
    Bug(
        "lines are as frequent after hours",
        Due.now,
        lambda self: (
            progress_lines.time.monotonic() >= self.at
            and (setattr(self, "at", progress_lines.time.monotonic() + 30) is None)
        ),
        [test_lines_are_due_after_5_seconds_then_every_30_and_more_rarely_in_long_runs],
    ),
    Bug(
        "the return of a seed that has finished is counted no more",
        Shown.said,
        lambda self: f"{len(self.done)} of {len(self.work)} seeds",
        [test_seeds_in_processes_have_a_line_together],
    ),
    Bug(
        "the optimum of an episode stands beside a gain",
        progress_lines.Facts.best,
        lambda self, per: f" (optimum {self.known.optimal})" if self.known.optimal is not None else "",
        [test_tasks_without_episodes_have_a_gain_and_several_learners_their_mean],
    ),
)
