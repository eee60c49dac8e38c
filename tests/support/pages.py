"""Blocks of code on the pages in Markdown."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from support.names import PAGES

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code: the page that it stands on, its language and text, and where it is printed what it prints."""

    page: Path
    number: int
    language: str
    text: str
    prints: str | None

    def __str__(self):
        return f"{self.page.stem}-{self.number}"


def blocks(page, language):
    """Return the blocks of a page in a language; one in "text" right behind another says what that prints."""
    found = FENCED.findall(page.read_text())
    behind = [*found, ("", "")][1:]
    return [
        Block(page, number, kind, text, after if follows == "text" else None)
        for number, ((kind, text), (follows, after)) in enumerate(zip(found, behind, strict=True))
        if kind == language
    ]


def commands(page):
    """Return the lines of a page's blocks for the shell, each as words, without comments."""
    lines = [
        line
        for block in blocks(page, "bash")
        for line in block.text.replace("\\\n", " ").replace("&&", "\n").split("\n")
    ]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


RECIPES = [page for page in PAGES if page.parent.name == "recipes"]
COMPARED = [
    *RECIPES,
    *(page for page in PAGES if page.name in ("coming_from.md", "conventions.md", "language_models.md")),
]
"""Pages whose programs run one by one, each beside what the page says that it prints (`tests/test_recipes.py`)."""
