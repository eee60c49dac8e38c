"""Pages say what the records say, and `check` finds where they do not."""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import main
from benchmarks.suite.book import Account, Book, SourceError
from benchmarks.suite.checking import faults
from benchmarks.suite.experiment import Experiment
from benchmarks.suite.origin import origin
from benchmarks.suite.pages_command import written_beside
from benchmarks.suite.pictures import panels
from benchmarks.suite.records import Record
from benchmarks.suite.reporting import draw, report
from benchmarks.suite.samples import Row, Sample, statistics_table
from benchmarks.suite.stamps import drawn, fingerprint
from benchmarks.suite.tables import by_cell, markdown, number

README = """# Library

What it reaches:

<!-- benchmarks: arms/scores -->
<!-- /benchmarks -->

The best is <!--{{arms/best}}-->?<!--/-->.

<!-- benchmarks: arms.png -->
<!-- /benchmarks -->
"""


@dataclass(frozen=True)
class Cell:
    name: str
    mean: float


CELLS = (Cell("few", 1.0), Cell("many", 2.0))


def score(cell, seed):
    return cell.mean + seed / 10


def table(records):
    found = by_cell(records)
    runs = {cell.name: [r.result and r.result["score"] for r in found.get(cell.name, {}).values()] for cell in CELLS}
    rows = [Row([name], Sample.of(scores, asked=3, worst=0.0)) for name, scores in runs.items()]
    return {"scores": statistics_table(["cell"], rows), "names": markdown(["name"], [[name] for name in runs])}


def plot(records):
    (axes,) = panels(1, "Scores of seeds", size=(1.5, 1.5))
    axes.plot([record.seed for record in records], label="_seeds")
    axes.set_xlabel("seed")
    return axes.figure


def numbers(records):
    return {"best": number(max((record.result["score"] for record in records if record.result), default=None))}


def experiment(name="arms", sources=(), **module):
    content = {"__doc__": "How much do arms pay?\n\nTwo cells.", "table": table, "plot": plot, "numbers": numbers}
    shown = SimpleNamespace(**(content | module))
    return Experiment(
        name, f"benchmarks.learning.{name}", "How much?", CELLS, (0, 1, 2), score, module=shown, sources=sources
    )


def records_of(cells=CELLS, seeds=(0, 1, 2)):
    machine = {"cpu": "Some processor", "cores": 2, "memory_gib": 7.6}
    said = {"command": "python -m benchmarks run arms", "commit": "0123456789", "machine": machine}
    return [
        Record("arms", asdict(cell), seed, {"score": score(cell, seed)}, **said) for cell in cells for seed in seeds
    ]


def write(book, records):
    book.results.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(asdict(record)) + "\n" for record in records)
    (book.results / "arms.jsonl").write_text(text)


