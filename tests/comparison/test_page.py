"""The page: it loads nothing, runs nothing of others, and says what it shows."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from support.run_folders import RETURN, make, make_seeds

from pg_agents.comparison.finding import runs_in
from pg_agents.comparison.groups import panels_of
from pg_agents.comparison.measures import measure
from pg_agents.comparison.page import Source, page
from pg_agents.comparison.page_parts import SCRIPT
from pg_agents.comparison.pictures import COLOURS, LOOKS, draw, looks_of, picture
from pg_agents.comparison.runs import read_runs
from pg_agents.comparison.words import PLACE, in_words, number, without_places

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=y>\"' \x1b[2J"
SOURCE = Source(f"pg-agents compare {HOSTILE}", {"numpy": "2"}, "2000-01-01")


class Tags(HTMLParser):
    """The tags of a page, with their attributes, and those that are open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "source", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    make_seeds(root / "a", lambda seed: [seed, 2.5 + seed], agent=HOSTILE, env="X-v0", torch=HOSTILE)
    make_seeds(root / "b", lambda seed: [seed, 7.25], agent="b", env="X-v0")
    make_seeds(root / "c", lambda seed: [seed, 1], agent="b", env="Y-v0")
    runs, _ = read_runs(runs_in([root / name for name in "abc"]), RETURN)
    return [measure(panel, {"optimum": 9.5}) for panel in panels_of(runs)]


@pytest.fixture(scope="module")
def made(measured):
    return page(measured, RETURN, looks_of(measured), [f"note {HOSTILE}"], SOURCE, HOSTILE)


def test_the_page_is_whole_and_loads_nothing(made):
    found = Tags(made)
    assert found.open == []
    links = [value for _, given in found.tags for name, value in given.items() if name in ("src", "srcset", "href")]
    assert len(links) == 4 and all(link.startswith("data:image/svg+xml;base64,") for link in links)
    assert "url(" not in made and "@import" not in made and "http" not in re.sub("http-equiv", "", made)
    assert all(not name.startswith("on") for _, given in found.tags for name in given)


def test_only_its_own_script_runs(made):
    (script,) = re.findall(r"<script>(.*?)</script>", made, re.S)
    assert script == SCRIPT and made.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [given["content"] for _, given in Tags(made).tags if "http-equiv" in given]
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")
    assert "\x1b" not in made


def test_the_page_says_what_was_measured(made):
    words = " ".join(Tags(made).words)
    for said in ("3.5", "2.5 … 4.5", "7.25", "9.5", "optimum", "X-v0", "Y-v0", in_words(RETURN), "numpy 2", "9 runs"):
        assert said in words
    assert "P(higher than </title>" in words  # as text


def test_a_table_has_a_value_to_sort_by_in_each_cell(made):
    rows = re.findall(r"<tbody>(.*?)</tbody>", made, re.S)
    cells = [cell for body in rows for cell in re.findall(r"<td[^>]*>", body)]
    assert len(rows) == 3 and cells and all("data-value='" in cell for cell in cells)
    assert made.count("<button") == 2 * 7 + 8


def test_pictures_of_light_and_dark_pages_differ(made):
    (first, *_) = re.findall(
        r"srcset='data:image/svg\+xml;base64,([^']*)'.*?src='data:image/svg\+xml;base64,([^']*)'", made
    )
    dark, light = (base64.b64decode(content).decode() for content in first)
    assert "#14171c" in dark and "#14171c" not in light and "#ffffff" in light
    assert all(COLOURS[0] in content for content in (dark, light))


def test_a_group_looks_alike_in_all_panels_and_unlike_the_others(measured):
    looks = looks_of(measured)
    assert list(looks) == [HOSTILE, "b"] and looks["b"] == {"color": COLOURS[1], "dashes": ()}
    figure = draw(measured, RETURN, looks)
    lines = [[line for line in axes.lines if line.get_linewidth() == 2] for axes in figure.axes]
    assert [line.get_color() for line in lines[0]] == list(COLOURS[:2]) and lines[1][0].get_color() == COLOURS[1]


