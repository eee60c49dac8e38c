"""What is printed: on consoles of any encoding, and without the escape sequences of names that others chose."""

import functools
import io
import os
import sys
import warnings

import pytest
from support.bugs import Bug, seeded

import pg_agents.cli.command
from pg_agents.cli import main, terminal
from pg_agents.cli.demo import demo
from pg_agents.cli.demo_tasks import Task
from pg_agents.cli.options import COMMANDS
from pg_agents.cli.terminal import complain, prepare, say
from pg_agents.shown import LINES, SCREEN, printable, shortened, shown
from pg_agents.training.appended import EventFile
from pg_agents.training.tuned import Tuned

pytestmark = pytest.mark.usefixtures("folder")

TRAIN = ["train", "reinforce", "pg/TwoArmedBandit-v0", "--total-steps", "20", "--run-dir", "r"]
LINES_TYPED = {
    "list": ["list"],
    "train": TRAIN,
    "tune": ["tune", *TRAIN[1:-2], "--trials", "1", "--seeds", "2", "--out", "t"],
    "evaluate": ["evaluate", "r", "--episodes", "2"],
    "resume": ["resume", "r", "--total-steps", "40"],
    "generate": ["generate", "texts", "1+1="],
    "export": ["export", "r", "--to", "r.onnx"],
    "push": ["push", "r", "--to", "pushed"],
    "compare": ["compare", "r", "--out", "c"],
    "plot": ["plot", "r", "--out", "r.png"],
    "gradients": ["gradients", "pg/TwoArmedBandit-v0", "--samples", "40", "--run-dir", "g"],
    "demo": ["demo", "--scale", "1e-6", "--processes", "1"],
}


