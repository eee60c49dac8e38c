"""Pictures say what their lines are, and from which records they were drawn."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks.suite.pictures import (
    colour_of,
    colours_of,
    count_in_thousands,
    draw_bars,
    draw_curves,
    draw_level,
    panels,
    scale_by_logarithms,
    unclear,
)
from benchmarks.suite.stamps import Stamp, read_stamp
from pg_agents.statistics import interquartile_mean

STAMP = Stamp("some", "curves", "Ψ − b, after 5 updates", "0123456789abcdef")


@pytest.fixture
def axes():
    (axes,) = panels(1, "A title")
    axes.set_xlabel("steps")
    return axes


def test_a_curve_is_the_interquartile_mean_over_runs(axes):
    finals = [1.0, 2.0, 9.0, 4.0, 5.0, 6.0]
    draw_curves(axes, [[(0, 0.0), (100, final)] for final in finals], "ppo")
    (line,) = axes.get_lines()
    assert line.get_label() == "ppo (6)" and line.get_color() == colour_of("ppo")
    np.testing.assert_allclose(line.get_ydata()[[0, -1]], [0, interquartile_mean(finals)])


def test_the_band_of_few_runs_is_their_range(axes):
    draw_curves(axes, [[(0, 0.0), (100, final)] for final in (1.0, 5.0, 9.0)], "ppo")
    assert axes.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(9)
    draw_curves(axes, [[(0, 0.0), (100, final)] for final in (*(5.0,) * 19, 900.0)], "a2c")
    assert axes.collections[1].get_paths()[0].vertices[:, 1].max() < 100


def test_a_curve_reaches_over_what_all_runs_have(axes):
    draw_curves(axes, [[(0, 1.0), (80, 1.0)], [(20, 3.0), (100, 3.0)]], "ppo")
    assert axes.get_lines()[0].get_xdata()[[0, -1]].tolist() == [20, 80]


def test_a_curve_without_runs_is_missing(axes):
    draw_curves(axes, [], "ppo")
    assert [line.get_label() for line in axes.get_lines()] == ["ppo: missing"]


def test_a_level_says_what_and_where_it_is(axes):
    draw_level(axes, 475.0, "return to reach")
    draw_level(axes, None, "best policy")
    assert [line.get_label() for line in axes.get_lines()] == ["return to reach, 475"]


def test_bars_on_a_logarithmic_axis_have_plain_ticks_and_begin_at_its_left(axes):
    draw_bars(axes, ["a", "b"], [3.0, 40.0], ends=[(2.0, 4.0), None], logarithmic=True)
    axes.figure.canvas.draw()
    low, high = axes.get_xlim()
    ticks = {label.get_text() for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high}
    assert {"2", "5", "10", "20", "50"} <= ticks and low < 2.0 and high > 40.0
    assert [text.get_text() for text in axes.texts] == [" 3", " 40"]
    assert [text.get_position()[0] for text in axes.texts] == [4.0, 40.0]  # behind the interval
    with pytest.raises(ValueError, match="above 0"):
        draw_bars(axes, ["a"], [0.0], logarithmic=True)


def test_a_bar_that_is_missing_says_so(axes):
    draw_bars(axes, ["a", "b"], [3.0, None])
    assert [text.get_text() for text in axes.texts] == [" 3", " missing"]


def test_ticks_of_steps_and_of_wide_axes(axes):
    count_in_thousands(axes)
    assert [axes.xaxis.get_major_formatter()(x, 0) for x in (0, 200_000, 1_500_000)] == ["0", "200 k", "1.5 M"]
    scale_by_logarithms(axes, 0.1, 20_000)
    assert axes.xaxis.get_major_formatter()(20_000, 0) == "20,000"


def test_panels_are_as_many_as_asked():
    assert len(figure_of(5).axes) == 5


def figure_of(count):
    return list(panels(count, "A title", columns=3))[0].figure


def test_pictures_that_do_not_say_what_they_show(axes):
    assert unclear(axes.figure) == []
    axes.plot([1, 2], label="a line")
    assert unclear(axes.figure) == ["the panel '' has labels and no legend"]
    axes.legend()
    assert unclear(axes.figure) == []
    axes.axhline(6)
    axes.plot([1, 2], label="_one of several")
    axes.set_xlabel("")
    assert unclear(axes.figure) == [
        "the panel '' has 1 lines without a label",
        "the panel '' has an axis without a name",
    ]
    assert unclear(Figure()) == ["the picture has no title"]


def test_lines_that_look_the_same_are_told(axes):
    for label, style in (("one", "-"), ("other", "--"), ("one", "-")):
        axes.plot([1, 2], style, color="blue", label=label)
    axes.legend()
    assert unclear(axes.figure) == []  # those of one label may
    axes.plot([2, 1], color="blue", label="a third")
    assert unclear(axes.figure) == ["the panel '' has lines that look the same"]


def test_two_settings_of_an_agent_have_colours_of_their_own():
    found = colours_of(["ppo", "ppo, with a GRU", "a2c"])
    assert found["ppo"] == colour_of("ppo") and found["a2c"] == colour_of("a2c") and len(set(found.values())) == 3
    many = colours_of([f"ppo, {i}" for i in range(20)])
    assert len(many) == 20 and len(set(many.values())) == len(set(list(many.values())[:7])) == 7  # then they recur


def test_a_picture_holds_its_stamp(axes, tmp_path):
    path = tmp_path / "some.png"
    axes.figure.savefig(path, metadata=STAMP.metadata(), dpi=30)
    assert read_stamp(path) == STAMP
    axes.figure.savefig(path, dpi=30)
    assert read_stamp(path) is None
    path.write_text("no picture")
    assert read_stamp(path) is None


def test_a_long_title_is_broken_to_fit_and_keeps_its_lines():
    (axes,) = panels(1, "Do runs of two processes learn as runs of one?\nlines: means")
    assert axes.figure.get_suptitle().splitlines() == [
        "Do runs of two processes learn as runs of",
        "one?",
        "lines: means",
    ]