def test_as_many_groups_as_there_are_looks_look_different_in_pictures_and_on_the_page(tmp_path):
    for i in range(LOOKS):
        make(tmp_path / "x" / f"{i}", agent=f"agent {i}")
    measured = [measure(panel, {}) for panel in panels_of(read_runs(runs_in([tmp_path / "x"]), RETURN)[0])]
    figure = draw(measured, RETURN, looks_of(measured))
    lines = [(line.get_color(), *line._unscaled_dash_pattern[1:]) for line in figure.legends[0].get_lines()]
    assert len({*map(str, lines)}) == LOOKS == 48
    tags = Tags(page(measured, RETURN, looks_of(measured), [], SOURCE)).tags
    assert len({(a["stroke"], a["stroke-dasharray"]) for tag, a in tags if tag == "path"}) == LOOKS


def test_a_long_name_is_in_the_legend_in_full_and_the_legend_in_the_picture(tmp_path):
    for run, value in enumerate((0.12345678, 0.98765432)):
        make(tmp_path / "x" / f"{run}", agent="ppo", arguments={f"option_{i}": value for i in range(6)})
    measured = [measure(panel, {}) for panel in panels_of(read_runs(runs_in([tmp_path / "x"]), RETURN)[0])]
    figure = draw(measured, RETURN, looks_of(measured))
    picture(figure, "png")  # which places the legend
    (legend,) = figure.legends
    inside, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= inside.x0 < inside.x1 <= whole.x1 and whole.y0 <= inside.y0
    words = [text.get_text().split() for text in legend.get_texts()]
    assert [len(one) for one in words] == [7, 7] and words[0][-1] == "option_5=0.12345678"
    assert figure.axes[0].get_window_extent().height > 0.6 * 3.2 * figure.dpi


def test_a_picture_says_what_its_lines_are(measured):
    figure = draw(measured, RETURN, looks_of(measured), title="$x_{")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][1] == "b"
    first = figure.axes[0]
    assert (first.get_title(), first.get_xlabel(), first.get_ylabel()) == (
        "X-v0",
        "environment steps",
        in_words(RETURN),
    )
    assert [text.get_text() for text in first.texts] == ["optimum 9.5"]
    assert picture(figure, "svg").count(b"<svg") == 1
    band = first.collections[0].get_paths()[0].vertices
    row, scores = measured[0].bands[0], measured[0].scores[0]
    assert band[:, 1].max() == pytest.approx(row.high.max()) and row.values[-1] == pytest.approx(scores.middle)


def test_a_group_whose_name_begins_with_an_underscore_is_in_the_legend(tmp_path):
    make_seeds(tmp_path / "a", lambda seed: [1, 2], seeds=1, agent="_a")
    measured = [measure(one, {}) for one in panels_of(read_runs(runs_in([tmp_path / "a"]), RETURN)[0])]
    (legend,) = draw(measured, RETURN, looks_of(measured)).legends
    assert [text.get_text().strip() for text in legend.get_texts()] == ["_a"]


def test_a_run_of_one_row_can_be_seen(tmp_path):
    make_seeds(tmp_path / "a", lambda seed: [1], seeds=1, agent="a")
    make_seeds(tmp_path / "b", lambda seed: [1, 2], seeds=1, agent="b")
    (panel,) = panels_of(read_runs(runs_in([tmp_path / "a", tmp_path / "b"]), RETURN)[0])
    measured = [measure(panel, {})]
    lines = draw(measured, RETURN, looks_of(measured)).axes[0].lines
    assert [line.get_marker() for line in lines] == ["o", "None"]


def test_more_panels_than_places_leave_none_empty(measured):
    assert len(draw([*measured, measured[0]], RETURN, looks_of(measured)).axes) == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hf:/home/u/models/m", "hf:…/m"),
        ("/tmp/x", "…/x"),
        (r"C:\Users\u\m", "…/m"),
        ("~/runs/a b", "…/a b"),
        ("ALE/Pong-v5", "ALE/Pong-v5"),
        ("runs/ppo/seed-3", "runs/ppo/seed-3"),
        ("1/2 of / all", "1/2 of / all"),
    ],
)
def test_places_are_left_out(text, shown):
    assert without_places(text) == shown and not PLACE.search(shown)


def test_numbers_have_four_digits():
    assert [number(value) for value in (None, 0, 1 / 3, -12345.6, 500)] == ["–", "0", "0.3333", "-1.235e+04", "500"]