def book_in(root, **module):
    return Book(root, {"arms": "learning"}, lambda name: experiment(name, **module))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose pages are what its records say."""
    root = tmp_path_factory.mktemp("project")
    (root / "README.md").write_text(README)
    write(book_in(root), records_of())
    assert report(book_in(root)) == []
    assert found_in(root) == []
    return root


@pytest.fixture
def root(project, tmp_path):
    """A copy of the project."""
    return Path(shutil.copytree(project, tmp_path / "copy"))


def found_in(root, **module):
    return [str(fault) for fault in faults(book_in(root, **module))]


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new))


# -- report ------------------------------------------------------------------------------------------------------------
def test_a_page_has_table_origin_number_and_picture(root):
    page = (root / "README.md").read_text()
    assert "| many | **2.1** |" in page and "is <!--{{arms/best}}-->2.2<!--/-->." in page
    assert "<sub>`python -m benchmarks run arms` · commit 0123456789 · Some processor, 2 cores, 8 GiB" in page
    assert "![Scores of seeds](benchmarks/results/arms.png)" in page


def test_the_page_of_all_experiments(root):
    page = (root / "docs" / "benchmarks.md").read_text()
    assert "## Suites" not in page  # as none is of these experiments
    assert "### arms\n\nHow much do arms pay?\n\nTwo cells.\n" in page
    assert "**scores**" in page and "**names**" in page and "](../benchmarks/results/arms.png)" in page


def test_new_records_change_pages_and_pictures(root):
    before = (root / "benchmarks/results/arms.png").read_bytes()
    write(book_in(root), records_of(seeds=(0, 1)))
    assert report(book_in(root)) == [] and found_in(root) == []
    assert "2 seeds a cell" in (root / "README.md").read_text()
    assert (root / "benchmarks/results/arms.png").read_bytes() != before


def test_seeds_that_may_have_chosen_settings_are_not_reported(root):
    before = (root / "README.md").read_text()
    write(book_in(root), [*records_of(), *records_of(seeds=(100, 101))])
    assert report(book_in(root)) == [] and (root / "README.md").read_text() == before
    assert "3 seeds a cell" in before
    rounds = replace(experiment(), exclusive=True)  # of which there may be more than were planned
    assert len(rounds.reported([*records_of(), *records_of(seeds=(100, 101))])) == 10


def test_pictures_that_are_not_older_than_their_records_are_drawn_when_named(root):
    def fails(records):
        raise AssertionError("drawn")

    assert report(book_in(root, plot=fails)) == []
    (fault,) = report(book_in(root, plot=fails), ["arms"])
    assert str(fault) == "benchmarks/learning/arms.py:1: arms: plot failed: AssertionError: drawn"


def test_a_picture_that_is_drawn_no_more_is_deleted(root):
    assert report(book_in(root, plot=lambda records: {"one": plot(records)}), ["arms"]) != []  # README names the other
    assert [path.name for path in drawn(root / "benchmarks/results")] == ["arms-one.png"]
    assert draw(Account(experiment("legs"), records_of()), root / "benchmarks/results") == []
    assert [path.name for path in drawn(root / "benchmarks/results")] == ["arms-one.png", "legs.png"]


def test_what_has_not_been_measured_is_not_drawn(root):
    write(book_in(root), [])

    def fails(records):
        raise AssertionError("drawn")

    assert report(book_in(root, plot=fails), ["arms"]) == []


def test_an_experiment_without_records_may_be_named(root):
    (root / "README.md").write_text("<!-- benchmarks: legs/scores -->\n<!-- /benchmarks -->\n")
    book = Book(root, {"arms": "learning", "legs": "learning"}, experiment)
    report(book)
    assert not (root / "benchmarks/results/legs.jsonl").exists()
    assert [str(fault) for fault in faults(book) if "jsonl" in str(fault)] == []


def test_a_picture_that_does_not_say_what_it_shows_is_refused(root):
    def unclear(records):
        figure = plot(records)
        figure.axes[0].axhline(6)
        return figure

    (fault,) = report(book_in(root, plot=unclear), ["arms"])
    assert "arms.png: the panel '' has 1 lines without a label" in str(fault)


def test_results_that_are_not_published_have_a_page_beside_them(tmp_path, capsys):
    assert written_beside(Account(experiment(), records_of()), tmp_path) == []
    page = (tmp_path / "arms.md").read_text()
    assert "| many | **2.1** |" in page and "![Scores of seeds](arms.png)" in page
    assert capsys.readouterr().out.strip() == str(tmp_path / "arms.md")


def test_what_cannot_be_said_of_results_that_are_not_published_is_told(tmp_path, capsys, monkeypatch):
    (fault,) = written_beside(Account(experiment(table=lambda records: {}[0]), records_of()), tmp_path)
    assert "arms: table failed: KeyError: 0" in str(fault)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shows.py").write_text('"""What did they measure?"""\nSOURCES = ("one", "two")\n')
    assert main(["report", "shows.py"]) == 2
    assert "report: no page of the suite shows 'shows'; add --out and its folder" in capsys.readouterr().err
    assert main(["report", "shows.py", "--out", "nowhere"]) == 2
    assert "out: there are no records of it in 'nowhere'; give the folder" in capsys.readouterr().err


# -- where numbers come from -------------------------------------------------------------------------------------------
def test_what_is_missing_and_what_failed_stands_below_the_table():
    records = records_of(CELLS[:1])
    records[2] = replace(records[2], result=None, error="ValueError: <a> | b\nmore")
    said = origin(experiment(), records)
    assert "3 seeds a cell · missing: 3 of 6 runs, many (all) · failed: few, seed 2 (ValueError: &lt;a&gt; | b)" in said
    assert "missing: 1 of 6 runs, many (1)" in origin(experiment(), records_of()[:-1])
    assert "missing" not in origin(experiment(), records_of())


def test_what_has_not_been_measured_says_so():
    said = origin(experiment(), [])
    assert said == (
        "<sub>`python -m benchmarks run arms` · missing: all of 6 runs, nothing has been measured yet</sub>"
    )
    assert Account(experiment(), []).table() == said and "| few | missing |" in Account(experiment(), []).table(
        "scores"
    )


def test_many_commits_are_counted():
    records = [replace(record, commit=f"commit{i}") for i, record in enumerate(records_of())]
    assert "commit0, commit1, commit2, commit3 and 2 more" in origin(experiment(), records)


def test_records_of_cells_that_have_changed_do_not_count(root):
    write(book_in(root), [*records_of(), *records_of([Cell("many", 9.0)])])
    assert found_in(root) == []


def test_what_others_have_measured_can_be_shown(root):
    made = {"arms": experiment(), "both": experiment("both", sources=("arms",))}
    book = Book(root, dict.fromkeys(made, "learning"), made.__getitem__)
    assert book["both"].records == book["arms"].records
    made["some"] = replace(made["both"], name="some", shown=("few",))
    some = Book(root, dict.fromkeys(made, "learning"), made.__getitem__)["some"].records
    assert [record.cell["name"] for record in some] == ["few"] * 3
    twice = [*records_of(), *(replace(record, experiment="legs") for record in records_of())]
    assert " · 3 seeds a cell" in origin(made["both"], twice)  # though cells have the same names
    assert fingerprint(twice) == fingerprint(twice[::-1]) != fingerprint(records_of())


# -- check -------------------------------------------------------------------------------------------------------------
def test_an_edited_number_in_a_table_is_found(root):
    change(root / "README.md", "**2.1**", "**2.4**")
    (fault,) = found_in(root)
    line = (root / "README.md").read_text().splitlines().index(next(r for r in read_lines(root) if "**2.4**" in r)) + 1
    assert fault.startswith(f"README.md:{line}: arms/scores is not what its records say: '| many | **2.4**")


def read_lines(root):
    return (root / "README.md").read_text().splitlines()


def test_an_edited_number_in_a_sentence_is_found(root):
    change(root / "README.md", "-->2.2<!--", "-->2.3<!--")
    (fault,) = found_in(root)
    assert "arms/best is not what its records say: '2.3' stands where '2.2' should" in fault


def test_an_edited_origin_is_found(root):
    change(root / "README.md", "3 seeds a cell", "30 seeds a cell")
    assert len(found_in(root)) == 1


def test_records_that_no_page_says_are_found(root):
    write(book_in(root), [replace(record, result={"score": 7.0}) for record in records_of()])
    found = found_in(root)
    assert any("arms/scores" in fault for fault in found) and any("arms/best" in fault for fault in found)
    assert any("arms.png:1: was drawn from other records than arms has now" in fault for fault in found)


def test_an_old_picture_is_found_whatever_the_times_of_files(root):
    stale = (root / "benchmarks/results/arms.png").read_bytes()
    write(book_in(root), records_of(seeds=(0, 1)))
    report(book_in(root))
    (root / "benchmarks/results/arms.png").write_bytes(stale)
    (fault,) = found_in(root)
    assert fault.startswith("benchmarks/results/arms.png:1: was drawn from other records")


def test_nothing_is_drawn_by_the_check(root):
    def fails(records):
        raise AssertionError("drawn")

    assert found_in(root, plot=fails) == []


@pytest.mark.parametrize("name", ["legs.jsonl", "notes.md", "old.png"])
def test_a_file_that_no_page_leads_to_is_found(root, name):
    (root / "benchmarks/results" / name).write_text("x")
    (fault,) = found_in(root)
    assert fault.startswith(f"benchmarks/results/{name}:1: no page leads to it")
    (root / "README.md").write_text((root / "README.md").read_text() + f"[x](benchmarks/results/{name})")
    assert found_in(root) == []


def test_a_link_to_a_result_that_is_gone_is_found(root):
    (root / "README.md").write_text((root / "README.md").read_text() + "[x](benchmarks/results/gone.md)")
    (fault,) = found_in(root)
    assert fault.startswith("benchmarks/results/gone.md:1: a page leads to it")


def test_a_picture_of_no_experiment_is_found(root):
    path = root / "benchmarks/results/arms.png"
    path.write_bytes(path.read_bytes().replace(b"benchmarks-experiment\0arms", b"benchmarks-experiment\0legs"))
    assert any("is of 'legs', which is no experiment" in fault for fault in found_in(root))


@pytest.mark.parametrize("page", ["README.md", "docs/more.md", "benchmarks/README.md", "benchmarks/some/README.md"])
def test_a_table_outside_markers_is_found(root, page):
    (root / page).parent.mkdir(parents=True, exist_ok=True)
    with (root / page).open("a") as file:
        file.write("\n| a | b |\n|---|---|\n| x | 4,418 |\n")
    (fault,) = found_in(root)
    assert fault.startswith(f"{page}:") and "a table with numbers outside markers" in fault


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("arms/speeds", "arms has no table 'speeds'; it has 'scores', 'names'"),
        ("legs", "there is no experiment 'legs'; there is 'arms'"),
        ("legs.png", "there is no picture legs.png"),
    ],
)
def test_a_marker_without_a_source_is_found(root, marker, message):
    with (root / "README.md").open("a") as file:
        file.write(f"\n<!-- benchmarks: {marker} -->\n<!-- /benchmarks -->\n")
    (fault,) = found_in(root)
    assert fault.startswith(f"README.md:{len(read_lines(root)) - 1}: ") and message in fault
    assert message in str(report(book_in(root))[0])


def test_a_number_without_a_source_is_found(root):
    change(root / "README.md", "{{arms/best}}", "{{arms/worst}}")
    (fault,) = found_in(root)
    assert "arms has no number 'worst'; it has 'best'" in fault


def test_a_marker_that_is_not_closed_is_found(root):
    (root / "README.md").write_text((root / "README.md").read_text() + "\n<!-- benchmarks: arms -->\n")
    (fault,) = found_in(root)
    assert "is not closed" in fault


def test_a_table_that_fails_is_found(root):
    found = found_in(root, table=lambda records: {}[0])
    assert {fault.partition(": ")[2] for fault in found} == {"arms: table failed: KeyError: 0"}


def test_an_edited_page_of_all_experiments_is_found(root):
    change(root / "docs/benchmarks.md", "How much do arms pay?", "How little do arms pay?")
    (fault,) = found_in(root)
    assert fault.startswith("docs/benchmarks.md:") and "'How little do arms pay?' stands where" in fault


def test_what_an_experiment_does_not_have_is_said():
    with pytest.raises(SourceError, match="arms has no table"):
        Account(experiment(table=lambda records: None), []).table()


def test_the_pages_of_this_project_are_what_their_records_say():
    assert [str(fault) for fault in faults(Book())] == []
    assert Path("README.md").name in {page.name for page in Book().pages}
