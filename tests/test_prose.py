"""What prose says about the code is true: names, paths, options and commands in it exist."""

import ast
import functools
import importlib
import re
from itertools import pairwise

import pytest
from support.names import PAGES, ROOT, comments, docstrings, files, known_names, known_pairs, tree

import benchmarks.__main__
from benchmarks.suite.finding import find
from benchmarks.suites import SUITES

SPAN = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)(?:\(.*\))?")
PATH = re.compile(r"[\w./-]+(?:/|\.(?:py|md|toml|json|png))")
FILE = re.compile(r"(?<![\w./{*-])[\w/]+\.py\b")  # with or without backticks
ELSEWHERE = {  # names of other libraries' code and of files that runs write
    *("C", "VecNormalize", "approx_kl", "clip_ratio", "mypy", "ruff", "dev", "jsonl"),
    *("config.json", "summary.json", "metrics.jsonl", "ppo.py", "ppo_continuous_action.py", "results/NAME.json"),
    *("progress.csv", "monitor.csv", "mkdocs.yml", "docs/agents/NAME.md"),
    *("tracker.json", "mlflow.db", "WANDB_BASE_URL", "TRACKIO_SPACE_ID"),
    *("networks.safetensors", "optimizer.safetensors", "state.safetensors", "state.json"),
    *("benchmarks/GROUP/NAME.py", "NAME.jsonl", "mine.py", "mine.toml", "run.log", "NAME-FIGURE.png"),
    *("peers-WORKLOAD.json", "logdir", "no-deps", "no-isolation", "torch.compile", "envs.reset", "envs.close"),
    *("agent.json", "agent.safetensors", "manifest.json", "model/", "agent/", "best/"),
    *("thermostat.py", "train.py", "ppo_atari.py", "elite.py", "docs/course/NN_name.py"),
    *("no-normalize-advantages", "tyro-print-completion"),
    *("torchrun", "PyTorchJob", "ray.train.torch.TorchTrainer", "standalone", "nproc-per-node", "max-restarts"),
    "torch.distributed.checkpoint",
    *("nnodes", "rdzv-backend", "rdzv-endpoint", "nodes", "ntasks-per-node"),
    *("model.safetensors", "generation_config.json", "adapter_config.json", "adapter_model.safetensors", "import"),
}  # fmt: skip
FORMER = (  # names and words that the code has no longer
    *("Recorder", "outward", "action_door", "is_far_enough", "Stream", "Descent", "pg.Steps", "pg.Linear"),
    "pg.Episodes",
)  # fmt: skip
OF_OTHERS = (
    "docs/glossary.md",
    "docs/coming_from.md",
)  # pages with names of other libraries, which have tests of their own
FOLDERS = ("", "pg_agents", "pg_agents/agents", "envs", "envs/pg_envs", "benchmarks", "tests")  # paths begin here


def pages():
    """Yield (where, text) of every page in Markdown, without its blocks of code and what is made of records."""
    for page in PAGES:
        if page.name != "CHANGELOG.md":
            text = re.sub(r"```.*?```|<!-- benchmarks: .*?<!-- /benchmarks -->", "", page.read_text(), flags=re.S)
            yield str(page.relative_to(ROOT)), text


@functools.cache
def prose():
    """Return (where, text) of all that is written about the code."""
    return [*pages(), *(found for path in files() for found in docstrings(path))]


@functools.cache
def prose_and_comments():
    return [*prose(), *(found for path in files() for found in comments(path))]


def spans():
    """Yield (where, code) of everything in backticks, but of pages with names of other libraries."""
    for where, text in prose():
        if where not in OF_OTHERS:
            yield from ((where, span) for span in SPAN.findall(text) if span not in ELSEWHERE)


def resolves(name):
    """Return whether a dotted name leads to a module, or to something in one."""
    parts = ["pg_agents" if part == "pg" else part for part in name.split(".")]
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part) and part not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, part, None)
        return True
    return False


def test_names_exist():
    wrong = []
    for where, span in spans():
        if (match := DOTTED.fullmatch(span)) and not PATH.fullmatch(span):
            name = match[1]
            if name.startswith(("pg.", "pg_agents.", "pg_envs.")):
                found = resolves(name)
            else:
                found = (
                    set(name.split(".")) <= known_names() | ELSEWHERE
                    and set(pairwise(name.split("."))) <= known_pairs()
                )
            wrong += [] if found else [f"{where}: {span}"]
    assert not wrong, "\n".join(wrong)


def test_paths_exist():
    wrong = []
    for where, text in prose():
        found = [span for span in SPAN.findall(text) if PATH.fullmatch(span)] + FILE.findall(text)
        folders = [ROOT / folder for folder in FOLDERS] + [(ROOT / where.split()[0]).parent]
        wrong += [
            f"{where}: {path}"
            for path in found
            if path not in ELSEWHERE and not any((folder / path).exists() for folder in folders)
        ]
    assert not wrong, "\n".join(wrong)


def test_options_exist():
    known = {name.replace("_", "-") for name in known_names()} | ELSEWHERE
    wrong = [
        f"{page.name}: --{option}"
        for page in PAGES
        if str(page.relative_to(ROOT)) not in OF_OTHERS
        for option in re.findall(r"(?<![\w-])--([a-z][a-z-]+)", page.read_text())
        if option not in known
    ]
    assert not wrong, "\n".join(wrong)


def test_commands_exist():
    known = benchmarks.__main__.COMMANDS
    wrong = []
    for where, text in prose():
        for words in re.findall(r"python -m benchmarks((?: [a-z][a-z0-9_-]*)+)", text):
            first, *rest = words.split()
            if first == "run":
                wrong += [f"{where}: {name}" for name in rest[:1] if name not in {*find(), *SUITES, "mine"}]
            else:
                wrong += [f"{where}: {first}"] * (first not in known)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", FORMER)
def test_former_names_are_gone(name):
    pattern = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    texts = prose_and_comments()
    wrong = [where for where, text in texts if pattern.search(text) and "test" not in where and "renamed" not in where]
    assert not wrong, "\n".join(wrong)


def test_the_readme_counts_seeded_bugs_right():
    bugs = [
        node
        for path in files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Bug", "Mutation")
    ]
    (least,) = re.findall(r"more than (\d+) seeded bugs", (ROOT / "README.md").read_text())
    assert len(bugs) > int(least)


def test_every_room_stands_in_the_map():
    rooms = {path.parent.relative_to(ROOT / "pg_agents") for path in ROOT.glob("pg_agents/**/*.py")}
    text = (ROOT / "CONTRIBUTING.md").read_text()
    missing = [str(room) for room in rooms if str(room) != "." and f"| `{room}/` |" not in text]
    assert not missing
