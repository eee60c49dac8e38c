"""The site is built without a warning, its links lead somewhere, and every agent and environment has its place."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import gymnasium as gym
import pytest
from support.names import ROOT

import pg_agents as pg

pytest.importorskip("mkdocs")
pytest.importorskip("material")
pytest.importorskip("mkdocstrings")


class Names(HTMLParser):
    """The links of a page, and the places in it that links can lead to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places |= {given.get("id"), given.get("name")} - {None}
        self.links += [link for key in ("href", "src") if (link := given.get(key))]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "COURSE_RUN": "0"}  # tests/test_course.py runs the chapters
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def broken(site):
    """Yield the links of the built pages that lead nowhere within the site."""
    pages = {path: Names(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}
    for path, names in pages.items():
        for link in names.links:
            if re.match(r"[a-z]+:|//", link):
                continue
            file, _, place = unquote(link).partition("#")
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (place and target in pages and place not in pages[target].places):
                yield f"{path.relative_to(site)}: {link}"


@pytest.mark.slow
def test_the_site(site):
    assert not list(broken(site))
    for name, agent in pg.AGENTS.items():
        page = (site / "agents" / name / "index.html").read_text()
        assert all(f"<code>{option}</code>" in page for option in agent.config_class.options())
        assert "log_prob" in page and "train/entropy" in page and ".png" in page
    environments = (site / "environments" / "index.html").read_text()
    assert all(name in environments for name, spec in gym.registry.items() if spec.namespace == "pg")
    assert not (site / "_hooks").exists()


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site):
    foreign = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//')
    pages = [path for path in site.rglob("*.html") if "course" not in path.parts]  # notebooks bring their own
    assert len(pages) > 30 and not [str(path) for path in pages if foreign.search(path.read_text())]


def test_a_broken_link_is_noticed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text(
        '<a href="../b/">x</a><a href="#here">y</a><p id="there"><a href="#there">'
    )
    assert list(broken(tmp_path)) == ["a/index.html: ../b/", "a/index.html: #here"]


@pytest.mark.parametrize("name", pg.AGENTS)
def test_every_agent_has_sentences_of_its_own(name):
    text = (ROOT / "docs" / "agents" / f"{name}.md").read_text()
    assert all(part in text for part in ("**Take it**", "**Leave it**", "**Look at first:**"))
    assert f"agents/{name}.md" in (ROOT / "mkdocs.yml").read_text()
