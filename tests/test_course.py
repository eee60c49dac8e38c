"""The course: every chapter runs, its exercise refuses the first attempt, and accepts the solution."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "docs" / "course").glob("[0-9][0-9]_*.py"))
GRADED = ("setup", "check", "attempt", "solution")  # tags of the cells that grade, in their order
PROCESSOR_SECONDS = 240  # at most, of a chapter: some ten seconds on a quiet machine

RUN = """
import resource, runpy, sys, warnings
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]), int(sys.argv[2])))
names = runpy.run_path(sys.argv[1])
print("attempt:", names["check"](names["attempt"]))
print("solution:", names["check"](names["solution"]))
print("figures:", len(names["plt"].get_fignums()))
"""


def cells(chapter):
    """Return (kind, tags, text) of each cell of a percent-format file."""
    parts = re.split(r"^# %%(.*)$", chapter.read_text(), flags=re.M)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [
        ("markdown" if "[markdown]" in head else "code", re.findall(r'"(\w+)"', head), text) for head, text in pairs
    ]


def prose(chapter):
    """Return the text of the Markdown cells."""
    return "\n".join(re.sub(r"^# ?", "", text, flags=re.M) for kind, _, text in cells(chapter) if kind == "markdown")


def test_there_are_ten_chapters():
    assert [path.name[:2] for path in CHAPTERS] == [f"{number:02d}" for number in range(1, len(CHAPTERS) + 1)]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_its_parts(chapter):
    number, text = int(chapter.name[:2]), prose(chapter)
    assert text.strip().startswith(f"# {number}. ")
    for heading in ("## The derivation", "## Exercise", "## Solution"):
        assert text.count(heading) == 1, heading
    tagged = [tag for _, tags, _ in cells(chapter) for tag in tags if tag in GRADED]
    assert tagged == list(GRADED)
    code = "".join(part for kind, _, part in cells(chapter) if kind == "code")
    compile(code, str(chapter), "exec")
    assert "torch.set_num_threads(1)" in code and "plt.show()" in code
    assert not re.search(r"/work|/home/|/tmp/|~/", chapter.read_text())


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_equations_are_numbered_in_order_and_known_where_named(chapter):
    number, text = int(chapter.name[:2]), prose(chapter)
    tags = re.findall(r"\\tag\{([\d.]+)\}", text)
    assert tags == [f"{number}.{i}" for i in range(1, len(tags) + 1)] and len(tags) >= 3
    assert text.count("$$") == 2 * len(tags)
    everywhere = {tag for path in CHAPTERS for tag in re.findall(r"\\tag\{([\d.]+)\}", path.read_text())}
    named = set(re.findall(r"\((\d+\.\d)(?:[–-]\d\.\d)?\)", chapter.read_text()))
    assert named <= everywhere, named - everywhere
    cited = re.findall(r"\[VR ([\d, –]+)\]", text)
    assert all(1 <= int(equation) <= 30 for group in cited for equation in re.findall(r"\d+", group))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_exercise_refuses_the_attempt_and_accepts_the_solution(chapter):
    threads, names = torch.get_num_threads(), {"__name__": chapter.stem}
    try:
        code = "\n".join(text for _, tags, text in cells(chapter) if set(tags) & set(GRADED))
        exec(compile(code.replace("torch.set_num_threads(1)", ""), str(chapter), "exec"), names)
        assert names["check"](names["attempt"]).startswith("Not yet: ")
        assert names["check"](names["solution"]).startswith("Right: ")
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_from_a_fresh_interpreter(chapter, tmp_path):
    environment = os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(chapter), str(PROCESSOR_SECONDS)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"^attempt: Not yet: ", done.stdout, re.M) and re.search(r"^solution: Right: ", done.stdout, re.M)
    assert int(re.search(r"figures: (\d+)", done.stdout)[1]) >= 1
    assert not any(tmp_path.iterdir()), "it wrote files"


@pytest.fixture(scope="module")
def pages():
    """The hook that makes the site's pages of the course."""
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("course_pages", ROOT / "docs" / "_hooks" / "course_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_page_shows_what_cells_print_and_draw(pages, tmp_path):
    chapter = tmp_path / "01_two.py"
    chapter.write_text(
        "# %% [markdown]\n# # 1. Two\n#\n# $$a^2 = b. \\tag{1.1}$$\n\n# %%\nimport matplotlib.pyplot as plt\n\n"
        'print(1 + 1)\nplt.plot([1, 2])\nplt.title("A line")\nplt.show()\n\n# %% tags=["solution"]\nx = 3\nprint(x)\n'
    )
    program = [sys.executable, str(ROOT / "docs" / "_hooks" / "course_pages.py"), str(chapter)]
    done = subprocess.run(program, capture_output=True, text=True, env=os.environ | {"MPLBACKEND": "Agg"})
    assert done.returncode == 0, done.stderr
    markdown, pictures = pages.page_of(chapter, json.loads(done.stdout))
    assert markdown.startswith("# 1. Two") and "```text\n2\n```" in markdown
    assert "![A line](01_two-1.png)" in markdown and pictures["01_two-1.png"].startswith(b"\x89PNG")
    assert '??? success "The code"\n\n    ```python\n    x = 3\n    print(x)\n    ```\n\n```text\n3\n```' in markdown


def test_formulas_become_mathml(pages):
    pytest.importorskip("latex2mathml")
    for chapter in CHAPTERS:
        made = pages.FORMULA.sub(pages.formula, prose(chapter))
        assert not re.search(r"\\[a-z]|\$", re.sub(r"`[^`]*`", "", made)), chapter.name
        assert not re.search(r"^<math", made, re.M), chapter.name  # it would be a paragraph of its own
        assert made.count('<div class="formula">') == prose(chapter).count("tag{")


def test_a_chapter_that_fails_is_named(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "03_wrong.py").write_text("# %%\n1 / 0\n")
    with pytest.raises(pages.PluginError, match="03_wrong.py does not run:(.|\n)*ZeroDivisionError"):
        pages.results_of(tmp_path / "03_wrong.py")
    assert not (tmp_path / "cache").exists()