def printed(monkeypatch, encoding, *argv):
    """Return what `argv` writes to standard output on a console of that encoding, and its exit code."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        patched.setattr(sys, "stderr", err)
        code = main(list(argv))
    return code, out.buffer.getvalue().decode(encoding), err.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", [pytest.param("ascii", marks=pytest.mark.slow), "cp1252"])
def test_every_command_prints_on_a_console_without_utf8(monkeypatch, encoding):
    assert set(LINES_TYPED) == set(COMMANDS)
    quick = Task("pg/TwoArmedBandit-v0", 10, Tuned(16, 20))
    monkeypatch.setattr(pg_agents.cli.command, "demo", functools.partial(demo, tasks=(quick,)))
    texts = ["train", "reinforce", "pg/Addition-v0", "--env-arg", "digits=1", "--total-steps", "8", "--num-envs", "2"]
    assert main([*texts, "--quiet", "--run-dir", "texts"]) == 0
    for command, argv in LINES_TYPED.items():
        code, out, _ = printed(monkeypatch, encoding, *argv)
        assert code == 0 and out.strip(), command
        help_of = [command, "reinforce", "--help"] if command in ("train", "tune") else [command, "--help"]
        code, out, _ = printed(monkeypatch, encoding, *help_of)
        assert code == 0 and "usage" in out.lower(), command


@pytest.mark.parametrize(("encoding", "seen"), [("ascii", "?"), ("cp1252", "?"), ("utf-8", "γ")])
def test_a_replacement_character_stands_where_the_encoding_has_none(monkeypatch, encoding, seen):
    code, _, err = printed(monkeypatch, encoding, "train", "reinforce", "γ-v0")
    assert code == 2 and err.startswith(f"error: ENV: there is no environment '{seen}-v0'")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain γ\tand\nlines", "plain γ\tand\nlines"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("fine\rgone", "fine\\rgone"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_its_escape(capsys, text, seen):
    assert printable(text) == seen
    say(text)
    complain(text)
    assert capsys.readouterr() == (f"{seen}\n", f"error: {seen}\n")


def test_no_message_is_longer_than_a_screen(capsys):
    for text in ("x" * 14_000_000, "line\n" * 100_000, "\x1b" * 10**6):
        complain(f"begins {text} ends")
        err = capsys.readouterr().err
        assert len(err) < SCREEN + 100 and err.count("\n") <= LINES + 2
        assert err.startswith("error: begins") and err.endswith(" ends\n")
    assert shortened("x" * SCREEN) == "x" * SCREEN
    assert shown(list(range(10**5))).startswith("[0, 1, 2,") and len(shown(list(range(10**5)))) < 300
    assert shown("a\x1b") == "'a\\x1b'"


# -- warnings ----------------------------------------------------------------------------------------------------------
WARNINGS = {
    "run_dir: best cannot be written": "run_dir: best cannot be written",
    "\x1b[33mWARN: an old version\x1b[0m": "an old version",
    "two\n  lines\x9b31m": "two lines\\x9b31m",
}


@pytest.mark.parametrize(("text", "seen"), WARNINGS.items())
def test_a_warning_of_a_command_is_one_line_and_elsewhere_stays_a_warning(capsys, monkeypatch, text, seen):
    def warned(options):
        warnings.warn(text, RuntimeWarning, stacklevel=1)

    monkeypatch.setattr(pg_agents.cli.command, "show_list", lambda as_json: warned(None))
    before = warnings.showwarning
    assert main(["list"]) == 0 and capsys.readouterr().err == f"warning: {seen}\n"
    assert warnings.showwarning is before
    with pytest.warns(RuntimeWarning):
        warned(None)


def test_a_disk_that_fills_up_and_a_damaged_checkpoint_are_lines_of_train_and_resume(capsys, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pg_agents.training.checkpointing.Checkpoints._is_due", lambda self, run: True)
        patched.setattr(EventFile, "write", lambda self, step, *_: step and full())
        assert main([*TRAIN, "--log-every", "5", "--quiet"]) == 0
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("warning: run_dir: TensorBoard's event file cannot be written to r (No space left on dev")
    assert last.startswith("warning: run_dir: r is not complete")
    newest = max((folder / "r" / "checkpoints").glob("step-*"))
    (newest / "state.json").write_text("{}")
    (folder / "r" / "summary.json").unlink()
    assert main(["resume", "r", "--quiet"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: path: the checkpoint r/checkpoints/") and line.endswith("; the one before is used")


def test_prepare_leaves_streams_alone_that_cannot_be_changed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    prepare()
    assert sys.stderr is errors and sys.stdout.name == os.devnull and sys.stdout.writable()
    sys.stdout.close()


# -- folders that cannot be made ---------------------------------------------------------------------------------------
NEW_RUNS = {
    "train": ["train", "reinforce", "pg/TwoArmedBandit-v0", "--quiet"],
    "gradients": ["gradients", "pg/TwoArmedBandit-v0"],
    "demo": ["demo"],
}


@pytest.mark.parametrize("command", NEW_RUNS)
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_runs_being_a_file_is_a_sentence(capsys, folder, command, kind):
    if kind == "file":
        (folder / "runs").write_text("keep")
    else:
        (folder / "runs").symlink_to("nowhere/at/all")
    assert main(NEW_RUNS[command]) == 2
    flag = "--root" if command == "demo" else "--run-dir"
    err = capsys.readouterr().err
    assert err.startswith(f"error: {flag}: runs cannot be made or written to (") and err.count("\n") == 1


@pytest.mark.parametrize("command", ["train", "gradients"])
def test_a_folder_below_a_file_is_refused_before_anything_is_computed(capsys, folder, monkeypatch, command):
    (folder / "file").write_text("keep")
    (folder / "full").mkdir()
    (folder / "full" / "mine").write_text("keep")
    monkeypatch.setattr("pg_agents.cli.resuming.train", None)
    monkeypatch.setattr("pg_agents.cli.measure.reports_on", None)
    for name, why in (("file/r", "cannot be made"), ("file", "not an empty folder"), ("full", "not an empty folder")):
        assert main([*NEW_RUNS[command], "--run-dir", name]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: --run-dir: {name} ") and why in err
    assert (folder / "file").read_text() == (folder / "full" / "mine").read_text() == "keep"


def test_a_run_that_fails_leaves_no_empty_folder(monkeypatch, folder):
    def broken(*args, **kwargs):
        raise RuntimeError("ours")

    monkeypatch.setattr("pg_agents.cli.measure.reports_on", broken)
    monkeypatch.setattr("pg_agents.cli.resuming.train", broken)
    (folder / "was-there").mkdir()
    for command in ("train", "gradients"):
        for place in ([], ["--run-dir", "new"], ["--run-dir", "was-there"]):
            with pytest.raises(RuntimeError):
                main([*NEW_RUNS[command], *place])
    assert {path.name for path in folder.rglob("*")} == {"runs", "was-there"}


def test_videos_that_cannot_be_written_are_a_sentence(capsys, folder):
    assert main(["train", "reinforce", "CartPole-v1", "--total-steps", "8", "--run-dir", "r", "--quiet"]) == 0
    (folder / "r" / "videos").write_text("keep")
    assert main(["evaluate", "r", "--episodes", "1", "--video"]) == 2
    assert capsys.readouterr().err.startswith("error: --video: r/videos cannot be made or written to (")


test_seeded_bugs = seeded(
    Bug(
        "consoles without UTF-8 stop the command",
        terminal.prepare,
        lambda: None,
        [test_a_replacement_character_stands_where_the_encoding_has_none],
        raises=UnicodeEncodeError,
    ),
    Bug(
        "escape sequences of names reach the terminal",
        printable,
        lambda text, right=printable: "".join(c if ord(c) >= 32 else right(c) for c in text),
        [test_what_a_terminal_would_obey_is_shown_as_its_escape],
    ),
)
