"""The chapters of the course as pages: their cells are run, and what they print and draw stands below them.

A chapter is docs/course/NN_name.py, in jupytext's percent format. Its results are kept in .cache/course, by a hash of
its file and of this one. With COURSE_RUN=0 nothing is run, and pages show the code alone. Formulas become MathML, which
browsers draw without a script.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
COURSE = ROOT / "docs" / "course"
CACHE = ROOT / ".cache" / "course"
CELL = re.compile(r"^# %%(.*)\n", re.M)
FORMULA = re.compile(r"`[^`\n]+`|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$]+)\$", re.S)
NUMBER = re.compile(r"\s*\\tag\{([\d.]+)\}")
LINK = re.compile(r"(?<=\]\()(\d\d_\w+)\.py(?=\))")
DPI = 110

Result = dict[str, Any]  # of a cell: what it printed, and its pictures as PNG in base64 with their titles


def chapters() -> list[Path]:
    """Return the files of the chapters, in their order."""
    return sorted(COURSE.glob("[0-9][0-9]_*.py"))


def cells_of(text: str) -> list[tuple[str, str]]:
    """Return (head, text) of each cell; the head is what follows the mark of its beginning."""
    parts = CELL.split(text)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


# -- pages -------------------------------------------------------------------------------------------------------------
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Run the chapters, two at a time, and add a page for each, with its pictures."""
    with ThreadPoolExecutor(2) as pool:
        for chapter, results in zip(chapters(), pool.map(results_of, chapters()), strict=True):
            markdown, pictures = page_of(chapter, results)
            files.append(File.generated(config, f"course/{chapter.stem}.md", content=markdown))
            for name, picture in pictures.items():
                files.append(File.generated(config, f"course/{name}", content=picture))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the overview's links lead to the pages of the chapters."""
    return LINK.sub(r"\1.md", markdown) if page.file.src_uri == "course/index.md" else markdown


def page_of(chapter: Path, results: list[Result]) -> tuple[str, dict[str, bytes]]:
    """Return a chapter's page in Markdown, and its pictures by their names."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for (head, text), result in zip(cells_of(chapter.read_text()), results, strict=True):
        if "[markdown]" in head:
            parts.append(FORMULA.sub(formula, re.sub(r"^# ?", "", text, flags=re.M)))
            continue
        code = f"```python\n{text.strip()}\n```"
        folded = '??? success "The code"\n\n' + "\n".join(f"    {line}".rstrip() for line in code.split("\n"))
        parts.append(folded if '"solution"' in head else code)
        if result["printed"].strip():
            parts.append(f"```text\n{result['printed'].strip()}\n```")
        for picture, title in result["pictures"]:
            name = f"{chapter.stem}-{len(pictures) + 1}.png"
            pictures[name] = base64.b64decode(picture)
            parts.append(f"![{title}]({name})")
    parts.append(f"<sub>Made of `docs/course/{chapter.name}`, which was run for this page.</sub>")
    return "\n\n".join(parts), pictures


def formula(found: re.Match[str]) -> str:
    """Return a formula as MathML, code as it stands; formulas too where the converter is not installed."""
    if found[0].startswith("`") or importlib.util.find_spec("latex2mathml") is None:
        return found[0]
    from latex2mathml.converter import convert

    if found["inline"]:
        # in a span: Markdown takes a line that begins with an element it does not know for a paragraph of its own
        return f"<span>{convert(found['inline'].replace(chr(10), ' '))}</span>"
    number = NUMBER.search(found["block"])
    math = convert(NUMBER.sub("", found["block"]).replace("\n", " "), display="block")
    shown = f"<span>({number[1]})</span>" if number else ""
    return f'<div class="formula">{math}{shown}</div>'


# -- running -----------------------------------------------------------------------------------------------------------
def results_of(chapter: Path) -> list[Result]:
    """Return what a chapter's cells print and draw, from the cache or by running them in a process.

    Raises:
        PluginError: a cell fails.
    """
    if os.environ.get("COURSE_RUN") == "0":
        return [{"printed": "", "pictures": []} for _ in cells_of(chapter.read_text())]
    key = hashlib.sha256(chapter.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    kept = CACHE / f"{chapter.stem}-{key}.json"
    if not kept.exists():
        environment = os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, str(chapter)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise PluginError(f"{chapter.relative_to(ROOT)} does not run:\n{done.stderr[-2000:]}")
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in CACHE.glob(f"{chapter.stem}-*.json"):
            old.unlink()
        kept.write_text(done.stdout)
    results: list[Result] = json.loads(kept.read_text())
    return results


def run(chapter: Path) -> list[Result]:
    """Run a chapter's cells in this process and return what they print and draw."""
    import matplotlib.pyplot as plt

    results: list[Result] = []
    names: dict[str, Any] = {"__name__": "__main__"}

    def show() -> None:
        figure, drawn = plt.gcf(), io.BytesIO()
        figure.savefig(drawn, format="png", dpi=DPI)
        title = "; ".join(axes.get_title() for axes in figure.axes)
        results[-1]["pictures"].append((base64.b64encode(drawn.getvalue()).decode(), title))
        plt.close(figure)

    plt.show = show
    for head, text in cells_of(chapter.read_text()):
        results.append({"printed": "", "pictures": []})
        if "[markdown]" in head:
            continue
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(text, f"{chapter.name}, {head}", "exec"), names)
        results[-1]["printed"] = printed.getvalue()
    return results


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
