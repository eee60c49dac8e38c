"""Markers on pages, and tables that stand outside them."""

import pytest

from benchmarks.suite.pages import PageError, filled, places, tables

PAGE = """# Title

<!-- benchmarks: some/table -->
old
<!-- /benchmarks -->

Best is <!--{{some/best}}-->4<!--/--> of `<!-- benchmarks: NAME -->`.

```
<!-- benchmarks: in-code -->
```
"""
TABLE = "| a | b |\n|---|---|\n| x | {} |\n"


def test_places_of_a_page():
    assert [(place.kind, place.name) for place in places(PAGE)] == [("block", "some/table"), ("number", "some/best")]
    assert [PAGE[place.start : place.end].strip() for place in places(PAGE)] == ["old", "4"]


def test_a_page_is_filled_and_stays_as_it_is():
    page = filled(PAGE, lambda place: place.name.upper())
    assert "<!-- benchmarks: some/table -->\n\nSOME/TABLE\n\n<!-- /benchmarks -->" in page
    assert "Best is <!--{{some/best}}-->SOME/BEST<!--/--> of" in page
    assert filled(page, lambda place: place.name.upper()) == page


@pytest.mark.parametrize(
    ("page", "line", "message"),
    [
        ("\n<!-- benchmarks: a -->\n", 2, "<!-- benchmarks: a --> is not closed by <!-- /benchmarks -->"),
        ("<!-- benchmarks: a -->\n<!-- benchmarks: b -->\n<!-- /benchmarks -->", 1, "<!-- benchmarks: a --> is not"),
        ("\n\n<!-- /benchmarks -->", 3, "<!-- /benchmarks --> closes nothing"),
        ("<!--{{a/b}}-->4", 1, "is not closed by <!--/-->"),
        ("4<!--/-->", 1, "closes nothing"),
        ("<!-- benchmarks: a -->\n4<!--/-->", 2, "closes nothing"),
    ],
)
def test_markers_that_do_not_pair(page, line, message):
    with pytest.raises(PageError) as caught:
        places(page)
    assert caught.value.args[0] == line and message in caught.value.args[1]


@pytest.mark.parametrize(
    "page",
    [
        TABLE.format("4,418"),
        TABLE.format("**0.7** ± .1"),
        TABLE.format("about 97 %"),
        "a | b\n---|---\nx | 3\n",
        "<table><tr><td>3</td></tr></table>",
        "```text\none  3  0.1\ntwo  4  0.2\nten  5  0.3\n```",
        "<!-- not measured -->\n\nSome words.\n\n" + TABLE.format(1),
        "<!-- not measured -->\n\n" + TABLE.format(1) + "\n" + TABLE.format(2),
        "<!-- benchmarks: a -->\n<!-- /benchmarks -->\n" + TABLE.format(1),
    ],
)
def test_tables_with_numbers_outside_markers_are_found(page):
    assert len(list(tables("# Title\n" + page))) == 1


@pytest.mark.parametrize(
    "page",
    [
        TABLE.format("yes"),
        TABLE.format("`--seeds 3`"),
        TABLE.format("[there](results/peers-4.json)"),
        "| 3 | 4 |\n|---|---|\n| x | y |\n",
        "```python\na = [1, 2]\nb = [3, 4]\nc = [5, 6]\n```",
        "```\n" + TABLE.format(3) + "```",
        "```text\none  3  0.1\ntwo  4  0.2\n```",
        "```text\none  3\ntwo  4\nten  5\n```",
        "<!-- not measured -->\n" + TABLE.format(1),
        "<!-- not measured -->\n\n```\none 3 4\ntwo 3 4\nten 3 4\n```",
        "<!-- benchmarks: a -->\n\n" + TABLE.format(1) + "\n<!-- /benchmarks -->\n",
    ],
)
def test_other_tables_are_not(page):
    assert list(tables("# Title\n" + page)) == []


def test_the_line_of_a_table_is_that_of_its_head():
    assert list(tables("# Title\n\n" + TABLE.format(3))) == [(3, "a table with numbers")]
