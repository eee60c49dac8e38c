"""Files of the repository that stand outside docs/ are part of the site, too, and links to them lead there.

Pages read on the site as they read beside the code: a link to ../benchmarks/README.md leads to the page that is made of
that file, a picture of benchmarks/results is copied. Of a link to code, which the site does not show, the words remain.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
DOCS = "docs"
PAGES = {  # files of the repository that are pages of the site
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
    "benchmarks/README.md": "experiments.md",
    "benchmarks/speed/README.md": "speed.md",
}
FOUND_LAST = (
    "benchmarks.md",
    "changelog.md",
    "contributing.md",
    "experiments.md",
    "release.md",
    "speed.md",
)  # by searches
RESULTS = "benchmarks/results"
MARK = re.compile(r"<!--(?:\{\{[^{}\s]+\}\}|/)-->")  # around a number; at a line's beginning it would end the paragraph
LINK = re.compile(r"(?P<before>\]\()(?P<path>[^)#\s:]+)(?P<after>[#)])")
SOURCE = re.compile(r"\[(?P<text>[^\[\]]+)\]\((?P<path>\.\./[^)#\s]+)(?:#[^)\s]*)?\)")
CODE = re.compile(r"^(```|~~~).*?^\1[ \t]*$|`[^`\n]+`", re.M | re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the pictures that stand outside docs/."""
    for path, uri in PAGES.items():
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    for path in sorted((ROOT / RESULTS).iterdir()):
        files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where the site has what they name; what users rarely look for is found after the rest."""
    uri = page.file.src_uri
    if uri in FOUND_LAST:
        page.meta["search"] = {"boost": 0.1}
    where = next((path for path, other in PAGES.items() if other == uri), f"{DOCS}/{uri}")
    markdown = SOURCE.sub(lambda link: _source(link, where), markdown)
    code = [found.span() for found in CODE.finditer(markdown)]

    def led(link: re.Match[str]) -> str:
        if any(start <= link.start() < end for start, end in code):
            return link[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(where), link["path"]))
        return f"{link['before']}{_relative(uri_of(target, where), uri)}{link['after']}"

    return MARK.sub("", LINK.sub(led, markdown))


def _source(link: re.Match[str], where: str) -> str:
    """Return a link, or its words alone where it leads to a file that is there and that the site does not show."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(where), link["path"]))
    shown = path in PAGES or path.startswith((f"{RESULTS}/", f"{DOCS}/"))
    return link[0] if shown or not (ROOT / path).exists() else link["text"]


def uri_of(path: str, where: str) -> str:
    """Return where in the site's sources a file of the repository is.

    Args:
        path: of the file, from the repository's root.
        where: the page that names it.

    Raises:
        PluginError: the site does not have it.
    """
    if path in PAGES:
        return PAGES[path]
    if path.startswith(f"{RESULTS}/"):
        return f"results/{posixpath.basename(path)}"
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    raise PluginError(f"{where}: {path} is not on the site; name it without a link, or add it to PAGES")


def _relative(uri: str, page: str) -> str:
    return Path(os.path.relpath(uri, posixpath.dirname(page) or ".")).as_posix()
