"""The card of a run: README.md with the metadata that the Hugging Face Hub reads, results, curve and command."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pg_agents.comparison.words import number, one_line
from pg_agents.hub.run_folder import RunFolder
from pg_agents.shown import printable, shown
from pg_agents.spaces.wrappers import Wrapper

LAST, EVALUATION = "mean_return_last_100", "last_evaluation"
NAMES = {LAST: "return, mean of the last 100 training episodes", EVALUATION: "return of the last evaluation"}
CURVE = "curve.png"
Z95 = 1.959964  # of a normal distribution


def card(run: RunFolder, repo: str | None, *, curve: bool) -> str:
    """Return the card.

    Args:
        run: the run.
        repo: where it will be on the Hub; None: only in a folder.
        curve: whether there is a picture of the learning curve.
    """
    agent, env = (one_line(run.config[name], 80) for name in ("agent", "env"))
    count = len(run.seeds)
    seeds = f"seed {run.seeds[0]}" if count == 1 else f"{count} seeds ({', '.join(map(str, run.seeds[:16]))})"
    parts = [
        f"---\n{_metadata(run, agent, env)}---",
        f"# {agent} on {env}",
        f"An agent of [Gymnasium](https://gymnasium.farama.org), trained with {_quoted('pg-agents')}: {seeds}.",
        _state(run),
        "## Results",
        _table(run),
        *([f"![Learning curve of {agent} on {env}]({CURVE})"] if curve else []),
        "## Use it",
        _use(run, env, repo),
        "## Train it again",
        _again(run, agent, env),
        "## Configuration",
        f"```json\n{printable(json.dumps(run.config, indent=2))}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def results(run: RunFolder) -> Iterator[tuple[str, float, tuple[float, float] | None, str]]:
    """Yield name, value, 95 % interval and how it was made, of each result.

    Over several seeds it is the interquartile mean. Of one, an evaluation has the interval of a mean of independent
    episodes, and the returns in training have none.
    """
    over: Mapping[str, Any] = run.summary.get("over_seeds") or {}
    if over:
        for name in NAMES.keys() & over.keys():
            one = over[name]
            ends = None if one.get("low") is None else (float(one["low"]), float(one["high"]))
            if (middle := one.get("interquartile_mean")) is not None:
                yield name, float(middle), ends, f"interquartile mean of {len(run.seeds)} seeds"
        return
    if isinstance(value := run.summary.get(LAST), int | float):
        yield LAST, float(value), None, f"{run.summary.get('recent_episodes')} episodes of one seed"
    if run.evaluation is not None and isinstance(episodes := run.config.get("eval_episodes"), int) and episodes > 0:
        mean, std, step = run.evaluation
        half = Z95 * std / math.sqrt(max(1, episodes - 1))
        yield EVALUATION, mean, (mean - half, mean + half), f"{episodes} episodes of one seed, at step {step:,}"


def _metadata(run: RunFolder, agent: str, env: str) -> str:
    """Return the metadata, in which JSON's values are YAML's."""
    found = [
        {"type": "mean_reward" if name == LAST else f"mean_reward_{name}", "value": value, "name": NAMES[name]}
        for name, value, _, _ in sorted(results(run))
    ]
    task = {"type": "reinforcement-learning", "name": "reinforcement-learning"}
    result = {"task": task, "dataset": {"name": env, "type": re.sub(r"[^\w.-]", "-", env)}, "metrics": found}
    tags = ["reinforcement-learning", "policy-gradient", "gymnasium", agent, env]
    values: dict[str, Any] = {"library_name": "pg-agents", "pipeline_tag": "reinforcement-learning", "tags": tags}
    values |= {"model-index": [{"name": f"{agent}-{env}", "results": [result]}]} if found else {}
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items())


def _state(run: RunFolder) -> str:
    if reason := run.summary.get("cut_off"):
        return f"**The run did not finish:** {_quoted(str(reason))}."
    reason = run.summary.get("stopped")
    return f"It ended before all its steps: {_quoted(str(reason))}." if reason else ""


def _table(run: RunFolder) -> str:
    rows = [
        (NAMES[name], number(value), "–" if ends is None else f"{number(ends[0])} to {number(ends[1])}", how)
        for name, value, ends, how in sorted(results(run))
    ]
    names = {"optimal": "the best possible return", "random": "return of the random policy"}
    rows += [(names[name], number(value), "–", "known of the environment") for name, value in run.known.items()]
    summary = run.summary
    rows += [("environment steps", f"{summary['total_steps']:,}", "–", "of all seeds" if len(run.seeds) > 1 else "")]
    rows += [("seconds", number(summary.get("wall_seconds")), "–", "of collecting and learning")]
    head = "| | value | 95 % interval | of what |\n|---|---|---|---|\n"
    return head + "\n".join(f"| {' | '.join(cell.replace('|', '¦') for cell in row)} |" for row in rows)


def _use(run: RunFolder, env: str, repo: str | None) -> str:
    folder = '"."' if repo is None else f"snapshot_download({repo!r})"
    where = "  # this folder" if repo is None else ""
    given = {"env_args": run.config.get("env_args"), "wrappers": _wrappers(run.config.get("wrappers"))}
    how = "".join(f"{name}={shown(value, 400)}, " for name, value in given.items() if value)
    lines = [] if repo is None else ["from huggingface_hub import snapshot_download"]
    lines += ["from pathlib import Path", "import pg_agents as pg", "", f"folder = Path({folder}){where}"]
    lines += ['agent = pg.load(folder / "agent")', f"print(pg.evaluate(agent, {env!r}, {how}episodes=100).mean_return)"]
    return "```python\n" + "\n".join(lines) + "\n```"


def _wrappers(given: Any) -> list[str]:  # noqa: ANN401
    """Return wrappers as `pg.evaluate` takes them."""
    return [str(Wrapper(**one)) for one in given or ()]


def _again(run: RunFolder, agent: str, env: str) -> str:
    typed = [env] if ":" in env else []  # a module is imported only if it is typed
    words = ["pg-agents", "train", agent, *typed, "--config", "config.json"]
    return (
        f"With {_quoted('config.json')} of this repository, which has every setting:\n\n"
        f"```bash\n{shlex.join(words)}\n```\n\n"
        "The same seed on the same machine gives the same bits."
    )


def _quoted(text: str) -> str:
    return f"`{one_line(text, 300).replace('`', chr(39))}`"
