"""The Python of the README and of the site's pages runs as it stands there, and their links lead somewhere."""

import os
import re
import subprocess
import sys

import pg_envs
import pytest
from support.names import PAGES, ROOT
from support.pages import COMPARED
from support.text_model import write_model

import pg_agents as pg

FENCE = re.compile(r"^( *)```python[^\n]*\n(.*?)^\1```", re.M | re.S)
EVERY = "import sys; [exec(compile(text, f'block {i}', 'exec'), {'__name__': '__main__'}) for i, text in %s]"


def blocks(page):
    """Return the Python of a page, a text a block."""
    return [re.sub(rf"^{indent}", "", code, flags=re.M) for indent, code in FENCE.findall(page.read_text())]


README = blocks(ROOT / "README.md")
GOES_ON = ROOT / "docs/take_a_model_away.md"  # whose blocks go on with what stands before them: its own test runs them
PAGES_HERE = [page for page in PAGES if page.parent != ROOT and page not in (*COMPARED, GOES_ON)]
SITE = {str(page.relative_to(ROOT)): found for page in PAGES_HERE if (found := blocks(page))}


def run(program, folder):
    """Run a program in a fresh interpreter, in a folder with a language model, PATH; return what it printed."""
    if "PATH" in program:
        write_model(folder / "PATH")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=800
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
    (lines,) = [block.strip().splitlines() for block in README]
    assert len([line for line in lines if line]) == 12


def test_the_readmes_python(tmp_path):
    score = run(README[0], tmp_path).splitlines()[-1].split()  # below lines of progress
    assert float(score[0]) > 100 and score[1:] == ["of", "500"]
    written = {path.name for path in (tmp_path / "runs" / "cartpole").iterdir()}
    assert written >= {"config.json", "metrics.jsonl", "summary.json"}
    assert pg.load(tmp_path / "cartpole-agent").name == "ppo"


@pytest.mark.slow
@pytest.mark.parametrize("page", SITE)
def test_the_sites_python(page, tmp_path):
    run(EVERY % repr(list(enumerate(SITE[page], 1))), tmp_path)


def test_a_block_that_lacks_an_import_fails(tmp_path):
    with pytest.raises(AssertionError, match="NameError"):
        run(EVERY % repr([(1, "import math"), (2, "print(math.pi)")]), tmp_path)


def test_indented_blocks_are_found(tmp_path):
    (tmp_path / "page.md").write_text("- so\n\n  ```python\n  if 1:\n      x = 2\n  ```\n\n```python\ny = 3\n```\n")
    assert blocks(tmp_path / "page.md") == ["if 1:\n    x = 2\n", "y = 3\n"]


def test_a_task_and_a_policy_of_a_language_model(folder):
    tokens = write_model(folder / "PATH")
    (code,) = re.findall(r"^```py\n(.*?)^```", (ROOT / "docs/language_models.md").read_text(), re.M | re.S)
    first, second = code.splitlines()
    names = {"pg": pg, "pg_envs": pg_envs, "prompts": ["3+4=", "5+2="], "answers": ["7", "7"]}
    names["score"] = lambda prompt, completion, answer: float(answer in completion)
    exec(first, names)
    exec(second, names | {"env": pg_envs.TokenVectorEnv(8, task=names["task"], group_size=8)})
    assert names["task"].judge(tuple(names["task"].prompts[0]), [tokens["7"], tokens["</s>"]]) == 1


LINKS = [
    (str(page.relative_to(ROOT)), link)
    for page in PAGES
    if page.name != "CHANGELOG.md"
    for link in re.findall(
        r"\]\(((?!http|mailto|#)[^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]+`", "", page.read_text(), flags=re.S)
    )
]


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_links_lead_somewhere(page, link):
    file, _, section = link.partition("#")
    target = (ROOT / page).parent / file
    assert target.exists()
    heads = re.findall(r"^#+ +(.*)$", target.read_text(), re.M) if section else []
    assert not section or section in [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads]
