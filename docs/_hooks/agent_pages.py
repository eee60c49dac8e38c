"""A page for each agent: its own sentences, and below them what is known of it, from one template.

A file docs/agents/NAME.md holds the sentences. Added are the equation (the class's docstring), the code, the rows of
docs/benchmarks.md that are about the agent, pictures, options and metrics.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

import pg_agents as pg
from pg_agents.configuration import Option

DOCS = Path(__file__).parent.parent
ESTIMATORS = {  # the rows of `estimators` that are an agent's
    "reinforce": ("whole return", "reward-to-go", "reward-to-go without γ^t", "reward-to-go, batch-standardised"),
    "reinforce-baseline": (
        "reward-to-go − constant J", "reward-to-go − running average", "return − batch mean",
        "reward-to-go − learned V", "reward-to-go − exact V",
    ),
    "actor-critic": ("TD residual, exact V", "TD residual, learned V"),
    "a2c": ("GAE(0.9), exact V", "GAE(0.9), learned V", "A2C (λ = 1), learned V"),
    "ppo": ("PPO's first step, exact V", "PPO's first step, learned V"),
    "trpo": ("TRPO before F⁻¹, exact V",),
    "npg": ("NPG before F⁻¹, learned V",),
    "grpo": ("return, group-standardised", "GRPO", "GRPO without deviation", "DAPO", "Dr. GRPO"),
    "rloo": ("return − mean of the others",),
}  # fmt: skip
CURVES = {  # pictures of benchmarks/results, and whose curves are in them
    "mdps": {*pg.AGENTS} - {"average-reward"},
    "classic": {*pg.AGENTS} - {"average-reward"},
    "mujoco": {"ppo"},
    "memory": {"ppo"},
    "tokens": {"grpo", "rloo", "ppo", "reinforce-baseline"},
    "continuing": {"average-reward"},
}
SCORES = ("mdps", "classic", "mujoco", "memory", "tokens", "continuing")
ROW = re.compile(r"(?<!\\)\|")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Add to an agent's page what the template says."""
    folder, _, file = page.file.src_uri.partition("/")
    name = file.removesuffix(".md")
    if folder != "agents" or name == "index":
        return markdown
    if name not in pg.AGENTS:
        raise PluginError(f"docs/agents/{file}: there is no agent {name!r}; its file is called as the agent is")
    sections = (equation, code, bias, curves, arguments, metrics)
    return "\n\n".join([markdown.rstrip(), *(part for section in sections for part in section(name))])


def equation(name: str) -> Iterator[str]:
    """Yield what the agent's class says of itself."""
    yield "## The equation"
    yield inspect.cleandoc(pg.AGENTS[name].__doc__ or "")


def code(name: str) -> Iterator[str]:
    """Yield what it computes from a rollout, and its loss."""
    agent = pg.AGENTS[name]
    own = [method for method in ("prepare", "loss", "optimize", "finish") if method in vars(agent)]
    source = "\n".join(textwrap.dedent(inspect.getsource(getattr(agent, method))) for method in own)
    yield "## The code"
    yield f"`prepare` and `loss` in `{agent.__module__.replace('.', '/')}.py`:"
    yield f"```python\n{source}```"


def bias(name: str) -> Iterator[str]:
    """Yield the rows of its estimators, measured against the exact gradient."""
    if name not in ESTIMATORS:
        return
    yield "## Bias and variance"
    yield (
        "How far the expectation of an estimate is from the exact gradient, and how much estimates vary, of one policy "
        "in a problem that can be enumerated ([all estimators](../benchmarks.md#estimators), "
        "[what that means](../right.md)):"
    )
    head, rows, origin = _table("estimators", lambda row: row[0] in ESTIMATORS[name])
    if len(rows) != len(ESTIMATORS[name]):
        raise PluginError(f"{name}: docs/benchmarks.md has {len(rows)} of the rows {', '.join(ESTIMATORS[name])}")
    yield "\n".join([*head, *rows])
    yield origin


