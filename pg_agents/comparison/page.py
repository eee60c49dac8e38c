"""One page in HTML with pictures, tables and where they come from, which needs no network."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pg_agents.comparison.groups import Group
from pg_agents.comparison.measures import Measured, Scores, height
from pg_agents.comparison.page_parts import SCRIPT, STYLE
from pg_agents.comparison.pictures import DARK, LIGHT, Looks, draw, picture
from pg_agents.comparison.runs import Run
from pg_agents.comparison.words import ABSENT, between, in_words, number, one_line, probability, without_places
from pg_agents.statistics import METHOD

THICK = 3  # pixels of the line beside a group's name


@dataclass(frozen=True)
class Source:
    """Where a page comes from: the command that made it, versions of packages by their names, the date."""

    command: str
    versions: Mapping[str, str]
    date: str


def page(
    panels: Sequence[Measured],
    metric: str,
    looks: Looks,
    caveats: Sequence[str],
    source: Source,
    title: str | None = None,
) -> str:
    """Return the page as text; nothing in it is loaded from elsewhere, and only its own script runs."""
    runs = [run for one in panels for run in one.panel.runs]
    heading = title or "Comparison of runs"
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    count = f"{len(runs)} run{'s' * (len(runs) > 1)}"
    parts = [
        f"<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n<title>{text(heading)}</title>",
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<meta name='color-scheme' content='light dark'>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
        f"<header><h1>{text(heading)}</h1>",
        f"<p>{text(in_words(metric))} <code>{text(metric)}</code>; {count}</p></header>",
        _notes(caveats),
        "<div class='panels'>",
        *(_panel(one, metric, looks) for one in panels),
        f"</div>\n{_method()}\n{_runs(panels)}\n{_source(source)}\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def text(words: object) -> str:
    """Return words as HTML shows them: no character of them is code, and no folder of this machine is named."""
    return html.escape(without_places(one_line(str(words), 2000)))


def _notes(caveats: Sequence[str]) -> str:
    if not caveats:
        return ""
    items = "".join(f"<li>{text(caveat)}</li>" for caveat in caveats)
    return f"<section class='notes'><strong>To be known before this is believed</strong><ul>{items}</ul></section>"


def _panel(one: Measured, metric: str, looks: Looks) -> str:
    """Return a panel's picture, for light and for dark pages, and its table."""
    untitled = replace(one, panel=replace(one.panel, title=""))
    light, dark = (_data(draw([untitled], metric, looks, theme=theme)) for theme in (LIGHT, DARK))
    groups = ", ".join(f"{row.label} {number(row.middle)}" for row in one.scores)
    what = f"Learning curves of {len(one.panel.runs)} runs; interquartile means of their last values: {groups}"
    return (
        f"<section><h2>{text(one.panel.title or 'Runs')}</h2>\n"
        f"<picture><source media='(prefers-color-scheme: dark)' srcset='{dark}'>"
        f"<img src='{light}' alt='{text(what)}'></picture>\n{_table(one, looks)}</section>"
    )


def _data(figure: Any) -> str:  # noqa: ANN401
    return f"data:image/svg+xml;base64,{base64.b64encode(picture(figure, 'svg')).decode()}"


def _table(one: Measured, looks: Looks) -> str:
    head = (
        "",
        "runs",
        "last value, IQM",
        "95 % interval",
        "median",
        "mean over steps",
        f"P(higher than {one.against})",
    )
    rows = (_cells(row, looks[row.label]) for row in one.scores)
    known = "".join(
        f"<tr><td>{text(name)}</td><td></td><td>{number(value)}</td>{'<td></td>' * 4}</tr>"
        for name, value in one.known.items()
    )
    return _sortable(head, rows, known)


def _cells(row: Scores, look: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the HTML of a row's cells, and the values by which they are sorted."""
    dashes = " ".join(f"{THICK * length:g}" for length in look["dashes"])
    how = f"stroke='{look['color']}' stroke-width='{THICK}' stroke-dasharray='{dashes or 'none'}'"
    line = f"<svg class='line' width='30' height='{THICK}'><path d='M0 {THICK / 2}H30' {how}/></svg>"
    yield line + text(row.label), row.label
    yield str(len(row.each)), len(row.each)
    yield number(row.middle), row.middle
    yield between(row.interval), "" if row.interval is None else row.interval[0]
    yield number(row.median), row.median
    yield number(row.area), "" if row.area is None else row.area
    yield probability(row.better, row.better_interval), "" if row.better is None else row.better


def _sortable(head: Iterable[str], rows: Iterable[Iterable[tuple[str, object]]], foot: str = "", left: int = 1) -> str:
    """Return a table that is sorted by the column whose head is pressed; the first `left` columns are texts."""

    def side(i: int) -> str:
        return " class='left'" if i < left else ""

    names = "".join(
        f"<th scope='col'{side(i)}><button type='button'>{text(name) or 'group'}</button></th>"
        for i, name in enumerate(head)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{side(i)} data-value='{text(by)}'>{cell}</td>" for i, (cell, by) in enumerate(row))
        + "</tr>"
        for row in rows
    )
    end = f"<tfoot>{foot}</tfoot>" if foot else ""
    return f"<div class='table'><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody>{end}</table></div>"


def _runs(panels: Sequence[Measured]) -> str:
    """Return the table of all runs."""
    head = ("run", "environment", "group", "state", "seed", "steps", "last value", "mean over steps")
    rows = (_of_run(run, group, one) for one in panels for group in one.panel.groups for run in group.runs)
    return f"<details><summary>Every run</summary>{_sortable(head, rows, left=4)}</details>"


def _of_run(run: Run, group: Group, one: Measured) -> Iterator[tuple[str, object]]:
    for words in (run.name, one.panel.title, group.label, run.state or ABSENT):
        yield text(words), words
    seed, steps, last = run.settings.get("seed", ""), float(run.curve.steps[-1]), float(run.curve.values[-1])
    area = height(run, *one.common)
    yield text(seed), seed
    yield f"{steps:,.0f}", steps
    yield number(last), last
    yield number(area), "" if area is None else area


def _method() -> str:
    return (
        "<details><summary>How this is measured</summary><p>Each run counts with its last value. IQM is the "
        "interquartile mean over runs, without a quarter of them at each end; its 95 % interval is the "
        f"{text(METHOD)}. Curves show both at equal steps of all runs, interpolated, and a thin line for each run. The "
        "mean over steps is the area under a run's curve, divided by the steps that all runs in this environment have. "
        "P(higher than …) is the probability that the last value of a run of this group is higher than that of a run "
        "of the other, ties counting half, with its 95 % interval: where that holds 0.5, neither is shown to be "
        "better. Intervals are of one comparison each: of many, some exclude 0.5 by chance.</p></details>"
    )


def _source(source: Source) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in source.versions.items())
    rows = {"command": f"<code>{text(source.command)}</code>", "versions": text(versions), "made": text(source.date)}
    items = "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in rows.items())
    return f"<details open><summary>Where this comes from</summary><dl>{items}</dl></details>"