def curves(name: str) -> Iterator[str]:
    """Yield the scores and curves that it has, with intervals."""
    yield "## Scores and curves"
    for experiment in SCORES:
        head, rows, origin = _table(experiment, lambda row: _is_of(name, row))
        if not rows:
            continue
        yield f"[{experiment}](../benchmarks.md#{experiment}):"
        yield "\n".join([*head, *rows])
        yield origin
    for picture, agents in CURVES.items():
        if name in agents:
            path = f"../../benchmarks/results/{picture}.png"
            yield f"[![Curves of {picture} with intervals]({path})]({path})"


def _is_of(name: str, row: Sequence[str]) -> bool:
    """Return whether a row of scores is about an agent of ours: it has a cell `name`, or one that ends in /name."""
    return any(cell.split(",")[0] == f"`{name}`" or cell.endswith(f"/{name}") for cell in row[:2])


def arguments(name: str) -> Iterator[str]:
    """Yield a row for each option."""
    config = pg.AGENTS[name].config_class
    texts = config.help_texts()
    yield "## Arguments"
    yield (
        f"Keywords of `pg.{pg.AGENTS[name].__name__}.for_env`, fields of `pg.{config.__name__}`, and flags of "
        f"`pg-agents train {name}`. `for_env` adapts defaults to the networks: {_adapted(name)}."
    )
    rows = [
        f"| `{one.name}` | `{one.default!r}` | {_cell(one.rule)} | {_marks(one)} | {_cell(texts[one.name])} |"
        for one in config.options().values()
    ]
    yield "\n".join(["| argument | default | must be | may be | what it is |", "|---|---|---|---|---|", *rows])
    yield "May be: *s* a schedule over the run, *l* a list with a value for each learner, *f* fixed in an agent's life."


def _adapted(name: str) -> str:
    """Return the defaults that depend on the networks, as a list in a sentence."""
    adapted = {kind.__name__: options for kind, options in pg.AGENTS[name].policy_defaults.items()}
    said = [f"`{kind}` {_listed(options)}" for kind, options in adapted.items()]
    return "; ".join(said) or "there are none"


def _listed(options: Mapping[str, object]) -> str:
    return ", ".join(f"`{option}={value!r}`" for option, value in options.items())


def _marks(option: Option) -> str:
    marks = {"s": "scheduled", "l": "each", "f": "fixed"}
    return ", ".join(f"*{mark}*" for mark, attribute in marks.items() if getattr(option, attribute))


def metrics(name: str) -> Iterator[str]:
    """Yield the rows of docs/metrics.md that the agent writes, without those that everything writes."""
    lines = (DOCS / "metrics.md").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("| tag "))
    rows = [line for line in lines[at + 2 :] if line.startswith("| `train/")]
    mine = [line for line in rows if _writes(name, _cells(line)[-1])]
    yield "## Metrics"
    yield "What it writes about its updates ([all metrics](../metrics.md), those of returns, time and texts too):"
    short = [" | ".join(["", *_cells(line)[:4], ""]).strip() for line in [lines[at], *mine]]
    yield "\n".join([short[0], "|---|---|---|---|", *short[1:]])


def _writes(name: str, agents: str) -> bool:
    """Return whether the last column of metrics.md, like "all but `npg`, `trpo`", holds an agent."""
    named = f"`{name}`" in agents
    return not named if agents.startswith("all but") else agents == "all" or named


def _table(experiment: str, wanted: Callable[[Sequence[str]], bool]) -> tuple[list[str], list[str], str]:
    """Return an experiment's first table in docs/benchmarks.md: its head, the wanted rows, and where they come from."""
    text = (DOCS / "benchmarks.md").read_text()
    found = re.search(rf"<!-- benchmarks: {experiment} -->\n(.*?)<!-- /benchmarks -->", text, re.S)
    if found is None:
        raise PluginError(f"docs/benchmarks.md has no experiment {experiment!r}")
    lines = found[1].splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("| ---")), None)
    if start is None:
        return [], [], ""
    body = takewhile(lambda line: line.startswith("|"), lines[start + 1 :])
    origin = next((line for line in lines if line.startswith("<sub>")), "")
    return lines[start - 1 : start + 1], [line for line in body if wanted(_cells(line))], origin


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in ROW.split(line)[1:-1]]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
